"""Geometric means over groups, against a second implementation."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from report_builders import h100, step_file, t4
from scipy import stats
from simulated import write_sides

from perfsuite.analysis.frames.environments import across
from perfsuite.analysis.frames.group_means import group_means
from perfsuite.cli import main

if TYPE_CHECKING:
    from pathlib import Path

WORKLOADS = [
    {"model": model, "phase": phase, "precision": "fp32"}
    for model in ("resnet18", "resnet50")
    for phase in ("forward", "backward", "train_step")
]


def welch(new: np.ndarray[Any, Any], old: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    """Return ratio and interval of geometric means [cells, processes] by products and scipy's Welch interval."""
    samples = [np.prod(np.exp(side), axis=0) ** (1 / len(side)) for side in (new, old)]
    ratio = stats.gmean(samples[0]) / stats.gmean(samples[1])
    found = stats.ttest_ind(np.log(samples[0]), np.log(samples[1]), equal_var=False).confidence_interval(0.95)
    return float(ratio), math.exp(found.low), math.exp(found.high)


def test_means_and_intervals_are_those_of_a_second_implementation() -> None:
    generator = np.random.default_rng(1)
    old = generator.normal(0, 1, (6, 1)) + generator.normal(0, 0.01, (6, 5))
    new = old.mean(axis=1, keepdims=True) + 0.1 + generator.normal(0, 0.02, (6, 4))
    found = {(one.by, one.value): one for one in group_means(WORKLOADS, new, old)}
    members = {
        ("all", None): range(6),
        ("model", "resnet18"): range(3),
        ("model", "resnet50"): range(3, 6),
        ("phase", "forward"): (0, 3),
        ("phase", "backward"): (1, 4),
        ("phase", "train_step"): (2, 5),
    }
    assert found.keys() == members.keys()
    for key, rows in members.items():
        ratio = found[key].ratio
        assert (ratio.ratio, ratio.low, ratio.high) == pytest.approx(welch(new[list(rows)], old[list(rows)]))
        assert (ratio.level, ratio.num_processes, found[key].num_cells) == (0.95, 4, len(rows))


def test_what_the_benchmarks_of_a_process_share_is_in_the_interval() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        old, new = (generator.normal(0, 0.02, (1, 5)) + generator.normal(0, 0.002, (6, 5)) for _ in range(2))
        ratio = group_means(WORKLOADS, new, old)[0].ratio
        assert ratio.low is not None
        assert ratio.high is not None
        covered += ratio.low <= 1 <= ratio.high
    assert 0.92 <= covered / 400 <= 0.985


def test_a_process_that_lacks_a_benchmark_leaves_the_mean_without_an_interval() -> None:
    generator = np.random.default_rng(3)
    old, new = generator.normal(0, 0.01, (6, 3)), generator.normal(0.1, 0.01, (6, 3))
    new[4, 1] = np.nan
    found = {(one.by, one.value): one.ratio for one in group_means(WORKLOADS, new, old)}
    assert found["all", None].low is None
    assert found["phase", "backward"].low is None
    assert found["phase", "forward"].low is not None
    expected = (np.nanmean(new, axis=1) - old.mean(axis=1)).mean()
    assert found["all", None].ratio == pytest.approx(math.exp(expected))


def test_a_benchmark_of_one_side_is_in_no_mean() -> None:
    old, new = np.zeros((6, 2)), np.ones((6, 2))
    new[0] = np.nan
    (first, *_) = group_means(WORKLOADS, new, old)
    assert first.num_cells == 5
    assert first.ratio.ratio == pytest.approx(math.e)


def test_one_process_a_side_gives_a_mean_without_an_interval() -> None:
    ratio = group_means(WORKLOADS, np.full((6, 1), 0.1), np.zeros((6, 1)))[0].ratio
    assert ratio.ratio == pytest.approx(math.exp(0.1))
    assert (ratio.low, ratio.basis) == (None, None)


@pytest.mark.parametrize("order", ["abba", "sequential"])
def test_a_comparison_has_the_mean_of_its_rows_with_an_interval_where_it_ran_interleaved(
    tmp_path: Path, order: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = write_sides(tmp_path, changes=[1.1] * 12, order=order)
    files = ["--baseline", *map(str, old), "--candidate", *map(str, new)]
    main(["compare", *files, "--format", "json"])
    content = json.loads(capsys.readouterr().out)
    (mean,) = content["groups"]
    ratios = [one["time"]["ratio"] for one in content["benchmarks"]]
    assert (mean["by"], mean["num_cells"]) == ("all", 12)
    assert mean["ratio"] == pytest.approx(stats.gmean(ratios))
    assert (mean["ratio_low"] is not None) == (order == "abba")
    main(["compare", *files])
    assert "Geometric means of candidate / baseline" in capsys.readouterr().out


def test_environments_have_means_of_time_and_of_amp(tmp_path: Path) -> None:
    old, new = (
        [
            step_file(
                tmp_path / f"{name}{i}.json", environment=where, run_id=f"{name}{i}", seed=seed + i, factor=factor
            )
            for i in range(3)
        ]
        for name, where, seed, factor in (("t4", t4(), 0, 1.0), ("h100", h100(), 10, 0.1))
    )
    found = across(old, new, ["gpu"])
    by_group = {(entry["by"], entry["value"]): entry for entry in found.groups}
    assert {by for by, _ in by_group} == {"all", "model", "phase", "precision"}
    assert by_group["all", None]["num_cells"] == 18
    assert by_group["all", None]["ratio"] == pytest.approx(stats.gmean([one["ratio"] for one in found.changes]))
    fp32 = [one["ratio"] for one in found.changes if "fp32" in one["label"]]
    assert by_group["precision", "fp32"]["ratio"] == pytest.approx(stats.gmean(fp32))
    for entry in found.groups:
        assert entry["ratio_low"] < entry["ratio"] < entry["ratio_high"]
    for name in found.environments:
        speedups = [one["speedup"] for one in found.amp if one["environment"] == name]
        (mean,) = (one for one in found.amp_groups if (one["by"], one["environment"]) == ("all", name))
        assert mean["ratio"] == pytest.approx(stats.gmean(speedups))
        assert mean["num_cells"] == len(speedups) == 9

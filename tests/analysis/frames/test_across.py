from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_content, make_entry, make_record, make_workload
from report_builders import h100, step_file, t4
from simulated import write_sides

from perfsuite.analysis.frames.environments import across
from perfsuite.analysis.tables.environments import across_tables
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.cli import main
from perfsuite.errors import InvalidChoiceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.analysis.tables.table import Table


def environment_file(run_id: str, *, scale: float = 1.0, peak: int = 1000, **environment: Any) -> dict[str, Any]:
    """Build a run in which AMP takes half the time and 60% of the memory."""
    generator = np.random.default_rng(len(run_id))
    entries = []
    for precision, factor, share in (("fp32", 1.0, 1.0), ("amp-fp16", 0.5, 0.6)):
        bytes_ = int(peak * share * 2**20)
        record = make_record(make_workload(precision=precision), run_id=run_id, peak=bytes_)
        times = 0.1 * factor * scale * (1 + 0.004 * generator.standard_normal(30))
        entries.append(make_entry(record, times.tolist()))
    return make_content(entries, environment=dataclasses.replace(ENVIRONMENT, **environment))


@pytest.fixture
def files(write_result: Callable[..., Path]) -> dict[str, Path]:
    return {
        name: write_result(content, f"{name}.json")
        for name, content in {
            "t4": environment_file("a"),
            "t4 again": environment_file("bb"),
            "a10": environment_file("ccc", scale=0.4, device="NVIDIA A10", gpu="NVIDIA A10"),
            "h100": environment_file("dddd", scale=0.1, device="NVIDIA H100", gpu="NVIDIA H100", torch="2.15.0"),
            "torch215": environment_file("eeeee", scale=1.1, peak=900, torch="2.15.0"),
        }.items()
    }


def shown(tables: list[Table]) -> str:
    return "\n".join(render_terminal(table, width=None, color=False) for table in tables)


def test_a_torch_version_is_compared_with_another_by_the_spread_of_one_run(files: dict[str, Path]) -> None:
    found = across([files["t4"]], [files["torch215"]], ["torch"])
    assert found.environments == ("torch 2.13.0+cu130", "torch 2.15.0")
    for row in found.changes:
        assert row["ratio"] == pytest.approx(1.1, rel=0.01)
        assert row["ratio_low"] < row["ratio"] < row["ratio_high"]
        assert (row["ratio_basis"], row["ratio_level"]) == ("one run", None)
        assert row["memory_ratio"] == pytest.approx(0.9)
    assert [(row["environment"], row["memory_ratio"]) for row in found.amp] == [
        (name, pytest.approx(0.6)) for name in found.environments
    ]
    assert all(row["speedup"] == pytest.approx(2.0, rel=0.01) for row in found.amp)


def test_more_than_two_machines_give_a_pivot(files: dict[str, Path]) -> None:
    found = across([files["t4"], files["t4 again"]], [files["a10"], files["h100"]], ["gpu"])
    assert found.environments == ("Tesla T4", "NVIDIA A10", "NVIDIA H100")
    text = shown(across_tables(found))
    for expected in (
        "A10",
        "H100",
        "2.50x faster [no interval]",  # of two runs against one
        "10.0x faster [no interval]",
        "AMP vs FP32, in each environment",
        "spread within one run",
    ):
        assert expected in text
    lines = [line for line in text.splitlines() if line.startswith("resnet18 fp32 train_step b128")]
    assert len(lines) == 1
    assert any(note.startswith("torch differs too: 2.13.0+cu130, 2.15.0") for note in found.notes)


def test_all_runs_of_a_side_count_where_the_other_has_one(tmp_path: Path) -> None:
    factors = {"r0": 1.0, "r1": 1.2, "r2": 1.2}
    old = [
        step_file(tmp_path / f"{name}.json", run_id=name, seed=n, models=["resnet18"], factor=factor)
        for n, (name, factor) in enumerate(factors.items())
    ]
    new = step_file(tmp_path / "new.json", run_id="new", seed=9, models=["resnet18"], environment=h100(), factor=0.5)
    for order in (old, old[::-1]):
        found = across(order, [new], ["gpu"])
        for entry in found.changes:
            medians = [
                np.median(one["stats"]["data"])
                for path in (*old, new)
                for one in json.loads(path.read_text())["benchmarks"]
                if one["fullname"] == entry["fullname"]
            ]
            expected = medians[3] / np.exp(np.mean(np.log(medians[:3])))
            assert entry["ratio"] == pytest.approx(expected)
            assert entry["ratio_low"] is None
            assert (entry["num_baseline"], entry["num_candidate"]) == (3, 1)
        (mean,) = (group for group in found.groups if group["by"] == "all")
        assert mean["ratio"] == pytest.approx(np.exp(np.mean([np.log(entry["ratio"]) for entry in found.changes])))


@pytest.mark.parametrize(
    ("option", "value"),
    [("--fail-on", "regressed"), ("--alpha", "0.01"), ("--explain", "x"), ("--thresholds", "none.toml")],
)
def test_an_option_of_verdicts_is_refused_side_by_side(
    option: str, value: str, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sides = ["--baseline", str(files["t4"]), "--candidate", str(files["h100"])]
    assert main(["compare", *sides, "--across", "gpu", option, value]) == 2
    if option != "--thresholds":  # that the file is missing is said first
        assert f"{option}: --across gives no verdicts" in capsys.readouterr().err


def test_machines_of_one_gpu_that_are_taken_together_are_named(tmp_path: Path) -> None:
    paths = []
    for n, (host, environment) in enumerate((("ha", t4()), ("hb", t4()), ("hc", h100()))):
        path = step_file(tmp_path / f"{n}.json", run_id=f"m{n}", seed=n, models=["resnet18"], environment=environment)
        content = json.loads(path.read_text())
        content["machine_info"]["node"] = host
        path.write_text(json.dumps(content))
        paths.append(path)
    found = across(paths[:2], paths[2:], ["gpu"])
    assert any("of 2 machines taken together: host ha, hb" in note for note in found.notes)


def test_both_axes_name_environments_by_both(files: dict[str, Path]) -> None:
    found = across([files["t4"]], [files["h100"]], ["gpu", "torch"])
    assert found.environments[1] == "NVIDIA H100, torch 2.15.0"
    assert not any("differs too" in note for note in found.notes)


def test_a_workload_that_one_environment_lacks_is_a_dash(files: dict[str, Path]) -> None:
    content = json.loads(files["a10"].read_text())
    content["benchmarks"].pop()
    files["a10"].write_text(json.dumps(content))
    text = shown(across_tables(across([files["t4"]], [files["a10"]], ["gpu"]))[:1])
    (line,) = (line for line in text.splitlines() if line.startswith("resnet18 amp-fp16 train_step"))
    assert line.split()[-1] == "-"


def test_files_that_are_not_ours_are_set_side_by_side_by_cpu(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.5] * 2, num=2)
    for path in new:
        content = json.loads(path.read_text())
        content["machine_info"]["cpu"]["brand_raw"] = "Xeon"
        path.write_text(json.dumps(content))
    found = across(old, new, ["gpu"])
    assert found.environments == ("T4 with EPYC", "T4 with Xeon")
    assert [row["ratio_basis"] for row in found.changes] == ["processes"] * 2
    assert found.amp == ()


@pytest.mark.parametrize(
    ("baseline", "candidate", "axes", "complaint"),
    [
        (["t4"], ["t4 again"], ["gpu"], "all files are of Tesla T4"),
        (["t4", "a10"], ["h100"], ["gpu"], "these files are of 2 environments"),
    ],
)
def test_environments_that_cannot_be_set_side_by_side_are_refused(
    files: dict[str, Path], baseline: list[str], candidate: list[str], axes: list[str], complaint: str
) -> None:
    with pytest.raises(InvalidChoiceError, match=complaint):
        across([files[name] for name in baseline], [files[name] for name in candidate], axes)


@pytest.mark.parametrize("name", ["terminal", "markdown", "csv", "latex", "json"])
def test_every_format_is_written_and_nothing_is_gated(
    files: dict[str, Path], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = ["--baseline", str(files["t4"]), "--candidate", str(files["torch215"])]
    assert main(["compare", *sides, "--across", "torch", "--format", name]) == 0
    out = capsys.readouterr().out
    assert "2.15.0" in out
    if name == "json":
        assert json.loads(out)["schema"] == "perfsuite-across-4"


def across_csv(files: dict[str, Path], capsys: pytest.CaptureFixture[str], *more: str) -> list[dict[str, str]]:
    sides = ["--baseline", str(files["t4"]), "--candidate", str(files["a10"]), str(files["h100"])]
    assert main(["compare", *sides, "--across", "gpu", *more, "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert ("shown: " in err) == ("--select" in more)
    return list(csv.DictReader(io.StringIO(out)))


def test_rows_of_environments_are_selected_and_sorted(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    everything = across_csv(files, capsys)
    some = across_csv(files, capsys, "--select", "AMP and not fp32")
    assert some == [row for row in everything if "amp" in row["label"]]
    by_name = across_csv(files, capsys, "--sort", "name")
    assert [row["label"] for row in by_name[:4]] == sorted(row["label"] for row in everything[:4])
    by_time = across_csv(files, capsys, "--sort", "time")
    times = [float(row["time_baseline_s"]) for row in by_time if row["kind"] == "benchmark"]
    assert times == sorted(times, reverse=True)


def test_a_selection_of_nothing_across_environments_is_one_line(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sides = ["--baseline", str(files["t4"]), "--candidate", str(files["a10"])]
    assert main(["compare", *sides, "--across", "gpu", "--select", "vgg"]) == 0
    out = capsys.readouterr().out
    assert out.count("shown: none of 3 rows (--select 'vgg'); geometric means are of all") == 1
    assert "resnet18 fp32" not in out


@pytest.mark.parametrize(("more", "option"), [(["--only", "regressed"], "--only"), (["--sort", "verdict"], "--sort")])
def test_verdicts_are_refused_as_a_choice_where_there_are_none(
    files: dict[str, Path], more: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = ["--baseline", str(files["t4"]), "--candidate", str(files["a10"])]
    assert main(["compare", *sides, "--across", "gpu", *more]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"perfsuite: error: {option}")
    assert "--across gives no verdicts; use --select, --sort change, name, time" in err


def test_times_peaks_and_processes_of_both_sides_stand_in_every_row(files: dict[str, Path]) -> None:
    again = files["torch215"].with_name("again.json")
    again.write_text(json.dumps(environment_file("ffffff", scale=1.1, peak=900, torch="2.15.0")))
    found = across([files["t4"], files["t4 again"]], [files["torch215"], again], ["torch"])
    for row in found.changes:
        assert row["time_candidate_s"] / row["time_baseline_s"] == pytest.approx(row["ratio"])
        assert row["memory_candidate_bytes"] / row["memory_baseline_bytes"] == pytest.approx(row["memory_ratio"])
        assert (row["num_baseline"], row["num_candidate"]) == (2, 2)
    text = shown(across_tables(found))
    (line,) = (line for line in text.splitlines() if line.startswith("resnet18 fp32 train_step b128"))
    for expected in ("100.0 ms", " 2  ", "1.10x slower [", "1,000", "900.0 (-10.0%)"):
        assert expected in line, line

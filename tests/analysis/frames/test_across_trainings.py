"""Full trainings of several environments in `compare --across`."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_entry, make_record, make_workload
from compared_trainings import replayed, trained, write_trainings
from scipy import stats

from perfsuite.analysis.frames.environments import across
from perfsuite.analysis.tables.environments import across_tables
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.cli import main
from perfsuite.errors import InvalidChoiceError

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.analysis.frames.environments import Across

A10 = dataclasses.replace(ENVIRONMENT, device="NVIDIA A10", gpu="NVIDIA A10")
NEW_TORCH = dataclasses.replace(ENVIRONMENT, torch="2.15.0")
BOTH = ("fp32", "amp-fp16")


def write(folder: Path, name: str, *, environment: Any = ENVIRONMENT, num: int = 1, **values: Any) -> list[Path]:
    """Write a file of FP32 and AMP trainings per process; AMP takes half the time."""
    paths = []
    for process in range(num):
        run_id = f"{name}{process}"
        records = [
            trained(
                precision,
                run_id=run_id,
                environment=environment,
                **{
                    **values,
                    "seconds": values.get("seconds", 3600.0)
                    * (1 + 0.01 * process)
                    * (1.0 if precision == "fp32" else 0.5 + 0.001 * process),
                },
            )
            for precision in BOTH
        ]
        paths.append(write_trainings(folder, run_id, records, environment=environment))
    return paths


def by_label(entries: tuple[dict[str, Any], ...]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(entry["label"], entry["environment"]): entry for entry in entries}


def shown(found: Across) -> str:
    return "\n".join(render_terminal(table, width=None, color=False) for table in across_tables(found))


def test_files_with_full_trainings_alone_are_compared_across_gpus(tmp_path: Path) -> None:
    found = across(
        write(tmp_path, "t4"), write(tmp_path, "a10", environment=A10, accuracy=0.82, seconds=1800.0), ["gpu"]
    )
    assert found.environments == ("Tesla T4", "NVIDIA A10")
    assert (found.changes, found.amp) == ((), ())
    entries = by_label(found.trainings)
    assert set(entries) == {(f"resnet18 {precision}", "NVIDIA A10") for precision in BOTH}
    for entry in entries.values():
        assert (entry["accuracy_baseline"], entry["accuracy_candidate"]) == (0.83, 0.82)
        assert entry["accuracy_change"] == pytest.approx(-0.01)
        assert entry["accuracy_change_low"] < -0.01 < entry["accuracy_change_high"]
        assert entry["accuracy_is_paired"]
        assert entry["ratio"] == pytest.approx(0.5)
        assert entry["ratio_basis"] is None  # one process a side
        assert entry["memory_ratio"] == 1.0
    text = shown(found)
    for expected in (
        "Full trainings against T4",
        "-1.00 [",
        "2.00x faster [no interval]",
        "3,600 -> 1,800 s",
        "83.00",
        "82.00",
    ):
        assert expected in text
    assert "regressed" not in text
    assert text.count("no verdicts: the sides differ in machine or version on purpose") == 1


def test_what_amp_changes_in_full_trainings_is_shown_in_each_environment(tmp_path: Path) -> None:
    old = write_trainings(tmp_path, "t4", [trained(), trained("amp-fp16", accuracy=0.825, seconds=1800.0)])
    new = write_trainings(
        tmp_path,
        "a10",
        [
            trained(run_id="x", environment=A10, seconds=1000.0),
            trained("amp-fp16", run_id="x", environment=A10, accuracy=0.835, seconds=400.0),
        ],
        environment=A10,
    )
    found = across([old], [new], ["gpu"])
    entries = by_label(found.training_amp)
    assert {key: entry["ratio"] for key, entry in entries.items()} == pytest.approx(
        {("resnet18 amp-fp16", "Tesla T4"): 0.5, ("resnet18 amp-fp16", "NVIDIA A10"): 0.4}
    )
    assert [entry["accuracy_change"] for entry in entries.values()] == pytest.approx([-0.005, 0.005])
    assert [entry["memory_ratio"] for entry in entries.values()] == pytest.approx([450 / 700] * 2)
    assert "AMP vs FP32 of full trainings, in each environment" in shown(found)


def test_the_interval_of_a_time_is_students_over_processes_where_both_sides_have_two(tmp_path: Path) -> None:
    old, new = write(tmp_path, "old", num=3), write(tmp_path, "new", environment=NEW_TORCH, num=2, seconds=3000.0)
    entry = by_label(across(old, new, ["torch"]).trainings)["resnet18 fp32", "torch 2.15.0"]
    a, b = (np.log([seconds * (1 + 0.01 * k) for k in range(num)]) for seconds, num in ((3600.0, 3), (3000.0, 2)))
    interval = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert entry["ratio"] == pytest.approx(np.exp(b.mean() - a.mean()))
    assert (entry["ratio_low"], entry["ratio_high"]) == pytest.approx((np.exp(interval.low), np.exp(interval.high)))
    assert (entry["ratio_basis"], entry["ratio_num_processes"], entry["ratio_level"]) == ("processes", 2, 0.95)


def test_amp_and_fp32_of_the_same_processes_are_paired_in_time(tmp_path: Path) -> None:
    found = across(write(tmp_path, "old", num=3), write(tmp_path, "new", environment=NEW_TORCH), ["torch"])
    assert "one seed a side: a standard deviation of 0.4 points between seeds is assumed" in shown(found)
    entry = by_label(found.training_amp)["resnet18 amp-fp16", "torch 2.13.0+cu130"]
    logs = np.log([0.5 + 0.001 * process for process in range(3)])
    interval = stats.ttest_1samp(logs, 0.0).confidence_interval(0.95)
    assert (entry["ratio_low"], entry["ratio_high"]) == pytest.approx((np.exp(interval.low), np.exp(interval.high)))


def test_accuracies_are_those_that_compare_gives_for_the_same_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = {
        name: [
            write_trainings(
                tmp_path,
                f"{name}{seed}",
                [
                    trained(
                        precision,
                        seed=seed,
                        run_id=f"{name}{seed}",
                        environment=environment,
                        accuracy=accuracy + 0.002 * seed,
                    )
                    for precision in BOTH
                ],
                environment=environment,
            )
            for seed in range(3)
        ]
        for name, environment, accuracy in (("old", ENVIRONMENT, 0.83), ("new", NEW_TORCH, 0.822))
    }
    arguments = ["compare", "--baseline", *map(str, sides["old"]), "--candidate", *map(str, sides["new"])]
    main([*arguments, "--format", "json"])
    compared = {one["label"]: one["accuracy"] for one in json.loads(capsys.readouterr().out)["trainings"]}
    assert main([*arguments, "--across", "torch", "--format", "json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["schema"] == "perfsuite-across-4"
    assert len(content["trainings"]) == len(compared) == 2
    for entry in content["trainings"]:
        expected = compared[entry["label"]]
        for key in ("baseline", "candidate", "change", "change_low", "change_high", "is_paired"):
            assert entry[f"accuracy_{key}"] == pytest.approx(expected[key])


def test_a_training_is_of_its_own_environment_not_of_the_file_that_replays_it(tmp_path: Path) -> None:
    on_t4, on_a10 = trained(accuracy=0.81), trained("amp-fp16", run_id="x", environment=A10)
    baseline = write_trainings(tmp_path, "t4", [trained("amp-fp16")])
    candidate = write_trainings(tmp_path, "a10", [replayed(on_t4), on_a10], environment=A10)
    entries = by_label(across([baseline], [candidate], ["gpu"]).trainings)
    fp32 = entries["resnet18 fp32", "NVIDIA A10"]
    assert (fp32["num_baseline"], fp32["num_candidate"], fp32["accuracy_baseline"]) == (1, 0, 0.81)
    assert entries["resnet18 amp-fp16", "NVIDIA A10"]["accuracy_change"] == pytest.approx(0.0, abs=1e-12)


def test_a_baseline_that_also_replays_a_training_of_another_gpu_is_of_one_environment(tmp_path: Path) -> None:
    on_a10 = trained(run_id="x", environment=A10, accuracy=0.81)
    baseline = write_trainings(tmp_path, "t4", [trained(), replayed(on_a10)])
    found = across([baseline], [write_trainings(tmp_path, "a10", [on_a10], environment=A10)], ["gpu"])
    assert found.environments == ("Tesla T4", "NVIDIA A10")
    (entry,) = found.trainings
    assert (entry["accuracy_baseline"], entry["accuracy_candidate"]) == (0.83, 0.81)


def test_trainings_of_an_unknown_environment_are_left_out_with_a_note(tmp_path: Path) -> None:
    unknown = dataclasses.replace(replayed(trained("amp-fp16", run_id="z")), environment=None)
    baseline = write_trainings(tmp_path, "t4", [trained(), unknown])
    candidate = write_trainings(tmp_path, "a10", [trained(run_id="x", environment=A10)], environment=A10)
    found = across([baseline], [candidate], ["gpu"])
    assert [entry["label"] for entry in found.trainings] == ["resnet18 fp32"]
    assert any("unknown training environment of test_full_training[resnet18-amp-fp16-seed0]" in n for n in found.notes)


def test_a_baseline_of_unknown_environments_alone_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = dataclasses.replace(replayed(trained()), environment=None)
    baseline = write_trainings(tmp_path, "t4", [unknown])
    candidate = write_trainings(tmp_path, "a10", [trained(run_id="x", environment=A10)], environment=A10)
    sides = ["--baseline", str(baseline), "--candidate", str(candidate)]
    assert main(["compare", *sides, "--across", "gpu"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "--baseline: these files contain nothing from a known environment" in captured.err
    with pytest.raises(InvalidChoiceError, match="contain no benchmarks and no trainings of a known environment"):
        across([baseline], [baseline], ["gpu"])


def test_how_many_images_are_evaluated_at_once_does_not_separate_machines_and_a_recipe_does(tmp_path: Path) -> None:
    old = trained(settings={"evaluation_batch": 586, "cudnn_benchmark": True})
    other = trained("amp-fp16", recipe=dataclasses.replace(old.recipe, learning_rate=0.05), run_id="x", environment=A10)
    same = trained(
        settings={"evaluation_batch": 1024, "cudnn_benchmark": True}, run_id="x", environment=A10, accuracy=0.82
    )
    found = across(
        [write_trainings(tmp_path, "t4", [old, trained("amp-fp16")])],
        [write_trainings(tmp_path, "a10", [same, other], environment=A10)],
        ["gpu"],
    )
    by_precision = [entry for entry in found.trainings if "fp32" in entry["label"]]
    assert [entry["accuracy_change"] for entry in by_precision] == [pytest.approx(-0.01)]
    others = [entry for entry in found.trainings if "amp" in entry["label"]]
    assert len({entry["label"] for entry in others}) == 2
    assert all(entry["accuracy_change"] is None for entry in others)


def test_benchmarks_and_full_trainings_of_one_call_are_tables_and_one_csv(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for name, environment in (("t4", ENVIRONMENT), ("a10", A10)):
        steps = [
            make_entry(make_record(make_workload(precision=precision), run_id=name), [0.1, 0.11, 0.12])
            for precision in BOTH
        ]
        records = [trained(precision, run_id=name, environment=environment) for precision in BOTH]
        paths.append(write_trainings(tmp_path, name, records, environment=environment, steps=steps))
    sides = ["compare", "--baseline", str(paths[0]), "--candidate", str(paths[1]), "--across", "gpu"]
    titles = [table.title for table in across_tables(across(paths[:1], paths[1:], ["gpu"]))]
    assert titles == [
        "Time and peak memory against T4",
        "Geometric means against T4",
        "AMP vs FP32, in each environment",
        "Full trainings against T4",
        "AMP vs FP32 of full trainings, in each environment",
    ]
    assert main([*sides, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["kind"] for row in rows] == [
        *["benchmark"] * 2,
        *["benchmark_amp"] * 2,
        *["training"] * 2,
        *["training_amp"] * 2,
    ]
    assert {row["baseline"] for row in rows} == {"Tesla T4", "fp32"}
    assert all(float(row["memory_ratio"]) > 0 for row in rows)
    assert all((row["accuracy_change"] != "") == row["kind"].startswith("training") for row in rows)


@pytest.mark.parametrize("name", ["terminal", "markdown", "latex", "json", "csv"])
def test_every_format_shows_trainings_and_nothing_ends_with_status_1(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = write(tmp_path, "t4"), write(tmp_path, "a10", environment=A10, accuracy=0.5)
    sides = ["--baseline", *map(str, old), "--candidate", *map(str, new), "--across", "gpu", "--format", name]
    assert main(["compare", *sides]) == 0
    out = capsys.readouterr().out
    assert "resnet18 amp-fp16" in out
    assert ("-33.00" in out) == (name in {"terminal", "markdown", "latex"})


def test_workloads_that_differ_in_memory_format_alone_are_two_rows(tmp_path: Path) -> None:
    formats = ("contiguous", "channels_last")
    paths = [
        write_trainings(
            tmp_path,
            name,
            [],
            environment=environment,
            steps=[
                make_entry(make_record(make_workload(memory_format=layout), run_id=name), [seconds] * 3)
                for layout, seconds in zip(formats, times, strict=True)
            ],
        )
        for name, environment, times in (("t4", ENVIRONMENT, (0.2, 0.1)), ("a10", A10, (0.1, 0.02)))
    ]
    rows = across_tables(across(paths[:1], paths[1:], ["gpu"]))[0].rows()
    assert [row["ratio NVIDIA A10"] for row in rows] == pytest.approx([0.5, 0.2])

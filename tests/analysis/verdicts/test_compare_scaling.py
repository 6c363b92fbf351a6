"""Steps on several devices in a comparison: judged as others by the time of the slowest rank, with likely causes."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import make_claim, make_workload
from compared_scaling import CELLS, write_scaling_sides
from report_builders import h100, step_file
from scaling_builders import Machine, make_scaling, make_scaling_entry, scaling_file

from perfsuite.analysis.frames.environments import across
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.scaling import scaling_frame
from perfsuite.analysis.frames.scaling_groups import step_times
from perfsuite.analysis.load.noise_file import save_noise_floor
from perfsuite.analysis.report.data import gather
from perfsuite.analysis.verdicts.exchange_causes import exchange_causes
from perfsuite.analysis.verdicts.noise_floor import noise_floor
from perfsuite.analysis.verdicts.scaling_changes import scaling_changes
from perfsuite.analysis.verdicts.trust import trust_of_results
from perfsuite.cli import main
from perfsuite.records.outcome import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.analysis.verdicts.compare import Comparison

SLOWER_LINKS = Machine(rank_sd=0.005, bytes_per_second=5e9)


def compared(old: list[Path], new: list[Path]) -> Comparison:
    comparison = gather(new, old).comparison
    assert comparison is not None
    return comparison


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {one.workload.label: one.verdict for one in comparison.benchmarks if one.workload is not None}


def test_slower_links_regress_what_has_several_ranks_and_name_the_bus_and_nccl(tmp_path: Path) -> None:
    sides = write_scaling_sides(tmp_path, candidate=SLOWER_LINKS, versions=("2.27.3", "2.28.1"))
    comparison = compared(*sides)
    found = verdicts(comparison)
    assert found.pop("resnet18 fp32 train_step b64 1 rank ddp") == "unchanged"
    assert set(found.values()) == {"regressed"}
    assert len(found) == 5
    regressed = next(one for one in comparison.benchmarks if one.verdict == "regressed")
    assert "slower, significant; NCCL 2.27.3 -> 2.28.1; communication " in regressed.time.reason
    assert "bus bandwidth of a bare all-reduce 8." in regressed.time.reason
    assert "NCCL differs: 2.27.3 in the baseline, 2.28.1 in the candidate" in comparison.notes
    changes = scaling_changes(comparison)
    assert len(changes) == 5
    assert all(one.change.high is not None and one.change.high < 1 for one in changes)


def test_times_are_those_of_the_slowest_rank_and_peaks_those_of_the_rank_with_the_most(tmp_path: Path) -> None:
    record = make_scaling(world_size=4, run_id="old", machine=Machine(rank_offset_sd=0.1))
    old = scaling_file(tmp_path / "old.json", [record])
    new = scaling_file(tmp_path / "new.json", [dataclasses.replace(record, process=make_scaling(run_id="new").process)])
    comparison = compared([old], [new])
    (one,) = comparison.benchmarks
    assert one.time.baseline == pytest.approx(float(np.median(step_times(record))))
    assert one.memory is not None
    assert one.memory.baseline == max(record.peak_allocated_bytes)


def test_a_peak_that_grows_on_one_rank_is_a_regression(tmp_path: Path) -> None:
    old, new = (
        scaling_file(tmp_path / f"{name}.json", [make_scaling(run_id=name, peak_allocated_bytes=peaks)])
        for name, peaks in (("old", (500 * 2**20, 500 * 2**20)), ("new", (500 * 2**20, 520 * 2**20)))
    )
    (one,) = compared([old], [new]).benchmarks
    assert one.verdict == "regressed"


@pytest.mark.no_cover
def test_the_same_code_on_both_sides_gives_false_verdicts_no_more_often_than_alpha(tmp_path: Path) -> None:
    """60 A/A comparisons of six cells: three with any false verdict are expected, and eight are too many (p = 0.01)."""
    num_false = 0
    for seed in range(60):
        folder = tmp_path / str(seed)
        folder.mkdir()
        sides = write_scaling_sides(folder, seed=seed, machine=Machine(rank_sd=0.01, drift=0.05), num_blocks=6)
        num_false += bool({"regressed", "improved"} & set(verdicts(compared(*sides)).values()))
    assert num_false < 8


def test_a_cell_that_the_candidate_lacks_is_missing_by_its_name_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, _ = write_scaling_sides(tmp_path, num=3)
    (tmp_path / "less").mkdir()
    _, new = write_scaling_sides(tmp_path / "less", num=3, cells=CELLS[:2])
    arguments = ["compare", "--baseline", *map(str, old), "--candidate", *map(str, new)]
    assert main(arguments) == 1
    output = capsys.readouterr()
    assert "resnet18 fp32 train_step b64 2 ranks ddp bf16-gradients" in output.out
    assert "4 missing" in output.err
    assert main([*arguments, "--only", "missing", "--select", "4ranks"]) == 1
    assert "shown: 1 of 6 rows" in " ".join(capsys.readouterr().out.split())


def test_every_format_has_the_efficiencies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = write_scaling_sides(tmp_path, num=3, candidate=SLOWER_LINKS)
    arguments = ["compare", "--baseline", *map(str, old), "--candidate", *map(str, new), "--fail-on", "never"]
    for output_format in ("terminal", "markdown", "latex"):
        assert main([*arguments, "--format", output_format]) == 0
        assert "Efficiency of several devices" in capsys.readouterr().out
    assert main([*arguments, "--format", "json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["schema"] == "perfsuite-compare-7"
    assert len(content["scaling"]) == 5
    first = content["scaling"][0]
    assert first["efficiency_candidate_ratio"] < first["efficiency_baseline_ratio"]
    assert main([*arguments, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    by_label = {row["label"]: row for row in rows}
    assert by_label["resnet18 fp32 train_step b64 1 rank ddp"]["efficiency_baseline_ratio"] == ""
    assert float(by_label["resnet18 fp32 train_step b64 4 ranks ddp"]["efficiency_change_ratio_high"]) < 1
    assert main([*arguments, "--explain", "resnet18 fp32 train_step b64 4 ranks ddp"]) == 0
    assert "Efficiency, on which no verdict rests" in capsys.readouterr().out


def test_a_step_whose_gradients_are_not_equal_is_failed_and_its_speed_is_no_improvement(tmp_path: Path) -> None:
    claim = make_claim(name="gradients equal on all ranks", measured=0.5, expected=0.0)
    faster = Machine(rank_sd=0.005, overlap=1.0)
    old, new = write_scaling_sides(tmp_path, num=3, candidate=faster, candidate_changes={"checks": (claim,)})
    comparison = compared(old, new)
    assert set(verdicts(comparison).values()) == {"failed"}
    assert (
        "failed in 3 of 3 processes of the candidate: does not hold: gradients" in comparison.benchmarks[0].time.reason
    )
    trust = trust_of_results(gather(new).results)
    assert trust.grade == "low"
    assert any("gradients that are not what they should be" in reason.text for reason in trust.reasons)
    assert not gather(new).speedups.size


def test_an_outcome_of_the_step_of_one_rank_is_that_of_its_cell(tmp_path: Path) -> None:
    old = scaling_file(tmp_path / "old.json", [make_scaling(run_id="old"), make_scaling(run_id="old", world_size=4)])
    name = "benchmarks/test_scaling.py::test_scaling[resnet18-fp32-b64-4-ddp]"
    outcome = Outcome(nodeid=name, outcome="out_of_memory", reason="no room", workload=make_workload(batch_size=64))
    new = scaling_file(tmp_path / "new.json", [make_scaling(run_id="new")], outcomes=[outcome])
    comparison = compared([old], [new])
    assert verdicts(comparison)["resnet18 fp32 train_step b64 4 ranks ddp"] == "failed"
    assert len(comparison.benchmarks) == 2


def test_steps_of_one_device_and_of_several_are_judged_together_and_never_taken_for_each_other(tmp_path: Path) -> None:
    paths = []
    for side in ("old", "new"):
        path = step_file(tmp_path / f"{side}.json", run_id=side, models=["resnet18"], batch_sizes=(64,))
        content = json.loads(path.read_text())
        records = [make_scaling(run_id=side, world_size=n) for n in (1, 2)]
        content["benchmarks"] += [make_scaling_entry(record) for record in records]
        path.write_text(json.dumps(content))
        paths.append(path)
    comparison = compared(paths[:1], paths[1:])
    assert len(comparison.benchmarks) == 8
    assert len(verdicts(comparison)) == 8


def test_sides_without_a_cell_in_common_say_in_what_they_differ(tmp_path: Path) -> None:
    old = scaling_file(tmp_path / "old.json", [make_scaling(run_id="old", world_size=2)])
    new = scaling_file(tmp_path / "new.json", [make_scaling(run_id="new", world_size=4)])
    assert any("differ in world size (2 and 4)" in note for note in compared([old], [new]).notes)
    steps = step_file(tmp_path / "steps.json", run_id="s")
    assert any("strategy (ddp and one device)" in note for note in compared([old], [steps]).notes)


def test_quick_answers_are_not_compared_with_full_measurements(tmp_path: Path) -> None:
    old = scaling_file(tmp_path / "old.json", [make_scaling(run_id="old")])
    new = scaling_file(tmp_path / "new.json", [make_scaling(run_id="new", quick=True)])
    comparison = compared([old], [new])
    assert "missing" in verdicts(comparison).values()


def test_across_versions_of_torch_and_machines_they_stand_beside_other_steps(tmp_path: Path) -> None:
    torches = ("2.13.0+cu130", "2.14.0+cu130")
    old, new = write_scaling_sides(tmp_path, num=3, candidate=SLOWER_LINKS, torches=torches, versions=("1", "2"))
    found = across(old, new, ["torch"])
    assert len(found.changes) == 6
    by_label = {change["label"]: change for change in found.changes}
    assert by_label["resnet18 fp32 train_step b64 4 ranks ddp"]["ratio_low"] > 1.03
    assert by_label["resnet18 fp32 train_step b64 1 rank ddp"]["ratio"] == pytest.approx(1, abs=0.03)
    assert {entry["label"] for entry in found.amp} == {"resnet18 amp-fp16 train_step b64 2 ranks ddp"}
    assert "backend of several devices differs too: nccl 1, nccl 2" in found.notes
    other = scaling_file(tmp_path / "h100.json", [make_scaling(run_id="h")], environment=h100())
    assert len(across(old, [other], ["gpu"]).changes) == 6
    assert gather([*old, *new]).across is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"backend": "gloo", "backend_version": "2.13.0"}, "backend nccl -> gloo"),
        ({"backend_version": "2.28.1"}, "NCCL 2.27.3 -> 2.28.1"),
        ({"all_reduce_s": (0.01,) * 5}, "bus bandwidth of a bare all-reduce 8.9"),
    ],
)
def test_causes_are_named_where_something_differs(changes: dict[str, Any], words: str | None) -> None:
    old = [make_scaling(seed=n) for n in range(3)]
    new = [make_scaling(seed=3 + n, **changes) for n in range(3)]
    found = exchange_causes(old, new)
    assert found is None if words is None else words in (found or "")


def test_a_bus_that_differs_by_no_more_than_its_processes_is_no_cause() -> None:
    old, new = (
        [make_scaling(seed=n, all_reduce_s=(seconds,)) for n, seconds in enumerate(times)]
        for times in ((0.005, 0.0056, 0.005), (0.0055, 0.0055, 0.0055))
    )
    assert exchange_causes(old, new) is None


def test_noise_of_a_machine_that_an_a_a_run_of_these_cells_found_widens_ratios_of_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = write_scaling_sides(tmp_path, num=3)
    floor = noise_floor(compared(old, new))
    assert "resnet18 fp32 train_step b64 2 ranks ddp" in floor.process_scatter
    assert bases(old[0]) == {"resnet18 amp-fp16 train_step b64 2 ranks ddp": "one run"}
    path = tmp_path / "noise.json"
    monkeypatch.setenv("PERFSUITE_NOISE", str(path))
    save_noise_floor(floor, path)
    assert bases(old[0])["resnet18 amp-fp16 train_step b64 2 ranks ddp"] == "noise floor"


def bases(path: Path) -> dict[str, str]:
    """Return what the intervals of AMP vs FP32 rest on, by cell."""
    rows = rows_of(scaling_frame(gather([path]).results))
    return {row["label"]: row["amp_speedup_ratio_basis"] for row in rows if row["amp_speedup_ratio"] is not None}

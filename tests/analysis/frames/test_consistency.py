"""Results that contradict each other are findings: below the tables and among the warnings of the report."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from builders import ENVIRONMENT, make_content, make_entry, make_pair, make_paired_entry, make_record, make_workload

from perfsuite.analysis.frames.consistency import consistency_findings
from perfsuite.analysis.frames.results import Results, collect
from perfsuite.analysis.frames.speedup import speedup_frame
from perfsuite.analysis.report.data import gather
from perfsuite.analysis.report.summary import warnings_of
from perfsuite.analysis.tables.registry import build_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def cells(fp32_s: float = 0.1, amp_s: float = 0.06, run_id: str = "run-1") -> list[dict[str, Any]]:
    return [
        make_entry(make_record(make_workload(precision=precision), run_id=run_id), [time, time * 1.01] * 15)
        for precision, time in (("fp32", fp32_s), ("amp-fp16", amp_s))
    ]


@pytest.fixture
def path(write_result: Callable[..., Path]) -> Path:
    """A run that measured a speed-up of 2 interleaved and of 1.67 in cells of their own."""
    return write_result(make_content([*cells(), make_paired_entry(make_pair())]))


def test_the_interleaved_ratio_leads_and_the_quotient_of_separate_cells_is_kept(path: Path) -> None:
    (row,) = speedup_frame(collect([path])).to_dict("records")
    assert (row["speedup_ratio"], row["speedup_source"]) == (pytest.approx(2.0, rel=0.01), "interleaved")
    assert row["separate_speedup_ratio"] == pytest.approx(0.1 / 0.06)
    assert row["speedup_ratio_basis"] == row["separate_speedup_ratio_basis"] == "one run"
    table = build_table("speedup", collect([path]))
    notes = (*table.legend, *table.notes)
    assert (
        "speed-up measured interleaved (-m interleaved): resnet18 train_step; images/s are of separate cells" in notes
    )


def test_cells_of_more_processes_lead_over_one_interleaved_pair(path: Path, write_result: Callable[..., Path]) -> None:
    others = [write_result(make_content(cells(run_id=f"run-{n}")), f"result-{n}.json") for n in (2, 3)]
    (row,) = speedup_frame(collect([path, *others])).to_dict("records")
    assert (row["speedup_source"], row["speedup_ratio_basis"]) == ("separate cells", "processes")
    assert row["interleaved_speedup_ratio"] == pytest.approx(2.0, rel=0.01)


def test_a_pair_of_another_environment_or_workload_does_not_lead(write_result: Callable[..., Path]) -> None:
    pair = make_pair(
        baseline=make_workload(batch_size=64), candidate=make_workload(batch_size=64, precision="amp-fp16")
    )
    (row,) = speedup_frame(collect([write_result(make_content([*cells(), make_paired_entry(pair)]))])).to_dict(
        "records"
    )
    assert row["speedup_source"] == "separate cells"
    assert row["interleaved_speedup_ratio"] is None


@pytest.mark.parametrize("name", ["steps", "speedup", "interleaved"])
def test_two_estimates_that_disagree_beyond_their_intervals_are_a_finding(name: str, path: Path) -> None:
    found = [note for note in build_table(name, collect([path])).notes if "two estimates" in note]
    assert len(found) == 1
    assert found[0].startswith("resnet18 amp-fp16 train_step b128: two estimates of the speed-up disagree")
    assert found[0] in warnings_of(gather([path]))


def test_two_estimates_that_agree_are_none(write_result: Callable[..., Path]) -> None:
    path = write_result(make_content([*cells(0.1, 0.05), make_paired_entry(make_pair())]))
    assert consistency_findings(collect([path])) == ()


def steps(
    write_result: Callable[..., Path], forward_s: float, backward_s: float, *, other_run: bool = False
) -> Results:
    files = {"run-1": [("train_step", 0.1)], "run-2": []}
    files["run-2" if other_run else "run-1"] += [("forward", forward_s), ("backward", backward_s)]
    paths = []
    for run_id, parts in files.items():
        entries = [make_entry(make_record(make_workload(phase=name), run_id=run_id), [t] * 10) for name, t in parts]
        paths.append(write_result(make_content(entries), f"{run_id}.json"))
    return collect(paths)


def test_parts_that_add_up_to_more_than_the_whole_are_a_finding(write_result: Callable[..., Path]) -> None:
    results = steps(write_result, 0.04, 0.072)
    (finding,) = consistency_findings(results)
    assert finding.startswith("resnet18 fp32 b128: forward 40.00 ms + backward 72.00 ms are 12% more than train_step")
    assert finding in build_table("steps", results).notes


def test_parts_within_5_percent_of_the_whole_or_of_another_process_are_none(write_result: Callable[..., Path]) -> None:
    assert consistency_findings(steps(write_result, 0.035, 0.069)) == ()
    assert consistency_findings(steps(write_result, 0.04, 0.072, other_run=True)) == ()


def test_findings_of_several_places_and_runs_name_them(write_result: Callable[..., Path]) -> None:
    paths = []
    for number, torch in enumerate(("2.5.0", "2.6.0")):
        run_id = f"run-{number}"
        parts = [
            make_entry(make_record(make_workload(phase=phase), run_id=run_id), [0.08] * 10)
            for phase in ("forward", "backward")
        ]
        content = [*cells(run_id=run_id), make_paired_entry(make_pair(run_id=run_id)), *parts]
        environment = dataclasses.replace(ENVIRONMENT, torch=torch)
        paths.append(write_result(make_content(content, environment=environment), f"{run_id}.json"))
    labels = [finding.partition(":")[0] for finding in consistency_findings(collect(paths))]
    assert labels == [
        *(f"resnet18 amp-fp16 train_step b128 (torch {torch})" for torch in ("2.5.0", "2.6.0")),
        *(f"resnet18 fp32 b128 ({name}.json)" for name in ("run-0", "run-1")),
    ]

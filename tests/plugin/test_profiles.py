"""Profiles are taken after the last timed cell, and never cost a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suite_run import QUICK

from perfsuite.records.cell import Record
from perfsuite.records.reading import read_record

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from suite_run import Run

PROFILED = [option for option in QUICK if option != "--perf-no-profile"]
CELLS = ("-m", "step", "--perf-models=resnet18", "--perf-precisions=fp32", "-k", "forward or train_step")


def records(run: Run) -> list[Record]:
    found = [read_record(entry["extra_info"]["perfsuite"]) for entry in run.content["benchmarks"]]
    return [record for record in found if isinstance(record, Record)]


def test_every_cell_is_profiled_once_all_are_timed(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*PROFILED, *CELLS, quick=False)
    first, second = records(run)
    for record in (first, second):
        assert record.profile is not None
        assert record.profile.kernels
        assert record.telemetry is not None
        assert record.metrics["step_flops"]
    assert first.profile is not None
    assert second.profile is not None
    assert second.profile.num_kernels > first.profile.num_kernels
    told = [line for line in run.text.splitlines() if line.startswith("where the time goes: ")]
    assert [line.partition(", ")[0][-6:] for line in told] == ["1 of 2", "2 of 2"]
    assert all(line.endswith(" left") for line in told)


def test_a_profile_that_fails_costs_no_number(run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    from perfsuite.measure import kernel_profile as profile

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUPTI is not permitted\nmore words")

    monkeypatch.setattr(profile, "profile_workload", broken)
    run = run_suite(*PROFILED, *CELLS, quick=False)
    run.result.assert_outcomes(passed=2)
    assert {record.profile for record in records(run)} == {None}
    assert "no profile: CUPTI is not permitted" in run.text
    assert "more words" not in run.text


def test_the_option_leaves_profiles_out(run_suite: Callable[..., Run]) -> None:
    assert {record.profile for record in records(run_suite(*CELLS))} == {None}


def test_the_phases_of_one_step_are_profiled_on_one_build(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.workloads.step import TrainingStep

    builds: list[str] = []
    original = TrainingStep.settle

    def settle(self: TrainingStep) -> None:
        builds.append(self.workload.phase)
        original(self)

    monkeypatch.setattr(TrainingStep, "settle", settle)
    run = run_suite(*PROFILED, *CELLS, quick=False)
    assert all(record.profile is not None for record in records(run))
    assert len(builds) == 3  # one a cell, and one for both profiles

"""`--perf-quick`: a first answer, marked as such; the head of a run says how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfsuite.records.cell import Record
from perfsuite.records.reading import read_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from suite_run import Run

SMALL = ("--perf-device=cpu", "--perf-batch-size=2", "--perf-models=resnet18", "--perf-precisions=fp32", "-m", "step")


def test_a_quick_run_measures_whole_steps_and_marks_its_results(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*SMALL, "--perf-quick", quick=False)
    run.result.assert_outcomes(passed=1, deselected=2)
    (entry,) = run.content["benchmarks"]
    record = read_record(entry["extra_info"]["perfsuite"])
    assert isinstance(record, Record)
    assert record.quick
    assert record.findings[0].startswith("measured with --perf-quick")
    assert record.profile is None
    assert record.absent["step_flops"] == "left out by --perf-quick"
    assert run.text.count("measured with --perf-quick") >= 1
    assert "1 step benchmark; how long they take is shown after the first one: --perf-quick" in run.text
    assert "--perf-quick, a first answer" in run.text


def test_the_head_on_a_cpu_claims_no_time_that_it_cannot_compute(run_suite: Callable[..., Run]) -> None:
    run = run_suite(*SMALL, "-k", "forward", "--benchmark-min-rounds=2", "--benchmark-max-time=0.01", quick=False)
    head = run.text.partition("results go to")[0]
    assert "1 step benchmark; how long they take is shown after the first one" in head
    assert "step benchmark: about" not in head  # a CPU has no data sheet to compute it from


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--perf-turn-time=0", "--perf-turn-time: '0' is not a time; whole seconds from 1 to 600 are allowed"),
        ("--perf-preheat=1e3", "--perf-preheat: '1e3' is not a time; whole seconds from 1 to 3600 are allowed"),
    ],
)
def test_a_time_that_is_none_ends_in_one_line(run_suite: Callable[..., Run], option: str, message: str) -> None:
    run = run_suite(option)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {message}" in run.text

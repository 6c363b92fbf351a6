"""`--perf-quick`: a first answer, marked as such; the head of a run says how long it takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from perfsuite.measure import harness, timed_pass
from perfsuite.measure.budget import MIN_LONG_ROUNDS
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
    assert re.search(r"1 step benchmark: about \d+ s: --perf-quick, less precise", run.text)
    assert "--perf-quick, less precise" in run.text


def head_of(run: Run) -> str:
    return run.text.partition("results go to")[0]


@pytest.mark.parametrize(
    ("options", "num_rounds"),
    [((), MIN_LONG_ROUNDS), (("--benchmark-min-rounds=10",), 10 + 2)],
)
def test_the_head_on_a_cpu_says_what_a_timed_pass_tells(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], num_rounds: int
) -> None:
    """A hundred seconds a step: so many rounds, 2 of warm-up, 2 to settle, 2 for memory, 4 for the profile."""
    monkeypatch.setattr(timed_pass, "_sample_s", lambda *_: 50.0)
    monkeypatch.setattr(harness, "measure", None)  # the head is all that is asked for
    run = run_suite(*SMALL, *options, "-k", "train_step", quick=False)
    found = re.search(r"1 step benchmark: about (\d+) min", head_of(run))
    assert found is not None
    assert (num_rounds + 9.5) * 100 < 60 * int(found[1]) < (num_rounds + 11.5) * 100


@pytest.mark.parametrize("reason", ["cannot be run", "compiled"])
def test_the_head_on_a_cpu_claims_no_time_that_it_cannot_compute(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    options = ["--perf-compile=default"] if reason == "compiled" else []
    monkeypatch.setattr(timed_pass, "_sample_s", lambda *_: 0.01 if reason == "compiled" else None)
    monkeypatch.setattr(harness, "measure", None)  # the head is all that is asked for
    run = run_suite(*SMALL, *options, "-k", "forward", quick=False)
    assert "1 step benchmark; the remaining time is shown after the first one" in head_of(run)
    assert "step benchmark: about" not in head_of(run)


@pytest.mark.parametrize(("slowdown", "is_said"), [(40.0, True), (1.5, False)])
def test_a_precision_that_the_cpu_emulates_is_said_before_it_takes_an_hour(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, slowdown: float, is_said: bool
) -> None:
    monkeypatch.setattr(timed_pass, "cpu_slowdown", lambda name: 1.0 if name == "fp32" else slowdown)
    monkeypatch.setattr(harness, "measure", None)
    run = run_suite(*SMALL[:3], "--perf-precisions=fp32,amp", "-m", "step", "-k", "forward", quick=False)
    line = "WARNING: amp-bf16: a convolution takes this CPU about 40 times as long as in fp32; it has no instructions"
    assert (line in head_of(run)) is is_said


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

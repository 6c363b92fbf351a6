"""Fixtures that measure a workload into a record; what goes wrong is one line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from perfsuite.errors import HarnessOverheadError, InconclusiveError, PerfsuiteError
from perfsuite.measure.budget import OVERHEAD_TIME_S
from perfsuite.measure.run_context import RunContext
from perfsuite.plugin.effort import effort_for
from perfsuite.plugin.outcomes import BENCHMARK, KEPT, WORKLOAD, fail_in_one_line, in_one_line
from perfsuite.plugin.progress import report_stage
from perfsuite.plugin.session import suite
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.cell import Record
    from perfsuite.records.pair import Comparison, PairedRecord
    from perfsuite.records.workload import Workload


Measured = TypeVar("Measured")


@pytest.fixture
def measure(request: pytest.FixtureRequest, benchmark: Any) -> Callable[[Workload], Record | None]:
    """Measure a workload with the `benchmark` fixture; skips and fails the cell with one line."""

    def run(workload: Workload) -> Record | None:
        from perfsuite.measure.harness import measure

        return measured(request, benchmark, workload, lambda context: measure(workload, benchmark, context))

    return run


@pytest.fixture
def measure_speedup(request: pytest.FixtureRequest, benchmark: Any) -> Callable[[Workload], PairedRecord | None]:
    """Measure a workload and the same in FP32 interleaved; skips and fails the cell with one line."""

    def run(workload: Workload) -> PairedRecord | None:
        from perfsuite.measure.paired import measure_speedup

        return measured(
            request, benchmark, workload, lambda context: measure_speedup(workload, BASELINE, benchmark, context)
        )

    return run


@pytest.fixture
def measure_switch(request: pytest.FixtureRequest, benchmark: Any) -> Callable[[Workload], PairedRecord | None]:
    """Measure a workload and the same with nothing switched on, interleaved; skips and fails with one line."""

    def run(workload: Workload) -> PairedRecord | None:
        from perfsuite.measure.switches import measure_switch

        return measured(request, benchmark, workload, lambda context: measure_switch(workload, benchmark, context))

    return run


@pytest.fixture
def measure_overhead(request: pytest.FixtureRequest, benchmark: Any) -> Callable[[Workload], PairedRecord | None]:
    """Measure a step as reported against a bare loop of it; fails unless the whole interval is within the limit.

    Both failures keep their readings: one beyond the limit is `failed`, one that cannot tell has an outcome of its own.
    """

    def run(workload: Workload) -> PairedRecord | None:
        from perfsuite.analysis.frames.overhead import decide_record
        from perfsuite.measure.overhead import measure_overhead

        extra_time_s = suite(request.config).options.overhead_time_s

        def against_bare(context: RunContext) -> PairedRecord | None:
            return measure_overhead(
                workload,
                benchmark,
                context,
                is_decided=lambda record: decide_record(record) != "cannot tell",
                extra_time_s=extra_time_s,
            )

        record = measured(request, benchmark, workload, against_bare)
        problem = None if record is None else _overhead_problem(record, extra_time_s)
        if problem is not None:
            request.node.stash[KEPT] = True
            fail_in_one_line(request.node, problem)
        return record

    return run


def _overhead_problem(record: PairedRecord, extra_time_s: int) -> PerfsuiteError | None:
    """Return why the harness overhead of a record is not shown to be within its limit, or None if it is."""
    from perfsuite.analysis.frames.overhead import MAX_MORE_S, decide_record, overhead_in_words, seconds_to_decide

    outcome, words = decide_record(record), overhead_in_words(record)
    if outcome == "pass":
        return None
    if outcome == "fail":
        return HarnessOverheadError(
            f"{words}: times of this suite contain its own overhead here; do not use them, and report this"
        )
    more_s = seconds_to_decide(record)
    if more_s is not None and more_s > MAX_MORE_S:
        return InconclusiveError(f"cannot tell: {words}")
    needed_s = extra_time_s + (max(more_s, 1.0) if more_s is not None else OVERHEAD_TIME_S)
    return InconclusiveError(f"cannot tell: {words}: --perf-overhead-time {math.ceil(needed_s / 10) * 10}")


@pytest.fixture
def measure_pipeline(
    request: pytest.FixtureRequest, benchmark: Any
) -> Callable[[Workload, Comparison], PairedRecord | None]:
    """Measure a step of full training against another way to feed it; skips and fails the cell with one line."""

    def run(workload: Workload, against: Comparison) -> PairedRecord | None:
        from perfsuite.measure.pipeline import measure_pipeline

        return measured(
            request, benchmark, workload, lambda context: measure_pipeline(workload, against, benchmark, context)
        )

    return run


def measured(
    request: pytest.FixtureRequest, benchmark: Any, workload: Workload, measure: Callable[[RunContext], Measured]
) -> Measured:
    """Measure a cell, and turn what goes wrong into one line."""
    state = suite(request.config)
    request.node.stash[BENCHMARK] = benchmark
    request.node.stash[WORKLOAD] = workload
    context = RunContext(
        device=state.device,
        clock=state.clock,
        process=state.process,
        effort=effort_for(request.config, request.node),
        report_stage=lambda stage: report_stage(request.config, stage),
    )
    try:
        return in_one_line(request.node, lambda: measure(context))
    except (KeyboardInterrupt, SystemExit):
        benchmark.skipped = True  # else pytest-benchmark complains that its fixture was not used
        raise

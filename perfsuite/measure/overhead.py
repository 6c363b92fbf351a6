"""Harness overhead: a training step as the suite reports it, interleaved with a bare loop of the same step."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from perfsuite.measure.budget import OVERHEAD_LOOKS
from perfsuite.measure.cell_setup import build_training_step, guard, memory_left_behind
from perfsuite.measure.clock import ClockStopwatch, independent_stopwatch
from perfsuite.measure.paired import StoppingRule, make_side, run_pair
from perfsuite.measure.telemetry import make_instrument
from perfsuite.workloads.bare_step import bare_step
from perfsuite.workloads.precision import applied_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfsuite.measure.cell_setup import BenchmarkFixture
    from perfsuite.measure.interleaving import InterleavedSide
    from perfsuite.measure.run_context import RunContext
    from perfsuite.measure.telemetry import Instrument
    from perfsuite.records.pair import PairedRecord
    from perfsuite.records.workload import Workload


def measure_overhead(
    workload: Workload,
    benchmark: BenchmarkFixture,
    context: RunContext,
    *,
    is_decided: Callable[[PairedRecord], bool],
    extra_time_s: float,
) -> PairedRecord | None:
    """Measure a training step as the suite reports it (candidate) against a bare loop of the same step (baseline).

    The reported side runs as in a cell: its hooks, its clock, NVML read at the same time. The bare side is what a user
    would write, timed by CUDA events on a GPU and by the host's bare clock on a CPU.

    Args:
        workload: The training step.
        benchmark: pytest-benchmark's fixture; a round of it is a block.
        context: Where, by which clock, in which process, with how much time.
        is_decided: Whether the readings so far show that the overhead is within its limit, or that it is not.
        extra_time_s: How long more blocks follow the first rounds while nothing is decided.

    Returns:
        The record, or None where pytest-benchmark is disabled and nothing was timed.

    Raises:
        PerfsuiteError: As from `measure_speedup`.
    """
    benchmark.group = f"{workload.model} harness overhead"
    with guard(benchmark, workload.label, device=context.device, clock=context.clock), contextlib.ExitStack() as undo:
        device = context.device
        findings = memory_left_behind(device)
        step = build_training_step(workload, device=device, report_stage=context.report_stage)
        undo.callback(step.close)
        with applied_to(workload):
            bare = bare_step(step)
        instrument = make_instrument(device)
        watch = instrument.start()
        undo.callback(instrument.stop, watch)
        instrument.pause(watch)
        sides = [
            make_side(step, bare, independent_stopwatch(device)),
            _observed(make_side(step, step.train_step, ClockStopwatch(context.clock)), instrument, watch),
        ]
        return run_pair(
            "overhead",
            sides,
            [step, step],
            benchmark,
            # Both sides are the same step: one clock is right.
            dataclasses.replace(context, effort=dataclasses.replace(context.effort, turn_s=None)),
            findings=findings,
            is_observed=False,
            stopping=StoppingRule(
                is_decided=is_decided, looks_s=tuple(share * extra_time_s for share in OVERHEAD_LOOKS)
            ),
        )


def _observed(side: InterleavedSide, instrument: Instrument, watch: Any) -> InterleavedSide:
    """Return a side whose turns are observed, as the rounds of a cell are: the thread that reads costs time too.

    One watch lasts over all turns, paused in those of the other side: a turn may be shorter than the thread's period.
    """

    @contextlib.contextmanager
    def active() -> Iterator[None]:
        with side.active():
            instrument.resume(watch)
            try:
                yield
            finally:
                instrument.pause(watch)

    return dataclasses.replace(side, active=active)

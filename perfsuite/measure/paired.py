"""Two things in alternation (A B B A) in one process, every reading kept: a ratio that drifting clocks cannot bend."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.errors import MeasurementError
from perfsuite.measure.budget import BUDGETS
from perfsuite.measure.clock import ClockStopwatch, DeviceClock, independent_stopwatch, warm_up
from perfsuite.measure.preparation import build_step, guard, memory_left_behind, no_new_skips
from perfsuite.measure.telemetry import make_instrument
from perfsuite.records import KEY, PairedRecord, Process, Workload
from perfsuite.workloads.bare_step import bare_step
from perfsuite.workloads.precision import applied, policy_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from perfsuite.measure.clock import Stopwatch
    from perfsuite.measure.preparation import Benchmark
    from perfsuite.measure.telemetry import Instrument
    from perfsuite.records import Comparison
    from perfsuite.workloads.step import TrainingStep

LIMITS_RATIO: dict[str, dict[str, float]] = {
    # Beyond it, the suite's own doing would stand in the numbers.
    "fidelity": {"cuda": 0.01, "cpu": 0.03},
    # A full training that is fed slower than this does not keep up with its step.
    "pipeline_step": {"cuda": 0.03},
}
"""How far candidate and baseline may be apart, by comparison and type of device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two that alternate.

    Attributes:
        run: One pass.
        stopwatch: Times a turn.
        in_force: What must hold while it runs, entered before a turn and left after it, outside the timed window.
    """

    run: Callable[[], object]
    stopwatch: Stopwatch
    in_force: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext


class Alternation:
    """Runs blocks of four turns: baseline, candidate, candidate, baseline.

    Within a block a steady drift of the clock adds as much to the two turns of one side as to those of the other.
    A turn that follows one of the other side begins with a pass outside the window, so that every timed pass finds
    caches as its own side leaves them.

    Attributes:
        num_passes: Passes in a turn.
        blocks: Seconds per pass of each turn, in the order in which they ran; one tuple of four for each block.
    """

    def __init__(self, baseline: Side, candidate: Side, *, num_passes: int) -> None:
        """Alternate two sides with so many passes in a turn."""
        self._baseline = baseline
        self._candidate = candidate
        self._last: Side | None = None
        self.num_passes = num_passes
        self.blocks: list[tuple[float, float, float, float]] = []

    def run_block(self) -> None:
        """Run one block and keep its readings."""
        a, b = self._baseline, self._candidate
        # Kept only when whole: an interrupted block is none.
        self.blocks.append((self._turn(a), self._turn(b), self._turn(b), self._turn(a)))

    def _turn(self, side: Side) -> float:
        with side.in_force():
            if side is not self._last:
                side.run()
            self._last = side
            token = side.stopwatch.start()
            for _ in range(self.num_passes):
                side.run()
            return side.stopwatch.stop(token) / self.num_passes


def measure_speedup(
    workload: Workload,
    baseline_precision: str,
    benchmark: Benchmark,
    *,
    device: torch.device,
    clock: DeviceClock,
    process: Process,
    report_stage: Callable[[str], None] = lambda _stage: None,
) -> PairedRecord | None:
    """Measure a workload against itself in another precision, alternating, on the same batch.

    Args:
        workload: The candidate.
        baseline_precision: Precision of the other side.
        benchmark: pytest-benchmark's fixture; a round of it is a block.
        device: Where.
        clock: The timer that the fixture reads, and that times the turns.
        process: Which process this is.
        report_stage: Told what is being done, in a word or two.

    Returns:
        The record, or None where pytest-benchmark is disabled and nothing was timed.

    Raises:
        NotSupportedError: This hardware lacks what the workload asks for.
        PrecisionNotInForceError: A precision asked for is not the one computed in.
        OutOfMemoryError: No room for both on the device.
        MeasurementError: A check on the measurement failed.
    """
    workloads = (dataclasses.replace(workload, precision=baseline_precision), workload)
    benchmark.group = f"{workload.model} {workload.phase} in alternation"
    label = f"{workload.label} beside {baseline_precision}"
    with guard(benchmark, label, device=device, clock=clock), contextlib.ExitStack() as undo:
        findings = memory_left_behind(device)
        steps = []
        for one in workloads:
            step, _ = build_step(one, device=device, report_stage=report_stage)
            undo.callback(step.close)
            if one.phase == "backward":
                with applied(step.policy):
                    step.retain_graph()
            steps.append(step)
        sides = [make_side(step, step.phase, ClockStopwatch(clock)) for step in steps]
        return run_pair(
            "speedup",
            sides,
            steps,
            benchmark,
            clock=clock,
            findings=findings,
            process=process,
            report_stage=report_stage,
        )


def measure_fidelity(
    workload: Workload,
    benchmark: Benchmark,
    *,
    device: torch.device,
    clock: DeviceClock,
    process: Process,
    report_stage: Callable[[str], None] = lambda _stage: None,
) -> PairedRecord | None:
    """Measure a training step as the suite reports it (candidate) against a bare loop of the same step (baseline).

    The reported side runs as in a cell: its hooks, its clock, NVML read beside it. The
    bare side is what a user would write, timed by CUDA events on a GPU and by the host's bare clock on a CPU.
    Arguments, result and errors are those of `measure_speedup`.
    """
    benchmark.group = f"{workload.model} fidelity"
    with guard(benchmark, workload.label, device=device, clock=clock), contextlib.ExitStack() as undo:
        findings = memory_left_behind(device)
        step, _ = build_step(workload, device=device, report_stage=report_stage)
        undo.callback(step.close)
        with applied(step.policy):
            bare = bare_step(step)
        instrument = make_instrument(device)
        watch = instrument.start()
        undo.callback(instrument.stop, watch)
        instrument.pause(watch)
        sides = [
            make_side(step, bare, independent_stopwatch(device)),
            _observed(make_side(step, step.train_step, ClockStopwatch(clock)), instrument, watch),
        ]
        return run_pair(
            "fidelity",
            sides,
            [step, step],
            benchmark,
            clock=clock,
            findings=findings,
            process=process,
            report_stage=report_stage,
        )


def make_side(step: TrainingStep, run: Callable[[], object], stopwatch: Stopwatch) -> Side:
    """Return a side that runs under the flags of a step's precision."""
    policy = policy_named(step.workload.precision)
    return Side(run=run, stopwatch=stopwatch, in_force=lambda: applied(policy))


def _observed(side: Side, instrument: Instrument, watch: Any) -> Side:
    """Return a side whose turns are observed, as the rounds of a cell are: the thread that reads costs time too.

    One watch lasts over all turns, paused in those of the other side: a turn may be shorter than the thread's period.
    """

    @contextlib.contextmanager
    def in_force() -> Iterator[None]:
        with side.in_force():
            instrument.resume(watch)
            try:
                yield
            finally:
                instrument.pause(watch)

    return dataclasses.replace(side, in_force=in_force)


def run_pair(
    comparison: Comparison,
    sides: list[Side],
    steps: list[TrainingStep],
    benchmark: Benchmark,
    *,
    clock: DeviceClock,
    findings: list[str],
    process: Process,
    report_stage: Callable[[str], None],
) -> PairedRecord | None:
    """Warm both sides up, let pytest-benchmark run the blocks as its rounds, and keep the readings of those it kept."""
    device_type = steps[0].device.type
    if benchmark.disabled:  # run once to see that it runs
        benchmark(Alternation(*sides, num_passes=1).run_block)
        return None
    report_stage("warming up")
    findings = [*findings]
    budget = BUDGETS[device_type]
    slowest = 0.0
    for side, step in zip(sides, steps, strict=True):
        with side.in_force():
            warmth = warm_up(
                side.run,
                clock,
                settled=no_new_skips(step),
                min_seconds=budget.min_warm_up_s,
                max_seconds=budget.max_warm_up_s,
            )
            slowest = max(slowest, _pass_seconds(side))
        if warmth.unsteady is not None:
            findings.append(f"{step.workload.precision}: {warmth.unsteady}")
    report_stage("timing")
    alternation = Alternation(*sides, num_passes=max(1, math.ceil(budget.min_round_s / slowest)))
    ends: list[int] = []  # how many blocks there were at the end of each round, the calibration's included
    clock.watch(lambda: len(alternation.blocks), lambda: ends.append(len(alternation.blocks)))
    skipped_before = {step: float(step.num_skipped) for step in steps}
    gc.collect()
    gc.freeze()
    try:
        benchmark(alternation.run_block)
    finally:
        gc.unfreeze()
        clock.unwatch()
    num_rounds = int(benchmark.stats["rounds"])
    if len(ends) < num_rounds:
        raise MeasurementError(f"{num_rounds} rounds, but the clock saw {len(ends)} end")
    first = ends[-1] - num_rounds * int(benchmark.stats["iterations"])
    num_skipped = sum(float(step.num_skipped) - before for step, before in skipped_before.items())
    if num_skipped:
        findings.append(f"{num_skipped:.0f} steps skipped the optimizer (overflow) and were faster")
    record = PairedRecord(
        comparison=comparison,
        baseline=steps[0].workload,
        candidate=steps[1].workload,
        num_passes=alternation.num_passes,
        blocks=tuple(alternation.blocks[first : ends[-1]]),
        limit_ratio=LIMITS_RATIO.get(comparison, {}).get(device_type),
        settings=steps[1].settings,
        findings=tuple(findings),
        process=process,
    )
    benchmark.extra_info[KEY] = record.to_json()
    return record


def _pass_seconds(side: Side, passes: int = 3) -> float:
    """Return the median time of a pass, so that a turn can be made long enough."""
    times = []
    for _ in range(passes):
        token = side.stopwatch.start()
        side.run()
        times.append(side.stopwatch.stop(token))
    return max(statistics.median(times), 1e-9)

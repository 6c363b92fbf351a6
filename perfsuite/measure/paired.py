"""Two things interleaved (ABBA) in one process, every reading kept: a drift-free ratio."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.errors import MeasurementError
from perfsuite.measure.budget import BUDGETS
from perfsuite.measure.clock import ClockStopwatch, DeviceClock, warm_up
from perfsuite.measure.preparation import build_step, guard, memory_left_behind, no_new_skips, objects_frozen
from perfsuite.records import KEY, PairedRecord, Process, Workload
from perfsuite.workloads.precision import applied, policy_named

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from perfsuite.measure.clock import Stopwatch
    from perfsuite.measure.preparation import Benchmark
    from perfsuite.records import Comparison
    from perfsuite.workloads.step import TrainingStep

LIMITS_RATIO: dict[str, dict[str, float]] = {
    # Beyond it, the results would contain the suite's own overhead.
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
    """Runs blocks of four turns: A B B A or B A A B, A the baseline.

    Within a block a steady drift of the clock adds as much to the two turns of one side as to those of the other. Of
    every two blocks one runs in the one order and one in the other, which of them first is drawn: what swings with a
    period of some turns adds to one side as often as to the other.
    A turn that follows one of the other side begins with an iteration outside the window, so that every timed iteration
    finds caches as its own side leaves them.

    Attributes:
        num_passes: Iterations in a turn.
        blocks: Seconds per iteration of the turns of each block, in the order A B B A whatever order they ran in.
    """

    def __init__(self, baseline: Side, candidate: Side, *, num_passes: int, seed: int = 0) -> None:
        """Interleave two sides with so many iterations in a turn; the seed is that of the drawn orders."""
        self._baseline = baseline
        self._candidate = candidate
        self._last: Side | None = None
        self._random = random.Random(seed)  # noqa: S311 - nothing here is secret
        self._is_reversed = False
        self.num_passes = num_passes
        self.blocks: list[tuple[float, float, float, float]] = []

    def run_block(self) -> None:
        """Run one block and keep its readings."""
        is_first_of_two = len(self.blocks) % 2 == 0
        self._is_reversed = self._random.random() < 0.5 if is_first_of_two else not self._is_reversed  # noqa: PLR2004 - a coin
        a, b = self._baseline, self._candidate
        order = (b, a, a, b) if self._is_reversed else (a, b, b, a)
        first, second, third, fourth = (self._turn(side) for side in order)
        # Kept only when whole: an interrupted block is none.
        self.blocks.append((second, first, fourth, third) if self._is_reversed else (first, second, third, fourth))

    def _turn(self, side: Side) -> float:
        with side.in_force():
            if side is not self._last:
                side.run()
            self._last = side
            token = side.stopwatch.start()
            for _ in range(self.num_passes):
                side.run()
            return side.stopwatch.stop(token) / self.num_passes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingRule:
    """When a measurement that goes on after its first rounds may stop.

    Attributes:
        is_decided: Whether the blocks so far are enough.
        looks_s: When that is asked, in seconds after the first rounds, rising; it ends with the last of them.
    """

    is_decided: Callable[[PairedRecord], bool]
    looks_s: tuple[float, ...]


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
    """Measure a workload against itself in another precision, interleaved, on the same batch.

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


def make_side(step: TrainingStep, run: Callable[[], object], stopwatch: Stopwatch) -> Side:
    """Return a side that runs under the flags of a step's precision."""
    policy = policy_named(step.workload.precision)
    return Side(run=run, stopwatch=stopwatch, in_force=lambda: applied(policy))


@objects_frozen()
def run_pair(  # noqa: PLR0913 - what three kinds of pair share
    comparison: Comparison,
    sides: list[Side],
    steps: list[TrainingStep],
    benchmark: Benchmark,
    *,
    clock: DeviceClock,
    findings: list[str],
    process: Process,
    report_stage: Callable[[str], None],
    stopping: StoppingRule | None = None,
) -> PairedRecord | None:
    """Warm both sides up, let pytest-benchmark run the blocks as its rounds, and keep the readings of those it kept.

    Where there is a stopping rule, more rounds follow until it is content.
    """
    device_type = steps[0].device.type
    if benchmark.disabled:  # run once to see that it runs
        benchmark(Alternation(*sides, num_passes=1).run_block)
        return None
    report_stage("warming up")
    num_passes, unsteady = _warm_both_up(sides, steps, clock)
    report_stage("timing")
    alternation = Alternation(*sides, num_passes=num_passes)
    ends: list[int] = []  # how many blocks there were at the end of each round, the calibration's included
    clock.watch(lambda: len(alternation.blocks), lambda: ends.append(len(alternation.blocks)))
    skipped_before = {step: float(step.num_skipped) for step in steps}
    try:
        benchmark(alternation.run_block)
        clock.unwatch()
        num_iterations = int(benchmark.stats["iterations"])
        # Not `rounds`: pytest-benchmark computes that once, and more of them may follow.
        num_rounds = len(benchmark.stats["data"])
        if len(ends) < num_rounds:
            raise MeasurementError(f"{num_rounds} rounds, but the clock saw {len(ends)} end")
        kept = alternation.blocks[ends[-1] - num_rounds * num_iterations : ends[-1]]

        def record() -> PairedRecord:
            return PairedRecord(
                comparison=comparison,
                baseline=steps[0].workload,
                candidate=steps[1].workload,
                num_passes=alternation.num_passes,
                blocks=tuple(kept),
                limit_ratio=LIMITS_RATIO.get(comparison, {}).get(device_type),
                settings=steps[1].settings,
                findings=(*findings, *unsteady),
                process=process,
                turn_order="abba_or_baab",
                num_looks=1 if stopping is None else len(stopping.looks_s),
            )

        def run_round() -> None:
            begin = clock()
            for _ in range(num_iterations):
                alternation.run_block()
            benchmark.stats.update(clock() - begin)
            kept.extend(alternation.blocks[-num_iterations:])

        if stopping is not None:
            measure_until_decided(
                run_round,
                lambda: stopping.is_decided(record()),
                stopping.looks_s,
                now=clock,
                report_stage=report_stage,
            )
    finally:
        clock.unwatch()
    measured = record()
    num_skipped = sum(float(step.num_skipped) - before for step, before in skipped_before.items())
    if num_skipped:
        finding = f"{num_skipped:.0f} steps skipped the optimizer (overflow) and were faster"
        measured = dataclasses.replace(measured, findings=(*measured.findings, finding))
    benchmark.extra_info[KEY] = measured.to_json()
    return measured


def measure_until_decided(
    run_round: Callable[[], None],
    is_decided: Callable[[], bool],
    looks_s: tuple[float, ...],
    *,
    now: Callable[[], float],
    report_stage: Callable[[str], None] = lambda _stage: None,
) -> None:
    """Run rounds until a look finds that they are enough, or the last look is over.

    Args:
        run_round: Runs one.
        is_decided: Whether there are enough of them.
        looks_s: When that is asked, in seconds from now, rising.
        now: Reads seconds.
        report_stage: Told what is being done, in a word or two.
    """
    begin = now()
    for look_s in looks_s:
        while now() - begin < look_s:
            run_round()
        if is_decided():
            return
        left_s = looks_s[-1] - (now() - begin)
        if left_s > 0:
            report_stage(f"cannot tell yet: up to {left_s:.0f} s more")


def _warm_both_up(sides: list[Side], steps: list[TrainingStep], clock: DeviceClock) -> tuple[int, list[str]]:
    """Warm both sides up.

    Returns:
        How many iterations make a turn long enough, and a finding for each side that did not become steady.
    """
    budget = BUDGETS[steps[0].device.type]
    slowest = 0.0
    findings = []
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
    return max(1, math.ceil(budget.min_round_s / slowest)), findings


def _pass_seconds(side: Side, passes: int = 3) -> float:
    """Return the median time of an iteration, so that a turn can be made long enough."""
    times = []
    for _ in range(passes):
        token = side.stopwatch.start()
        side.run()
        times.append(side.stopwatch.stop(token))
    return max(statistics.median(times), 1e-9)

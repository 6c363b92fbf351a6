"""Two things interleaved (ABBA) in one process, every reading kept: a drift-free ratio."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.errors import MeasurementError
from perfsuite.measure.budget import QUICK_FINDING, Effort
from perfsuite.measure.cell_setup import build_step, guard, memory_left_behind, no_new_skips, objects_frozen
from perfsuite.measure.clock import ClockStopwatch, DeviceClock
from perfsuite.measure.drift import change_between
from perfsuite.measure.interleaving import InterleavedSide, Interleaving
from perfsuite.measure.readings import findings_of
from perfsuite.measure.telemetry import NothingToSee, make_instrument
from perfsuite.measure.warm_up import warm_up
from perfsuite.records.pair import PairedRecord
from perfsuite.records.schema import KEY
from perfsuite.workloads.precision import applied_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.cell_setup import BenchmarkFixture
    from perfsuite.measure.clock import Stopwatch
    from perfsuite.measure.run_context import RunContext
    from perfsuite.records.pair import Comparison
    from perfsuite.records.workload import Workload
    from perfsuite.workloads.measurable import Measurable

LIMITS_RATIO: dict[str, dict[str, float]] = {
    # Beyond it, the results would contain the suite's own overhead.
    "overhead": {"cuda": 0.01, "cpu": 0.03},
    # A full training that is fed slower than this does not keep up with its step.
    "pipeline_step": {"cuda": 0.03},
}
"""How far candidate and baseline may be apart, by comparison and type of device."""


OBSERVED_BY_SIDE = "one side alone is observed while it runs, as the rounds of a cell are"


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
    benchmark: BenchmarkFixture,
    context: RunContext,
) -> PairedRecord | None:
    """Measure a workload against itself in another precision, interleaved, on the same batch.

    Args:
        workload: The candidate.
        baseline_precision: Precision of the other side.
        benchmark: pytest-benchmark's fixture; a round of it is a block.
        context: Where, by which clock, in which process, with how much time.

    Returns:
        The record, or None where pytest-benchmark is disabled and nothing was timed.

    Raises:
        NotSupportedError: This hardware lacks what the workload asks for.
        PrecisionNotActiveError: A precision asked for is not the one computed in.
        OutOfMemoryError: Both together do not fit the device's memory.
        MeasurementError: A check on the measurement failed.
    """
    workloads = (dataclasses.replace(workload, precision=baseline_precision), workload)
    benchmark.group = f"{workload.model} {workload.phase} interleaved"
    label = f"{workload.label} and {baseline_precision}"
    with guard(benchmark, label, device=context.device, clock=context.clock), contextlib.ExitStack() as undo:
        findings = memory_left_behind(context.device)
        steps = []
        for one in workloads:
            step = build_step(one, device=context.device, report_stage=context.report_stage).step
            undo.callback(step.close)
            with applied_to(one):
                step.prepare()
                step.capture()
            findings += step.findings
            steps.append(step)
        sides = [make_side(step, step.phase, ClockStopwatch(context.clock)) for step in steps]
        return run_pair(
            "speedup",
            sides,
            steps,
            benchmark,
            context,
            findings=findings,
        )


def make_side(step: Measurable, run: Callable[[], object], stopwatch: Stopwatch) -> InterleavedSide:
    """Return a side that runs under the flags of a step's precision."""
    return InterleavedSide(run=run, stopwatch=stopwatch, active=lambda: applied_to(step.workload))


@objects_frozen()
def run_pair(
    comparison: Comparison,
    sides: list[InterleavedSide],
    steps: list[Measurable],
    benchmark: BenchmarkFixture,
    context: RunContext,
    *,
    findings: list[str],
    stopping: StoppingRule | None = None,
    is_observed: bool = True,
) -> PairedRecord | None:
    """Warm both sides up, let pytest-benchmark run the blocks as its rounds, and keep the readings of those it kept.

    Where there is a stopping rule, more rounds follow until it is content. Hardware telemetry is read at the same time
    unless `is_observed` is False.
    """
    clock, effort, report_stage = context.clock, context.effort, context.report_stage
    device_type = steps[0].device.type
    if benchmark.disabled:  # run once to see that it runs
        benchmark(Interleaving(*sides, num_iterations=1).run_block)
        return None
    report_stage("warming up")
    sides, num_iterations, unstable = _warm_both_up(sides, steps, clock, effort)
    if effort.quick:
        unstable.append(QUICK_FINDING)
    report_stage("timing")
    interleaving = Interleaving(*sides, num_iterations=num_iterations)
    ends: list[int] = []  # how many blocks there were at the end of each round, the calibration's included
    clock.watch(lambda: len(interleaving.blocks), lambda: ends.append(len(interleaving.blocks)))
    skipped_before = {step: float(step.num_skipped) for step in steps}
    instrument = make_instrument(steps[0].device) if is_observed else NothingToSee(OBSERVED_BY_SIDE)
    watch = instrument.start()
    try:
        benchmark(interleaving.run_block)
        clock.unwatch()
        num_iterations = int(benchmark.stats["iterations"])
        # Not `rounds`: pytest-benchmark computes that once, and more of them may follow.
        num_rounds = len(benchmark.stats["data"])
        if len(ends) < num_rounds:
            raise MeasurementError(f"{num_rounds} rounds, but the clock saw {len(ends)} end")
        kept = interleaving.blocks[ends[-1] - num_rounds * num_iterations : ends[-1]]

        def record() -> PairedRecord:
            return PairedRecord(
                comparison=comparison,
                baseline=steps[0].workload,
                candidate=steps[1].workload,
                num_iterations=interleaving.num_iterations,
                blocks=tuple(kept),
                limit_ratio=LIMITS_RATIO.get(comparison, {}).get(device_type),
                settings=steps[1].settings,
                findings=(*findings, *unstable),
                process=context.process,
                turn_order="abba_or_baab",
                settle_s=_settle_s(effort),
                quick=effort.quick,
                num_looks=1 if stopping is None else len(stopping.looks_s),
            )

        def run_round() -> None:
            begin = clock()
            for _ in range(num_iterations):
                interleaving.run_block()
            benchmark.stats.update(clock() - begin)
            kept.extend(interleaving.blocks[-num_iterations:])

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
        telemetry = instrument.stop(watch)
    measured = record()
    num_skipped = sum(float(step.num_skipped) - before for step, before in skipped_before.items())
    skips = f"{num_skipped:.0f} steps skipped the optimizer (overflow) and were faster" if num_skipped else None
    drift = _drift_finding(measured.blocks, effort.budget(device_type).drift_ratio)
    doubts = [doubt for doubt in (skips, drift) if doubt is not None]
    measured = dataclasses.replace(
        measured, telemetry=telemetry, findings=(*measured.findings, *doubts, *findings_of(telemetry))
    )
    benchmark.extra_info[KEY] = measured.to_json()
    return measured


def _drift_finding(blocks: tuple[tuple[float, ...], ...], limit_ratio: float) -> str | None:
    """Return a finding, in words, if the ratio of the last third of the blocks differs from that of the first."""
    ratios = [math.sqrt(b * c / (a * d)) for a, b, c, d in blocks]
    third = len(ratios) // 3
    change = change_between(ratios[:third], ratios[len(ratios) - third :])
    if change is None or not change.is_beyond(limit_ratio):
        return None
    return f"the ratio changed by {change.ratio:+.1%} from the first third of the blocks to the last: it was not stable"


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
        report_stage: Called with the current stage, in a word or two.
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


def _settle_s(effort: Effort) -> float:
    """Return how long the untimed beginning of a turn is: half of it, where turns of some length are asked for."""
    return 0.0 if effort.turn_s is None else effort.turn_s / 2


def _warm_both_up(
    sides: list[InterleavedSide], steps: list[Measurable], clock: DeviceClock, effort: Effort
) -> tuple[list[InterleavedSide], int, list[str]]:
    """Warm both sides up.

    Returns:
        The sides, each with its number of untimed iterations; how many timed ones make a turn long enough; and a
        finding for each side whose times did not become stable.
    """
    device_type = steps[0].device.type
    budget = effort.budget(device_type)
    seconds = []
    findings = []
    for side, step in zip(sides, steps, strict=True):
        min_seconds, max_seconds = effort.warm_up_limits_s(device_type, is_warm=clock.history.is_warm)
        with side.active():
            warmth = warm_up(
                side.run,
                clock,
                settled=no_new_skips(step),
                min_seconds=min_seconds,
                max_seconds=max_seconds,
                stable_ratio=budget.stable_ratio,
            )
            seconds.append(_iteration_seconds(side))
        clock.history.is_warm = True
        if warmth.unstable is not None:
            findings.append(f"{step.workload.precision}: {warmth.unstable}")
    if effort.turn_s is None:
        return sides, max(1, math.ceil(budget.min_round_s / max(seconds))), findings
    settle_s = _settle_s(effort)
    settled = [
        dataclasses.replace(side, num_untimed=max(1, math.ceil(settle_s / once)))
        for side, once in zip(sides, seconds, strict=True)
    ]
    # The faster side's turn is long enough, the slower one's is longer.
    return settled, max(1, math.ceil((effort.turn_s - settle_s) / min(seconds))), findings


def _iteration_seconds(side: InterleavedSide, iterations: int = 3) -> float:
    """Return the median time of an iteration, so that a turn can be made long enough."""
    times = []
    for _ in range(iterations):
        token = side.stopwatch.start()
        side.run()
        times.append(side.stopwatch.stop(token))
    return max(statistics.median(times), 1e-9)

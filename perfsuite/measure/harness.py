"""Takes one Workload through pytest-benchmark and gives back one Record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.errors import MeasurementError
from perfsuite.measure.budget import QUICK_FINDING
from perfsuite.measure.cell_evidence import (
    LEDGER,
    LIMITS,
    MAX_OPERATORS,
    NOT_IN_QUICK,
    count_costs,
    explain_peak,
    measure_limits,
)
from perfsuite.measure.cell_setup import build_step, guard, memory_left_behind, no_new_skips, objects_frozen
from perfsuite.measure.drift import drift_finding
from perfsuite.measure.latency import measure_latencies
from perfsuite.measure.readings import findings_of
from perfsuite.measure.rounds import EnergyWindow, SkippedInRounds, more_rounds
from perfsuite.measure.starting import compile_metrics
from perfsuite.measure.step_memory import measure_step_memory
from perfsuite.measure.telemetry import make_instrument
from perfsuite.measure.warm_up import WarmUp, warm_up
from perfsuite.records.cell import Record
from perfsuite.records.schema import KEY
from perfsuite.records.telemetry import SPREAD_LIMIT_RATIO
from perfsuite.records.workload import INFERENCE
from perfsuite.workloads.build import build_workload
from perfsuite.workloads.precision import applied_to
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from perfsuite.measure.cell_setup import BenchmarkFixture, Make
    from perfsuite.measure.memory import PeakMemory
    from perfsuite.measure.run_context import RunContext
    from perfsuite.records.environment import Process
    from perfsuite.records.operators import OperatorCost
    from perfsuite.records.proof import ProofReading
    from perfsuite.records.telemetry import Telemetry
    from perfsuite.records.workload import Workload
    from perfsuite.workloads.measurable import Measurable


def measure(
    workload: Workload,
    benchmark: BenchmarkFixture,
    context: RunContext,
    *,
    make: Make = build_workload,
) -> Record | None:
    """Measure one cell and store its record under `extra_info["perfsuite"]`.

    In this order: build, verify the precision, warm up until stable, time the rounds, measure peak memory in iterations
    of their own. Whatever ends this early marks the benchmark as failed, so that no half-measured cell is ever saved.

    Args:
        workload: What to measure.
        benchmark: pytest-benchmark's fixture, with `clock` as its timer.
        context: Where, by which clock, in which process, with how much time.
        make: Builds it.

    Returns:
        The record, or None where pytest-benchmark is disabled and nothing was timed.

    Raises:
        NotSupportedError: This hardware lacks what the workload asks for.
        PrecisionNotActiveError: The precision asked for is not the one computed in.
        OutOfMemoryError: It does not fit the device's memory.
        MeasurementError: A check on the measurement failed.
    """
    benchmark.group = f"{workload.model} {workload.phase}"
    with guard(benchmark, workload.label, device=context.device, clock=context.clock):
        findings = memory_left_behind(context.device)
        with applied_to(workload):
            cell = _Cell(workload, benchmark, context, make)
            try:
                cell.run()
            finally:
                cell.close()
        if benchmark.disabled:
            return None
        record = cell.record(context.process, findings)
        benchmark.extra_info[KEY] = record.to_json()
    return record


class _Cell:
    """One cell while it is measured."""

    def __init__(self, workload: Workload, benchmark: BenchmarkFixture, context: RunContext, make: Make) -> None:
        self._make = make
        self._effort = context.effort
        self._budget = context.budget
        self._workload = workload
        self._benchmark = benchmark
        self._device = context.device
        self._clock = context.clock
        self._report_stage = context.report_stage
        self._step: Measurable | None = None
        self._proof: tuple[ProofReading, ...] = ()
        self._settings: dict[str, str | int | float | bool] = {}
        self._step_findings: tuple[str, ...] = ()
        self._warm_up = WarmUp(num_steps=0, seconds=0.0, unstable=None)
        self._peak: PeakMemory | None = None
        self._ledger: dict[str, int | float | None] = dict.fromkeys(LEDGER)
        self._ledger_absent: dict[str, str] = dict.fromkeys(LEDGER, NOT_IN_QUICK)
        self._instrument = make_instrument(self._device)
        self._telemetry: Telemetry | None = None
        self._limits: dict[str, int | float | None] = dict.fromkeys(LIMITS)
        self._limits_absent: dict[str, str] = dict.fromkeys(LIMITS, NOT_IN_QUICK)
        self._operators: tuple[OperatorCost, ...] = ()
        self._skipped: SkippedInRounds | None = None
        self._latencies_s: tuple[float, ...] = ()
        self._compiling: dict[str, int | float | None] = {}
        self._compiling_absent: dict[str, str] = {}

    def run(self) -> None:
        built = build_step(self._workload, device=self._device, report_stage=self._report_stage, make=self._make)
        self._step, self._proof = built.step, built.proof
        step = self._step
        self._settings, self._step_findings = step.settings, step.findings
        self._prepare_phase(step)
        if self._benchmark.disabled:  # run once to see that it runs
            self._benchmark(step.phase)
            return
        with objects_frozen():
            self._warm_up = self._warm_up_step(step)
            self._report_stage("timing")
            self._time_rounds(step)
            if self._workload.phase == INFERENCE:
                self._report_stage("timing single iterations")
                self._latencies_s = measure_latencies(step.phase, self._clock, max_time_s=self._budget.max_time_s)
        self._compiling, self._compiling_absent = compile_metrics(step, built.start)
        self._report_stage("measuring memory")
        self._peak = measure_step_memory(step)
        if self._effort.quick:
            return
        # After the peak: what the probes load stays in the device's memory.
        self._report_stage("probing limits")
        self._limits, self._limits_absent = measure_limits(step, self._clock)
        self._operators = count_costs(self._workload, self._limits, self._limits_absent)
        self._report_stage("predicting memory")
        self._ledger, self._ledger_absent = explain_peak(self._workload, self._peak.allocated_bytes)

    def _warm_up_step(self, step: Measurable) -> WarmUp:
        """Warm up, for longer where the device is cold."""
        min_seconds, max_seconds = self._effort.warm_up_limits_s(self._device.type, is_warm=self._clock.history.is_warm)
        done = warm_up(
            step.phase,
            self._clock,
            settled=no_new_skips(step),
            min_seconds=min_seconds,
            max_seconds=max_seconds,
            stable_ratio=self._budget.stable_ratio,
            read_clock_mhz=self._read_clock_mhz,
        )
        self._clock.history.is_warm = True
        return done

    def _read_clock_mhz(self) -> float | None:
        """Read the GPU's clock, and keep its temperature."""
        sample = self._instrument.read_sample()
        if sample is None:
            return None
        self._clock.history.note_temperature(self._clock(), sample.temperature_celsius)
        return sample.sm_clock_mhz

    def _time_rounds(self, step: Measurable) -> None:
        """Let pytest-benchmark run its rounds, then more until their mean is known; read energy over all of them."""
        skipped = self._skipped = SkippedInRounds(step, self._clock)
        try:
            energy = EnergyWindow(self._instrument, self._clock, step)
            watch = self._instrument.start()
            try:
                skipped.watch()
                self._run_benchmark(step)
                if self._effort.margin_ratio is not None:
                    skipped.watch()  # again: pytest-benchmark has run the step once more, untimed
                    more_rounds(
                        step.phase,
                        self._benchmark.stats,
                        self._clock,
                        margin_ratio=self._effort.margin_ratio,
                        confidence=self._effort.confidence,
                        max_time_s=self._budget.max_time_s,
                    )
            finally:
                telemetry = self._instrument.stop(watch)
            self._clock.unwatch()
            self._telemetry = energy.end(telemetry)
            self._read_clock_mhz()
        finally:
            self._clock.unwatch()

    def _run_benchmark(self, step: Measurable) -> None:
        """Let pytest-benchmark run the rounds, as few of them as may be where iterations are long."""
        iteration_s = self._warm_up.iteration_s
        if self._effort.has_long_rounds(self._device.type, iteration_s):
            num_rounds = self._effort.min_rounds(self._device.type, iteration_s)
            self._benchmark.pedantic(step.phase, rounds=num_rounds, iterations=1)
        else:
            self._benchmark(step.phase)

    def _prepare_phase(self, step: Measurable) -> None:
        if isinstance(step, TrainingStep) and self._workload.phase == "backward":
            self._settings["retained_backward_error"] = step.check_retained_backward()
        step.prepare()
        step.capture()

    def record(self, process: Process, findings: list[str]) -> Record:
        if self._peak is None:
            raise MeasurementError("the cell was not run to its end")
        num_rounds = len(self._benchmark.stats["data"])  # not `rounds`: computed once, and more may have followed
        num_iterations = int(self._benchmark.stats["iterations"])
        by_round = [] if self._skipped is None else self._skipped.by_round
        if len(by_round) < num_rounds:
            raise MeasurementError(f"{num_rounds} rounds, but the clock saw {len(by_round)} end")
        num_timed = num_rounds * num_iterations
        num_skipped = int(sum(by_round[-num_rounds:]))
        itemised: dict[str, int | float | None] = {
            "peak_reserved_bytes": self._peak.reserved_bytes,
            "rounding_bytes": self._peak.rounding_bytes,
            "cublas_workspace_bytes": self._peak.cublas_workspace_bytes,
            "outside_torch_bytes": self._peak.outside_torch_bytes,
        }
        return Record(
            workload=self._workload,
            metrics={
                "peak_allocated_bytes": self._peak.allocated_bytes,
                **itemised,
                **self._ledger,
                **self._limits,
                **self._compiling,
                "num_skipped_steps": num_skipped,
                "num_timed_steps": num_timed,
                "num_warm_up_steps": self._warm_up.num_steps,
                "warm_up_s": self._warm_up.seconds,
            },
            absent={
                **self._ledger_absent,
                **self._limits_absent,
                **self._compiling_absent,
                **{key: self._peak.absent or "" for key, value in itemised.items() if value is None},
            },
            settings=self._settings,
            proof=self._proof,
            findings=(*self._findings(num_skipped, num_timed), *findings),
            process=process,
            telemetry=self._telemetry,
            quick=self._effort.quick,
            latencies_s=self._latencies_s,
            operators=self._operators[:MAX_OPERATORS],
        )

    def _findings(self, num_skipped: int, num_timed: int) -> list[str]:
        findings = []
        if self._effort.quick:
            findings.append(QUICK_FINDING)
        if self._warm_up.unstable is not None:
            findings.append(self._warm_up.unstable)
        drift = drift_finding(self._benchmark.stats["data"], self._budget.drift_ratio)
        heating = self._clock.history.heating_finding(self._telemetry, advice=" (--perf-preheat loads it first)")
        findings += [finding for finding in (drift, heating) if finding is not None]
        findings += self._step_findings
        spread = float(self._benchmark.stats["iqr"]) / float(self._benchmark.stats["median"])
        if spread > SPREAD_LIMIT_RATIO:
            findings.append(
                f"the middle half of the rounds spreads over {spread:.0%} of their median: the machine was not stable, "
                "measure this cell again"
            )
        if num_skipped:
            findings.append(
                f"{num_skipped} of {num_timed} timed steps skipped the optimizer (overflow) and were faster"
            )
        return findings + ([] if self._telemetry is None else findings_of(self._telemetry))

    def close(self) -> None:
        if self._step is not None:
            self._step.close()
            self._step = None

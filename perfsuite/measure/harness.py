"""Takes one Workload through pytest-benchmark and gives back one Record."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from perfsuite.errors import MeasurementError, NotSupportedError
from perfsuite.measure.budget import BUDGETS
from perfsuite.measure.clock import DeviceClock, WarmUp, warm_up
from perfsuite.measure.dry_run import predict_memory
from perfsuite.measure.memory import PeakMemory, measure_peak_memory
from perfsuite.measure.preparation import build_step, guard, memory_left_behind, no_new_skips, objects_frozen
from perfsuite.measure.probes import probe_limits
from perfsuite.measure.readings import findings_of
from perfsuite.measure.telemetry import make_instrument
from perfsuite.measure.work import count_work
from perfsuite.records import KEY, Process, ProofReading, Record, Workload
from perfsuite.workloads.device_errors import first_line, is_out_of_memory
from perfsuite.workloads.precision import applied, policy_named

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from perfsuite.evidence import Telemetry
    from perfsuite.measure.preparation import Benchmark
    from perfsuite.workloads.step import TrainingStep

SPREAD_LIMIT_RATIO = 0.1
"""Interquartile range over median beyond which the rounds of a cell are called unsteady. On two cores of a shared
server 95% of 54 cells stayed below 0.063; the one cell beyond 0.1 had a median a third away from that of other runs."""

ENERGY_WINDOW_S = 2.0
"""Least length of the window whose energy is read, so that the counter's steps are a few percent of it at most."""

LIMITS = (
    "step_flops",
    "least_bytes",
    "probe_gemm_flops_per_second",
    "probe_conv_flops_per_second",
    "probe_copy_bytes_per_second",
)
"""The metrics that say what bounds a pass."""

LEDGER = (
    "parameters_bytes",
    "gradients_bytes",
    "optimizer_bytes",
    "activations_bytes",
    "autocast_bytes",
    "temporary_bytes",
    "other_bytes",
    "predicted_peak_bytes",
    "remainder_bytes",
)
"""The metrics that explain a peak: its parts at the moment of the peak, their sum, and what is left over."""


def measure(
    workload: Workload,
    benchmark: Benchmark,
    *,
    device: torch.device,
    clock: DeviceClock,
    process: Process,
    report_stage: Callable[[str], None] = lambda _stage: None,
) -> Record | None:
    """Measure one cell and store its record under `extra_info["perfsuite"]`.

    In this order: build, prove the precision, warm up until steady, time the rounds, measure peak memory in passes of
    their own. Whatever ends this early marks the benchmark as failed, so that no half-measured cell is ever saved.

    Args:
        workload: What to measure.
        benchmark: pytest-benchmark's fixture, with `clock` as its timer.
        device: Where.
        clock: The timer that the fixture reads.
        process: Which process this is.
        report_stage: Told what is being done, in a word or two.

    Returns:
        The record, or None where pytest-benchmark is disabled and nothing was timed.

    Raises:
        NotSupportedError: This hardware lacks what the workload asks for.
        PrecisionNotInForceError: The precision asked for is not the one computed in.
        OutOfMemoryError: No room on the device.
        MeasurementError: A check on the measurement failed.
    """
    benchmark.group = f"{workload.model} {workload.phase}"
    with guard(benchmark, workload.label, device=device, clock=clock):
        findings = memory_left_behind(device)
        with applied(policy_named(workload.precision)):
            cell = _Cell(workload, benchmark, device=device, clock=clock, report_stage=report_stage)
            try:
                cell.run()
            finally:
                cell.close()
        if benchmark.disabled:
            return None
        record = cell.record(process, findings)
        benchmark.extra_info[KEY] = record.to_json()
    return record


class _Cell:
    """One cell while it is measured."""

    def __init__(
        self,
        workload: Workload,
        benchmark: Benchmark,
        *,
        device: torch.device,
        clock: DeviceClock,
        report_stage: Callable[[str], None],
    ) -> None:
        self._workload = workload
        self._benchmark = benchmark
        self._device = device
        self._clock = clock
        self._report_stage = report_stage
        self._step: TrainingStep | None = None
        self._proof: tuple[ProofReading, ...] = ()
        self._settings: dict[str, str | int | float | bool] = {}
        self._warm_up = WarmUp(num_steps=0, seconds=0.0, unsteady=None)
        self._peak: PeakMemory | None = None
        self._ledger: dict[str, int | float | None] = {}
        self._ledger_absent: dict[str, str] = {}
        self._instrument = make_instrument(device)
        self._telemetry: Telemetry | None = None
        self._limits: dict[str, int | float | None] = {}
        self._limits_absent: dict[str, str] = {}
        self._num_skipped_at: list[float] = [0.0]  # the counter at the end of every round, the calibration's included

    def run(self) -> None:
        self._step, self._proof = build_step(self._workload, device=self._device, report_stage=self._report_stage)
        step = self._step
        self._settings = step.settings
        self._prepare_phase(step)
        if self._benchmark.disabled:  # run once to see that it runs
            self._benchmark(step.phase)
            return
        telemetry = self._time_rounds(step)
        self._report_stage("measuring energy")
        self._telemetry = self._with_energy(telemetry, step)
        self._report_stage("measuring memory")
        self._peak = self._measure_memory(step)
        # After the peak: what the probes load stays in the device's memory.
        self._report_stage("probing limits")
        self._limits, self._limits_absent = _limits(step, self._clock)
        self._report_stage("predicting memory")
        self._ledger, self._ledger_absent = _ledger(self._workload, self._peak.allocated_bytes)

    @objects_frozen()
    def _time_rounds(self, step: TrainingStep) -> Telemetry:
        """Warm up, let pytest-benchmark run its rounds, and return what the hardware did meanwhile."""
        budget = BUDGETS[self._device.type]
        self._warm_up = warm_up(
            step.phase,
            self._clock,
            settled=no_new_skips(step),
            min_seconds=budget.min_warm_up_s,
            max_seconds=budget.max_warm_up_s,
        )
        self._report_stage("timing")
        self._num_skipped_at = [float(step.num_skipped)]
        self._clock.watch(lambda: step.num_passes, lambda: self._num_skipped_at.append(float(step.num_skipped)))
        watch = self._instrument.start()
        try:
            self._benchmark(step.phase)
        finally:
            telemetry = self._instrument.stop(watch)
            self._clock.unwatch()
        return telemetry

    def _with_energy(self, telemetry: Telemetry, step: TrainingStep) -> Telemetry:
        """Add the energy of passes over a window of its own: the counter moves in coarse steps."""
        begin_joules = self._instrument.energy_joules()
        if begin_joules is None:
            reason = telemetry.absent.get("energy_joules", "this GPU has no energy counter")
            absent = {**telemetry.absent, "energy_joules": reason, "energy_num_images": reason}
            return dataclasses.replace(telemetry, absent=absent)
        begin, num_passes = self._clock(), 0
        begin_joules = self._instrument.energy_joules()
        while self._clock() - begin < ENERGY_WINDOW_S:
            for _ in range(10):
                step.phase()
            num_passes += 10
        end_joules = self._instrument.energy_joules()
        if begin_joules is None or end_joules is None:
            return telemetry
        return dataclasses.replace(
            telemetry,
            energy_joules=end_joules - begin_joules,
            energy_num_images=num_passes * self._workload.batch_size,
        )

    def _prepare_phase(self, step: TrainingStep) -> None:
        if self._workload.phase == "backward":
            self._settings["retained_backward_error"] = step.check_retained_backward()
            step.retain_graph()

    def _measure_memory(self, step: TrainingStep) -> PeakMemory:
        """Measure the phase as training runs it: the backward pass on a fresh graph that is freed as it is consumed."""
        step.release_graph()
        step.zero_gradients()
        graph: list[torch.Tensor] = []

        def prepare_backward() -> None:
            step.zero_gradients()
            graph[:] = [step.scaler.scale(step.forward())]

        def run_backward() -> None:
            graph.pop().backward()  # type: ignore[no-untyped-call]

        prepare, run = {
            "forward": (step.zero_gradients, step.forward),
            "backward": (prepare_backward, run_backward),
            "train_step": (lambda: None, step.train_step),
        }[self._workload.phase]
        return measure_peak_memory(prepare=prepare, run=run, device=self._device, resident=step.resident_tensors)

    def record(self, process: Process, findings: list[str]) -> Record:
        if self._peak is None:
            raise MeasurementError("the cell was not run to its end")
        num_rounds = int(self._benchmark.stats["rounds"])
        num_iterations = int(self._benchmark.stats["iterations"])
        if len(self._num_skipped_at) <= num_rounds:
            raise MeasurementError(f"{num_rounds} rounds, but the clock saw {len(self._num_skipped_at) - 1} end")
        num_timed = num_rounds * num_iterations
        num_skipped = int(self._num_skipped_at[-1] - self._num_skipped_at[-1 - num_rounds])
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
                "num_skipped_steps": num_skipped,
                "num_timed_steps": num_timed,
                "num_warm_up_steps": self._warm_up.num_steps,
                "warm_up_s": self._warm_up.seconds,
            },
            absent={
                **self._ledger_absent,
                **self._limits_absent,
                **{key: self._peak.absent or "" for key, value in itemised.items() if value is None},
            },
            settings=self._settings,
            proof=self._proof,
            findings=(*self._findings(num_skipped, num_timed), *findings),
            process=process,
            telemetry=self._telemetry,
        )

    def _findings(self, num_skipped: int, num_timed: int) -> list[str]:
        findings = []
        if self._warm_up.unsteady is not None:
            findings.append(self._warm_up.unsteady)
        spread = float(self._benchmark.stats["iqr"]) / float(self._benchmark.stats["median"])
        if spread > SPREAD_LIMIT_RATIO:
            findings.append(
                f"the middle half of the rounds spreads over {spread:.0%} of their median: the machine was not steady, "
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


def _limits(step: TrainingStep, clock: Callable[[], float]) -> tuple[dict[str, int | float | None], dict[str, str]]:
    """Return the least that a pass has to do and what the device can do at most, and the reasons for what is absent.

    Nothing that goes wrong here may cost the cell, which is measured already.
    """
    found: dict[str, int | float | None] = dict.fromkeys(LIMITS)
    absent: dict[str, str] = {}
    try:
        work = count_work(step.workload)
        found.update(step_flops=work.flops, least_bytes=work.least_bytes)
    except (NotSupportedError, MeasurementError, RuntimeError) as error:
        absent.update(dict.fromkeys(("step_flops", "least_bytes"), first_line(error)[:200]))
    try:
        limits = dataclasses.asdict(probe_limits(step.policy, device=step.device, clock=clock))
        found.update({f"probe_{key}": value for key, value in limits.items()})
    except (MemoryError, RuntimeError) as error:
        reason = "no room for the probes beside the cell" if is_out_of_memory(error) else first_line(error)[:200]
        absent.update({key: reason for key in LIMITS if key.startswith("probe_")})
    return found, absent


def _ledger(workload: Workload, measured_bytes: int) -> tuple[dict[str, int | float | None], dict[str, str]]:
    """Return what the measured peak is made of by a dry run, what is left over, and the reasons for what is absent."""
    try:
        prediction = predict_memory(workload)
    except (NotSupportedError, MeasurementError) as error:
        return dict.fromkeys(LEDGER), dict.fromkeys(LEDGER, str(error))
    parts: dict[str, int | float | None] = {**dataclasses.asdict(prediction)}
    del parts["peak_bytes"]
    return {
        **parts,
        "predicted_peak_bytes": prediction.peak_bytes,
        "remainder_bytes": measured_bytes - prediction.peak_bytes,
    }, {}

"""Takes one Workload through pytest-benchmark and gives back one Record."""

from __future__ import annotations

import dataclasses
import gc
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from perfsuite.errors import (
    MeasurementError,
    NotSupportedError,
    OutOfMemoryError,
    PerfsuiteError,
    PrecisionNotInForceError,
)
from perfsuite.measure.clock import DeviceClock, WarmUp, warm_up
from perfsuite.measure.dry_run import predict_memory
from perfsuite.measure.memory import PeakMemory, left_behind_bytes, measure_peak_memory, release_cached_memory
from perfsuite.metrics import MIB_BYTES
from perfsuite.records import KEY, Process, ProofReading, Record, Workload
from perfsuite.workloads.precision import applied, check_model, policy_named, prove, require_support
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable

LEFT_BEHIND_LIMIT_BYTES = 16 * MIB_BYTES
"""What may be allocated on a GPU before a cell without being called a leak: library workspaces that cannot be freed."""


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture, all of it public."""

    disabled: bool
    has_error: bool
    group: str | None
    extra_info: dict[str, Any]
    stats: Any

    def __call__(self, function_to_benchmark: Callable[[], object]) -> object:
        """Calibrate, run the rounds, and run once more for the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How a cell is measured on one type of device.

    Attributes:
        batch_size: N where none is asked for.
        min_rounds: Rounds that are always run.
        min_round_s: A round has as many iterations as it takes to last so long.
        max_time_s: Time for the rounds of a cell once `min_rounds` are done.
        min_warm_up_s: Warm-up is never shorter.
        max_warm_up_s: Warm-up is never longer.
    """

    batch_size: int
    min_rounds: int
    min_round_s: float
    max_time_s: float
    min_warm_up_s: float
    max_warm_up_s: float


BUDGETS = {
    # The study's batch. A GPU needs some tenths of a second of load to leave its idle clock; 18 cells of
    # 5 s, warm-up and building stay within three minutes.
    "cuda": Budget(
        batch_size=128, min_rounds=30, min_round_s=0.05, max_time_s=5.0, min_warm_up_s=1.0, max_warm_up_s=5.0
    ),
    # 18 cells within four minutes on two cores; a step takes tens to hundreds of milliseconds there, a round is one.
    "cpu": Budget(batch_size=8, min_rounds=20, min_round_s=5e-6, max_time_s=3.0, min_warm_up_s=0.3, max_warm_up_s=3.0),
}
SPREAD_LIMIT_RATIO = 0.1
"""Interquartile range over median beyond which the rounds of a cell are called unsteady. On two cores of a shared
server 95% of 54 cells stayed below 0.063; the one cell beyond 0.1 had a median a third away from that of other runs."""

LEDGER = (
    "parameters_bytes",
    "gradients_bytes",
    "optimizer_bytes",
    "activations_bytes",
    "temporary_bytes",
    "other_bytes",
    "predicted_peak_bytes",
    "remainder_bytes",
)
"""The metrics that explain a peak: its parts at the moment of the peak, their sum, and what is left over."""

PRECISION_TARGET = 0.01
"""Rounds go on until the mean is known within 1% ..."""
CONFIDENCE = 0.99
"""... with this confidence, or the time of the cell is spent."""


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
    policy = policy_named(workload.precision)
    try:
        require_support(policy, device)
        release_cached_memory(device)
        left_behind = left_behind_bytes(device)
        with applied(policy):
            cell = _Cell(workload, benchmark, device=device, clock=clock, report_stage=report_stage)
            try:
                cell.run()
            finally:
                cell.close()
    except BaseException as error:
        benchmark.has_error = True
        if is_out_of_memory(error):
            # The frames hold the cell's tensors; the next cell needs their room.
            traceback.clear_frames(error.__traceback__)
            raise OutOfMemoryError(f"out of memory: {workload.label} does not fit: {_first_line(error)}") from None
        raise
    finally:
        clock.unwatch()
        release_cached_memory(device)
    if benchmark.disabled:
        return None
    try:
        record = cell.record(process, left_behind)
        benchmark.extra_info[KEY] = record.to_json()
    except BaseException:
        benchmark.has_error = True
        raise
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
        self._num_skipped_at: list[float] = [0.0]  # the counter at the end of every round, the calibration's included

    def run(self) -> None:
        self._report_stage("building")
        budget = BUDGETS[self._device.type]
        step = self._step = TrainingStep(self._workload, device=self._device)
        self._settings = step.settings
        self._report_stage("proving precision")
        self._proof = prove(step.policy, self._device)
        check_model(step.policy, step.model, step.images)
        self._report_stage("warming up")
        step.settle()
        if step.policy.loss_scaling and not step.scale_is_dynamic():
            raise PrecisionNotInForceError(f"{step.policy.name} is not in force: the loss is not scaled")
        step.zero_gradients()
        self._prepare_phase(step)
        if self._benchmark.disabled:  # run once to see that it runs
            self._benchmark(step.phase)
            return
        self._warm_up = warm_up(
            step.phase,
            self._clock,
            settled=self._no_new_skips(step),
            min_seconds=budget.min_warm_up_s,
            max_seconds=budget.max_warm_up_s,
        )
        self._report_stage("timing")
        self._num_skipped_at = [float(step.num_skipped)]
        self._clock.watch(lambda: step.num_passes, lambda: self._num_skipped_at.append(float(step.num_skipped)))
        # What is alive now is no garbage: without this a collection in a round would walk all of torch's objects.
        gc.collect()
        gc.freeze()
        try:
            self._benchmark(step.phase)
        finally:
            gc.unfreeze()
            self._clock.unwatch()
        self._report_stage("measuring memory")
        self._peak = self._measure_memory(step)
        self._report_stage("predicting memory")
        self._ledger, self._ledger_absent = _ledger(self._workload, self._peak.allocated_bytes)

    def _prepare_phase(self, step: TrainingStep) -> None:
        if self._workload.phase == "backward":
            self._settings["retained_backward_error"] = step.check_retained_backward()
            step.retain_graph()

    def _no_new_skips(self, step: TrainingStep) -> Callable[[], bool]:
        """Whether the loss scale has found its level: no step skipped since the last time this was asked."""
        seen = float(step.num_skipped)

        def settled() -> bool:
            nonlocal seen
            before, seen = seen, float(step.num_skipped)
            return seen == before

        return settled

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

    def record(self, process: Process, left_behind: int) -> Record:
        if self._peak is None:
            raise MeasurementError("the cell was not run to its end")
        num_rounds = int(self._benchmark.stats["rounds"])
        num_iterations = int(self._benchmark.stats["iterations"])
        if len(self._num_skipped_at) <= num_rounds:
            raise MeasurementError(f"{num_rounds} rounds, but the clock saw {len(self._num_skipped_at) - 1} end")
        num_timed = num_rounds * num_iterations
        num_skipped = int(self._num_skipped_at[-1] - self._num_skipped_at[-1 - num_rounds])
        return Record(
            workload=self._workload,
            metrics={
                "peak_allocated_bytes": self._peak.allocated_bytes,
                "peak_reserved_bytes": self._peak.reserved_bytes,
                **self._ledger,
                "num_skipped_steps": num_skipped,
                "num_timed_steps": num_timed,
                "num_warm_up_steps": self._warm_up.num_steps,
                "warm_up_s": self._warm_up.seconds,
            },
            absent={
                **self._ledger_absent,
                **({} if self._peak.reserved_absent is None else {"peak_reserved_bytes": self._peak.reserved_absent}),
            },
            settings=self._settings,
            proof=self._proof,
            findings=tuple(self._findings(num_skipped, num_timed, left_behind)),
            process=process,
        )

    def _findings(self, num_skipped: int, num_timed: int, left_behind: int) -> list[str]:
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
        if left_behind > LEFT_BEHIND_LIMIT_BYTES:
            findings.append(
                f"{left_behind / MIB_BYTES:.0f} MiB were allocated before this cell began: peaks include it"
            )
        return findings

    def close(self) -> None:
        if self._step is not None:
            self._step.close()
            self._step = None


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch had no room: its own error on CUDA, the allocator's RuntimeError or MemoryError on a CPU."""
    if isinstance(error, PerfsuiteError):
        return False
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    signs = ("can't allocate memory", "CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]

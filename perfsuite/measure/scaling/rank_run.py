"""What one rank does: build, spread, check, warm up, time, measure memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch import distributed

from perfsuite.errors import MeasurementError
from perfsuite.measure.cell_setup import build_step, no_new_skips, objects_frozen
from perfsuite.measure.clock import DeviceClock, device_synchronizer
from perfsuite.measure.device import use_device
from perfsuite.measure.scaling.all_reduce import time_all_reduces
from perfsuite.measure.scaling.checks import check_exchange, require_all
from perfsuite.measure.scaling.job import RankResult
from perfsuite.measure.scaling.rank_group import joined
from perfsuite.measure.scaling.rank_memory import measure_rank_memory
from perfsuite.measure.scaling.strategies import make_rank_step, spread
from perfsuite.measure.scaling.turns import BlockPlan, TurnTimer
from perfsuite.measure.telemetry import CpuInstrument, make_instrument
from perfsuite.workloads.model_sources import load_model
from perfsuite.workloads.precision import applied_to
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from perfsuite.measure.scaling.job import RankProgress, ScalingJob
    from perfsuite.measure.scaling.rank_group import RankGroup
    from perfsuite.measure.scaling.strategies import SpreadStep
    from perfsuite.measure.telemetry import Instrument

ONE_RANK = "one rank has nobody to exchange anything with"


def run_rank(job: ScalingJob, rank: int, progress: RankProgress) -> RankResult:
    """Run one rank of a job; all ranks must run at the same time.

    Raises:
        PerfsuiteError: As from `build_step`; or a check of the measurement failed.
    """
    device = torch.device("cuda", job.gpus[rank]) if job.gpus else torch.device("cpu")
    use_device(device)
    if device.type == "cpu" and torch.get_num_threads() != job.num_threads:
        raise MeasurementError(
            f"torch computes with {torch.get_num_threads()} threads, {job.num_threads} were asked for"
        )
    for name in job.models:
        load_model(name)
    progress.begin("building")
    with applied_to(job.workload), joined(job, rank, device, progress) as group:
        spread_step, findings = _built(job, group, device, progress)
        return _measured(spread_step, findings, job, group, progress)


def _built(
    job: ScalingJob, group: RankGroup, device: torch.device, progress: RankProgress
) -> tuple[SpreadStep, tuple[str, ...]]:
    """Build a rank's step, verify its precision and spread it; nobody else keeps the step that is not spread."""
    built = build_step(
        job.workload,
        device=device,
        report_stage=lambda _stage: progress.tick(),
        make=lambda workload, where: make_rank_step(workload, where, group.rank),
    )
    if not isinstance(built.step, TrainingStep):
        raise MeasurementError(f"{job.workload.label} is not a training step")
    return spread(built.step, job, group.rank, progress.tick), built.step.findings


def _measured(
    spread_step: SpreadStep, found: tuple[str, ...], job: ScalingJob, group: RankGroup, progress: RankProgress
) -> RankResult:
    findings = list(found)
    absent = dict(spread_step.absent)
    clock = DeviceClock(device_synchronizer(spread_step.step.device))
    progress.begin("checking gradients")
    checks = check_exchange(spread_step, group, compressed=job.compression != "none")
    require_all(checks)
    timer = TurnTimer(spread_step, group, clock, settled=no_new_skips(spread_step.step))
    instrument = _instrument(spread_step.step.device, group)
    with objects_frozen():
        progress.begin("warming up")
        if job.is_timed:
            plan, unstable = timer.warm_up(job.budget)
            findings += [] if unstable is None else [unstable]
        else:
            plan = BlockPlan(num_iterations=1, num_blocks=1)
        progress.begin("timing")
        skipped_before = float(spread_step.step.num_skipped)
        watch = instrument.start()
        times = timer.time_blocks(plan)
        telemetry = instrument.stop(watch)
        num_skipped = int(float(spread_step.step.num_skipped) - skipped_before)
    progress.begin("timing all-reduces")
    all_reduce_s = _all_reduces(spread_step, job, group, clock)
    if not all_reduce_s:
        absent["all_reduce_s"] = ONE_RANK
    progress.begin("measuring memory")
    peak_bytes: int | None = None
    if job.is_timed:
        group.barrier()
        peak_bytes, reason = measure_rank_memory(spread_step)
        if peak_bytes is None:
            absent["peak_allocated_bytes"] = reason
        group.barrier()
    return RankResult(
        rank=group.rank,
        num_iterations=plan.num_iterations,
        alone_s=tuple(times["alone"]),
        no_exchange_s=tuple(times.get("no exchange", ())),
        exchange_s=tuple(times["exchange"]),
        all_reduce_s=all_reduce_s,
        gradient_bytes=spread_step.gradient_bytes(),
        peak_allocated_bytes=peak_bytes,
        backend_version=group.backend_version,
        checks=checks,
        settings=spread_step.settings,
        findings=tuple(findings),
        absent=absent,
        num_skipped=num_skipped,
        telemetry=telemetry,
    )


def _instrument(device: torch.device, group: RankGroup) -> Instrument:
    """Return what observes a rank's device; on a CPU the ranks are no strangers to each other."""
    if device.type == "cpu":
        return CpuInstrument(own_s=lambda: group.total(time.process_time()))
    return make_instrument(device)


def _all_reduces(spread_step: SpreadStep, job: ScalingJob, group: RankGroup, clock: DeviceClock) -> tuple[float, ...]:
    """Return the seconds of a bare all-reduce of the gradients' size on this rank [round]; nothing for one rank."""
    if job.world_size == 1:
        return ()
    dtype = spread_step.exchanged_dtype
    # Zeros stay zeros, however often they are added up; what they take does not depend on their values.
    numbers = torch.zeros(
        max(1, spread_step.gradient_bytes() // dtype.itemsize), dtype=dtype, device=spread_step.step.device
    )
    return time_all_reduces(
        lambda: distributed.all_reduce(numbers),
        barrier=group.barrier,
        clock=clock,
        agree=group.agree,
        num_rounds=job.budget.num_all_reduces if job.is_timed else 1,
    )

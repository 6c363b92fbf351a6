"""One cell: a training step on so many devices, by one strategy, measured by fresh ranks into one record."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from perfsuite.errors import NotSupportedError
from perfsuite.formatting import plural
from perfsuite.measure.budget import QUICK_FINDING
from perfsuite.measure.cell_evidence import NOT_IN_QUICK
from perfsuite.measure.cell_setup import guard
from perfsuite.measure.cpu_load import own_cores
from perfsuite.measure.drift import change_between
from perfsuite.measure.readings import findings_of
from perfsuite.measure.scaling.job import RankBudget, ScalingJob
from perfsuite.measure.scaling.launch import run_ranks
from perfsuite.measure.scaling.rank_memory import predict_rank_memory
from perfsuite.records.scaling import ScalingRecord
from perfsuite.records.schema import KEY
from perfsuite.workloads.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.measure.budget import Effort
    from perfsuite.measure.cell_setup import BenchmarkFixture
    from perfsuite.measure.run_context import RunContext
    from perfsuite.measure.scaling.job import RankResult
    from perfsuite.records.scaling import Compression, Strategy
    from perfsuite.records.telemetry import Telemetry
    from perfsuite.records.workload import Workload

MIN_TURN_S = 0.1
"""A turn of the fastest kind lasts so long: ranks leave a barrier within a fraction of a millisecond of each other."""

MIN_BLOCKS = {"cuda": 20, "cpu": 10}
QUICK_MIN_BLOCKS = 6
"""Of a cell; blocks of long steps are fewer, see `perfsuite.measure.scaling.turns`. There is no 95% interval of fewer
than six: the signs of five differences are alike by chance in 6% of all cases."""

BLOCKS_S = 10.0
QUICK_BLOCKS_S = 1.0
"""How long the blocks take together at least."""

NUM_ALL_REDUCES = 20
QUICK_NUM_ALL_REDUCES = 10

CPU_WORLD_SIZES = (1, 2)
"""Where the user asks for none, on a CPU."""

SHARED_CORES = (
    "a rank has no device of its own here: it computes on a fixed share of the cores, the same in every world size"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingCell:
    """What is measured.

    Attributes:
        workload: The step of one rank.
        models: How the user names the networks.
        world_size: Ranks.
        largest_world_size: Of all cells of the run: on a CPU it decides how many threads each rank has.
        strategy: `ddp` or `fsdp2`.
        compression: Of the gradients.
        scaling: Whether the batch of a rank was given, or the global one.
        timeout_s: How long no rank may make progress.
    """

    workload: Workload
    models: tuple[str, ...]
    world_size: int
    largest_world_size: int
    strategy: Strategy
    compression: Compression
    scaling: Literal["weak", "strong"]
    timeout_s: float


def default_world_sizes(device_type: str, num_gpus: int) -> tuple[int, ...]:
    """Return 1, 2, 4 and so on, up to all GPUs of this machine; 1 and 2 on a CPU."""
    if device_type != "cuda":
        return CPU_WORLD_SIZES
    powers = [2**exponent for exponent in range(num_gpus.bit_length()) if 2**exponent <= num_gpus]
    return tuple(dict.fromkeys([*powers, num_gpus]))


def rank_gpus(device: torch.device, world_size: int, num_gpus: int) -> tuple[int, ...]:
    """Return the index of each rank's GPU [rank]: the one that the user named first, then the others in torch's order.

    Raises:
        NotSupportedError: There are not so many.
    """
    if device.type != "cuda":
        return ()
    if world_size > num_gpus:
        raise NotSupportedError(f"{plural(world_size, 'rank')}: torch sees {plural(num_gpus, 'GPU')} here")
    first = device.index or 0
    return (first, *(index for index in range(num_gpus) if index != first))[:world_size]


def rank_threads(num_cores: int, largest_world_size: int) -> int:
    """Return how many threads each rank of a run has on a CPU, in every world size: an equal share of the cores."""
    return max(1, num_cores // largest_world_size)


def measure_scaling(cell: ScalingCell, benchmark: BenchmarkFixture, context: RunContext) -> ScalingRecord | None:
    """Measure one cell in fresh processes, and store its record under `extra_info["perfsuite"]`.

    pytest-benchmark times the whole cell, once: its own columns hold that. What steps take is in the record.

    Args:
        cell: What to measure.
        benchmark: pytest-benchmark's fixture.
        context: Where, in which process, with how much time.

    Returns:
        The record, or None where pytest-benchmark is disabled and nothing was timed.

    Raises:
        NotSupportedError: This machine lacks what the cell asks for.
        OutOfMemoryError: A rank ran out of memory.
        PerfsuiteError: A rank raised one, died or hung; the message names it.
    """
    benchmark.group = f"{cell.workload.model} scaling"
    refuse(cell)
    num_gpus = torch.cuda.device_count() if context.device.type == "cuda" else 0
    gpus = rank_gpus(context.device, cell.world_size, num_gpus)
    num_cores = len(own_cores())
    job = ScalingJob(
        workload=cell.workload,
        models=cell.models,
        world_size=cell.world_size,
        strategy=cell.strategy,
        compression=cell.compression,
        is_strong=cell.scaling == "strong",
        gpus=gpus,
        num_threads=rank_threads(num_cores, cell.largest_world_size),
        budget=rank_budget(context.effort, context.device.type, is_warm=context.clock.history.is_warm),
        is_timed=not benchmark.disabled,
        timeout_s=cell.timeout_s,
    )
    found: list[tuple[RankResult, ...]] = []
    with guard(benchmark, job.label, device=context.device, clock=context.clock):
        benchmark.pedantic(
            lambda: found.append(run_ranks(job, report_stage=context.report_stage)), rounds=1, iterations=1
        )
        (results,) = found
        context.clock.history.is_warm = True
        if benchmark.disabled:
            return None
        record = scaling_record(cell, job, results, context, num_cores=num_cores)
        benchmark.extra_info[KEY] = record.to_json()
    return record


def refuse(cell: ScalingCell) -> None:
    """Refuse what is not measured on several devices.

    Raises:
        NotSupportedError: The cell asks for it.
    """
    if not torch.distributed.is_available():
        raise NotSupportedError(f"torch {torch.__version__} is built without torch.distributed")
    if cell.workload.is_compiled or cell.workload.cuda_graphs:
        option = "--perf-compile" if cell.workload.is_compiled else "--perf-cuda-graphs"
        raise NotSupportedError(f"{option}: -m scaling measures eager steps")
    if not MODELS[cell.workload.model].classifies_images:
        raise NotSupportedError(
            f"{cell.workload.model}: -m scaling is of networks that classify images: their loss is the mean over the "
            "batch, so that the mean of the ranks' gradients can be checked against one process"
        )


def rank_budget(effort: Effort, device_type: str, *, is_warm: bool) -> RankBudget:
    """Return how long the parts of a cell take, from what the user gives."""
    min_warm_up_s, max_warm_up_s = effort.warm_up_limits_s(device_type, is_warm=is_warm)
    usual = QUICK_MIN_BLOCKS if effort.quick else MIN_BLOCKS[device_type]
    return RankBudget(
        min_warm_up_s=min_warm_up_s,
        max_warm_up_s=max_warm_up_s,
        stable_ratio=effort.budget(device_type).stable_ratio,
        min_turn_s=MIN_TURN_S,
        min_blocks=usual if effort.asked_rounds is None else effort.asked_rounds,
        blocks_s=QUICK_BLOCKS_S if effort.quick else BLOCKS_S,
        is_fixed=effort.asked_rounds is not None,
        num_all_reduces=QUICK_NUM_ALL_REDUCES if effort.quick else NUM_ALL_REDUCES,
    )


def scaling_record(
    cell: ScalingCell, job: ScalingJob, results: Sequence[RankResult], context: RunContext, *, num_cores: int
) -> ScalingRecord:
    """Put together what the ranks measured [rank]."""
    first = results[0]
    absent = dict(first.absent)
    if context.effort.quick:
        predicted_bytes, reason = None, NOT_IN_QUICK
    else:
        context.report_stage("predicting memory")
        predicted_bytes, reason = predict_rank_memory(job)
    if predicted_bytes is None:
        absent["predicted_peak_bytes"] = reason
    peaks = [result.peak_allocated_bytes for result in results]
    known_peaks = tuple(peak for peak in peaks if peak is not None)
    telemetry = _telemetry_of(results)
    findings = [QUICK_FINDING] if context.effort.quick else []
    if not job.gpus:
        findings += _findings_of_cores(job, num_cores)
    findings += _findings_of_results(results, telemetry, drift_limit_ratio=context.budget.drift_ratio)
    return ScalingRecord(
        workload=cell.workload,
        world_size=cell.world_size,
        strategy=cell.strategy,
        compression=cell.compression,
        scaling=cell.scaling,
        backend="nccl" if job.gpus else "gloo",
        backend_version=first.backend_version,
        num_iterations=first.num_iterations,
        alone_s=first.alone_s,
        no_exchange_s=tuple(result.no_exchange_s for result in results if result.no_exchange_s),
        exchange_s=tuple(result.exchange_s for result in results),
        all_reduce_s=_slowest_of([result.all_reduce_s for result in results]),
        gradient_bytes=first.gradient_bytes,
        peak_allocated_bytes=known_peaks if len(known_peaks) == len(results) else (),
        predicted_peak_bytes=predicted_bytes,
        absent=absent,
        checks=first.checks,
        settings=_settings_of(first, job, num_cores),
        findings=tuple(findings),
        process=context.process,
        telemetry=telemetry,
        quick=context.effort.quick,
    )


def _settings_of(first: RankResult, job: ScalingJob, num_cores: int) -> dict[str, str | int | float | bool]:
    settings: dict[str, str | int | float | bool] = {**first.settings, "launcher": "torch.distributed.run"}
    if job.gpus:
        settings["gpus"] = ",".join(map(str, job.gpus))
    else:
        settings |= {"threads_per_rank": job.num_threads, "num_cores": num_cores}
    return settings


def _findings_of_cores(job: ScalingJob, num_cores: int) -> list[str]:
    """Return what a reader should know of ranks that share the cores of one CPU."""
    shares = f"{plural(job.num_threads, 'thread')} a rank, {plural(num_cores, 'core')} in all"
    findings = [f"{SHARED_CORES} ({shares})"]
    if job.world_size * job.num_threads > num_cores:
        findings.append(
            f"{plural(job.world_size, 'rank')} on {plural(num_cores, 'core')}: ranks wait for each other's cores"
        )
    return findings


def _telemetry_of(results: Sequence[RankResult]) -> tuple[Telemetry, ...]:
    """Return the telemetry of all ranks [rank]; empty where none is read, on a CPU."""
    found = [result.telemetry for result in results if result.telemetry is not None]
    if found:
        found[0] = _without_launcher(found[0])  # rank 0 has the GPU that this process has
    return tuple(found)


def _findings_of_results(
    results: Sequence[RankResult], telemetry: Sequence[Telemetry], *, drift_limit_ratio: float
) -> list[str]:
    """Return what a reader should know of what the ranks measured."""
    by_rank = [list(result.findings) for result in results]
    if telemetry:
        for of_rank, of_gpu in zip(by_rank, telemetry, strict=True):
            of_rank.extend(findings_of(of_gpu))
    findings = _of_ranks(by_rank)
    num_skipped = sum(result.num_skipped for result in results)
    if num_skipped:
        findings.append(f"{num_skipped} timed steps skipped the optimizer (overflow) and were faster")
    blocks = zip(*(result.exchange_s for result in results), strict=True)
    slowest = [_slowest_of(block) for block in blocks]
    drift = _drift_finding(results[0].alone_s, slowest, drift_limit_ratio)
    if drift is not None:
        findings.append(drift)
    return findings


def _slowest_of(times_s: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the times of the slowest rank [turn], given those of all [rank, turn]: the others wait for it."""
    return tuple(max(turn) for turn in zip(*times_s, strict=True))


def _without_launcher(telemetry: Telemetry) -> Telemetry:
    """Return telemetry in which this process, which has a context on the first GPU, is no other process."""
    others = telemetry.num_other_processes
    if others is None or not others or not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return telemetry
    return dataclasses.replace(telemetry, num_other_processes=others - 1)


def _of_ranks(findings: Sequence[Sequence[str]]) -> list[str]:
    """Return what ranks found: once what all of them did, and with its rank what some did."""
    counts: dict[str, list[int]] = {}
    for rank, texts in enumerate(findings):
        for text in dict.fromkeys(texts):
            counts.setdefault(text, []).append(rank)
    return [
        text if len(ranks) == len(findings) else f"rank {', '.join(map(str, ranks))}: {text}"
        for text, ranks in counts.items()
    ]


def _drift_finding(
    alone_s: Sequence[Sequence[float]], exchange_s: Sequence[Sequence[float]], limit_ratio: float
) -> str | None:
    """Return a finding if the efficiency of the last third of the blocks differs from that of the first."""
    ratios = [sum(alone) / sum(exchange) for alone, exchange in zip(alone_s, exchange_s, strict=True)]
    third = len(ratios) // 3
    change = change_between(ratios[:third], ratios[len(ratios) - third :])
    if change is None or not change.is_beyond(limit_ratio):
        return None
    return (
        f"the ratio of a step alone to one with exchange changed by {change.ratio:+.1%} from the first third of the "
        "blocks to the last: it was not stable"
    )

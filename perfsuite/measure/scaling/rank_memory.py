"""Memory of a rank: measured in a step with exchange, and predicted by a dry run and what DDP keeps besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.errors import PerfsuiteError
from perfsuite.measure.dry_run import predict_memory
from perfsuite.measure.memory import measure_peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.memory_account import MemoryPrediction
    from perfsuite.measure.scaling.job import ScalingJob
    from perfsuite.measure.scaling.strategies import SpreadStep

FSDP2_NOT_PREDICTED = "what FSDP2 gathers, and when it frees it, is not followed by the dry run"


NUM_CPU_PASSES = 3
"""Measurements on a CPU, of which the least counts: where a thread of gloo is the last to hold a bucket of gradients,
the profiler does not see it freed and counts it on. In one of six measurements a rank had a bucket too much (torch
2.13); nothing makes one too small."""

FREED_ELSEWHERE = "gloo's threads free a part of it, which torch's profiler does not see"


def measure_rank_memory(spread: SpreadStep) -> tuple[int | None, str]:
    """Return the peak bytes of a rank in a step with exchange, or the reason why not; all ranks must call it.

    On a CPU it is measured for DDP whose gradients are not compressed: of all else, threads of gloo free a part, and
    the profiler's account keeps it (seen in torch 2.13: a fifth too much with gradients in BF16, and ranks that
    differed by a tenth under FSDP2). What the exchange keeps is allocated anew at the beginning: on a CPU no allocator
    knows what was allocated before.
    """
    spread.leave_alone_step()
    if spread.step.device.type == "cpu" and not spread.is_freed_by_its_own_thread:
        return None, FREED_ELSEWHERE
    num_passes = NUM_CPU_PASSES if spread.step.device.type == "cpu" else 1
    return min(_measured_once(spread) for _ in range(num_passes)), ""


def _measured_once(spread: SpreadStep) -> int:
    begun: list[Callable[[], object]] = []

    def prepare() -> None:
        if not begun:
            spread.wrap_anew()
            begun.append(spread.enter("exchange"))
        spread.step.zero_gradients()

    def run() -> object:
        return begun[0]()

    peak = measure_peak_memory(
        prepare=prepare,
        run=run,
        device=spread.step.device,
        resident=spread.resident_tensors,
    )
    return peak.allocated_bytes


def predict_rank_memory(job: ScalingJob) -> tuple[int | None, str]:
    """Return the peak bytes of a rank that a dry run predicts, and the reason where it cannot."""
    if job.strategy != "ddp":
        return None, FSDP2_NOT_PREDICTED
    try:
        prediction = predict_memory(job.workload)
    except PerfsuiteError as error:  # the ranks have measured: nothing that goes wrong here may cost the cell
        return None, str(error)
    return ddp_peak_bytes(prediction, compressed=job.compression == "bf16"), ""


def ddp_peak_bytes(prediction: MemoryPrediction, *, compressed: bool) -> int:
    """Return the peak of a rank under DDP from that of a step without.

    Its buckets hold as many bytes as all gradients, from the first step on and besides the gradients themselves
    (`gradient_as_bucket_view=False`, PyTorch's default). A hook that compresses has a copy in BF16 of each bucket that
    is on its way: at most of all gradients that there are at that moment, at the end of a backward pass of all.
    Activations are freed by then.

    Args:
        prediction: Of a training step of one process.
        compressed: Whether gradients are compressed to BF16.
    """
    gradients_bytes = prediction.optimizer_bytes  # momentum: one value of the same type for each gradient
    at_peak = prediction.peak_bytes + gradients_bytes + (prediction.gradients_bytes // 2 if compressed else 0)
    copies_bytes = gradients_bytes // 2 if compressed else 0
    resident = prediction.parameters_bytes + prediction.optimizer_bytes + prediction.other_bytes
    at_end = resident + 2 * gradients_bytes + copies_bytes
    return max(at_peak, at_end)

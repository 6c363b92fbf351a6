"""How much an iteration has to do at least, whatever the hardware: its arithmetic, and the bytes that it must move."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.measure.dry_run import predict_memory
from perfsuite.measure.operators import count_operators
from perfsuite.records.workload import INFERENCE, NOT_COMPILED

if TYPE_CHECKING:
    from perfsuite.records.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one iteration of a phase has to do.

    Attributes:
        flops: Floating-point operations of convolutions and matrix products; a multiply-add counts as two.
        min_bytes: Bytes that must move between the memory and the chip, were every cache perfect.
    """

    flops: int
    min_bytes: int


def count_work(workload: Workload) -> Work:
    """Count the work of an iteration, on fake tensors and without a GPU.

    Minimum bytes: forward, weights are read once, and what is kept for the backward pass is written once; backward,
    that and the weights are read, and gradients are written; the optimizer reads weights, gradients and momentum,
    and writes weights and momentum. Everything else might stay on the chip.

    Source: `torch.utils.flop_counter` for the arithmetic; the sizes are those of the dry run.

    Raises:
        NotSupportedError: This torch has no memory tracker, or a dry run cannot follow the network.
    """
    plain = dataclasses.replace(workload, compile_mode=NOT_COMPILED, cuda_graphs=False)
    flops = sum(one.num_calls * one.flops for one in count_operators(plain))
    if workload.phase == INFERENCE:
        # Weights are read once, and inputs; activations may all stay on the chip, and outputs are small.
        sizes = predict_memory(plain)
        return Work(flops=flops, min_bytes=sizes.parameters_bytes + sizes.other_bytes)
    kept = predict_memory(dataclasses.replace(plain, phase="forward"))
    weights = kept.parameters_bytes
    forward = weights + kept.activations_bytes + kept.autocast_bytes
    backward = kept.activations_bytes + (kept.autocast_bytes or weights) + weights
    min_bytes = {"forward": forward, "backward": backward, "train_step": forward + backward + 5 * weights}
    return Work(flops=flops, min_bytes=min_bytes[workload.phase])

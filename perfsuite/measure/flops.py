"""How much an iteration has to do at least, whatever the hardware: its arithmetic, and the bytes that it must move."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from perfsuite.errors import NotSupportedError
from perfsuite.measure.dry_run import fakes_followed, in_one_layout, predict_memory
from perfsuite.records.workload import CALL, INFERENCE, NOT_COMPILED
from perfsuite.workloads.step import TrainingStep

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
    if workload.phase == CALL:
        raise NotSupportedError("what a callable does is not known before it runs")
    plain = dataclasses.replace(in_one_layout(workload), compile_mode=NOT_COMPILED, cuda_graphs=False)
    if workload.phase == INFERENCE:
        return _count_inference(plain)
    flops = _count_flops(dataclasses.replace(plain, precision="fp32", phase="train_step"))
    kept = predict_memory(dataclasses.replace(plain, phase="forward"))
    weights = kept.parameters_bytes
    forward = weights + kept.activations_bytes + kept.autocast_bytes
    backward = kept.activations_bytes + (kept.autocast_bytes or weights) + weights
    min_bytes = {"forward": forward, "backward": backward, "train_step": forward + backward + 5 * weights}
    return Work(flops=flops[workload.phase], min_bytes=min_bytes[workload.phase])


def _count_inference(workload: Workload) -> Work:
    """Return the work of asking a network for its outputs: weights are read once, and inputs.

    Activations may all stay on the chip, and outputs are small.
    """
    forward = dataclasses.replace(workload, precision="fp32", phase="train_step")
    sizes = predict_memory(workload)
    return Work(flops=_count_flops(forward)["forward"], min_bytes=sizes.parameters_bytes + sizes.other_bytes)


@functools.lru_cache(maxsize=64)
def _count_flops(workload: Workload) -> dict[str, int]:
    """Return the operations of every phase; they are the same in every precision and layout."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    with fakes_followed(workload), FakeTensorMode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks on fake tensors
        step = TrainingStep(workload, device=torch.device("cpu"))
        with FlopCounterMode(display=False) as counter:
            loss = step.forward()
            forward = counter.get_total_flops()
            loss.backward()  # type: ignore[no-untyped-call]
            total = counter.get_total_flops()
    return {"forward": forward, "backward": total - forward, "train_step": total}

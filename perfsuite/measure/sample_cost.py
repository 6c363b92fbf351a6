"""What one sample costs a network about: from a table for the suite's own, else counted in one pass on the CPU."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import torch

from perfsuite.measure.trial_step import MIN_BATCH_SIZE, look_at_step
from perfsuite.precisions import BASELINE
from perfsuite.records.workload import IMAGE_SIZE, Workload, has_cifar_stem
from perfsuite.workloads.model_spec import Cost
from perfsuite.workloads.models import MODELS, STEM_STRIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.workloads.step import TrainingStep

UNKNOWN = Cost(num_parameters=0, forward_gmacs=0.0, kept_megabytes=0.0)
"""Of a network that cannot be run: its benchmarks say why."""


def sample_cost(model: str, *, image_size: int, num_classes: int) -> Cost:
    """Return about what one sample costs.

    Args:
        model: Name of the network.
        image_size: H and W in pixels.
        num_classes: K.

    Raises:
        KeyError: An unknown name.
    """
    known = MODELS[model].cost
    if known is None:
        return _counted(model, image_size, num_classes)
    scale = (image_size / IMAGE_SIZE) ** 2
    if not has_cifar_stem(image_size):
        scale /= STEM_STRIDE**2
    return dataclasses.replace(
        known, forward_gmacs=known.forward_gmacs * scale, kept_megabytes=known.kept_megabytes * scale
    )


@functools.lru_cache(maxsize=64)
def _counted(model: str, image_size: int, num_classes: int) -> Cost:
    """Run one training step, and count operations and what is kept for the backward pass."""
    workload = Workload(
        model=model,
        precision=BASELINE,
        phase="train_step",
        batch_size=MIN_BATCH_SIZE,
        image_size=image_size,
        num_classes=num_classes,
        device_type="cpu",
    )
    cost = look_at_step(_cost_of, workload, device=torch.device("cpu"))
    return UNKNOWN if cost is None else cost


def _cost_of(step: TrainingStep) -> Cost:
    from torch.utils.flop_counter import FlopCounterMode

    parameters = {parameter.untyped_storage().data_ptr() for parameter in step.model.parameters()}
    kept = _Kept(parameters)
    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda tensor: tensor),
    ):
        loss = step.loss()
    num_bytes = kept.num_bytes
    del loss
    return Cost(
        num_parameters=sum(parameter.numel() for parameter in step.model.parameters()),
        forward_gmacs=counter.get_total_flops() / 2e9 / step.workload.batch_size,
        kept_megabytes=num_bytes / 1e6 / step.workload.batch_size,
    )


class _Kept:
    """Adds up the storages that autograd keeps for the backward pass, each once, weights left out."""

    def __init__(self, parameters: set[int]) -> None:
        self._parameters = parameters
        self._seen: set[int] = set()
        self.num_bytes = 0

    @property
    def pack(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The hook of `saved_tensors_hooks`."""

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            address = storage.data_ptr()
            if address not in self._parameters and address not in self._seen:
                self._seen.add(address)  # all of them live until the backward pass
                self.num_bytes += storage.nbytes()
            return tensor

        return pack

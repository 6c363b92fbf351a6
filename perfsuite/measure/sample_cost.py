"""What one sample costs a network about: from a table for the suite's own, else counted in one pass on the CPU."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import TYPE_CHECKING

import torch

from perfsuite.records.workload import IMAGE_SIZE, Workload, has_cifar_stem
from perfsuite.workloads.model_spec import Cost
from perfsuite.workloads.models import MODELS, STEM_STRIDE
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable

PASS_BATCH_SIZE = 2
"""Of the pass that counts: of one sample, batch normalisation has no variance where an image has become one pixel."""

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
    from torch.utils.flop_counter import FlopCounterMode

    workload = Workload(
        model=model,
        precision="fp32",
        phase="train_step",
        batch_size=PASS_BATCH_SIZE,
        image_size=image_size,
        num_classes=num_classes,
        device_type="cpu",
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its benchmarks show them
            step = TrainingStep(workload, device=torch.device("cpu"))
            parameters = {parameter.untyped_storage().data_ptr() for parameter in step.model.parameters()}
            kept = _Kept(parameters)
            with (
                FlopCounterMode(display=False) as counter,
                torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda tensor: tensor),
            ):
                loss = step.loss()
            num_parameters = sum(parameter.numel() for parameter in step.model.parameters())
            num_bytes = kept.num_bytes
            del loss
            step.close()
    except (Exception, SystemExit):  # noqa: BLE001 - a user's code may raise anything, and its benchmarks say what
        return UNKNOWN
    return Cost(
        num_parameters=num_parameters,
        forward_gmacs=counter.get_total_flops() / 2e9 / PASS_BATCH_SIZE,
        kept_megabytes=num_bytes / 1e6 / PASS_BATCH_SIZE,
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

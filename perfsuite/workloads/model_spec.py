"""What a network of the suite is: how it is built, what it is fed with, what its loss is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from perfsuite.records.workload import IMAGE_SIZE, NUM_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Tensors = Any
"""A tensor, or a tuple, list or dictionary of such; other values in it are passed on as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSizes:
    """What the user chooses of a batch.

    Attributes:
        batch_size: N, samples in a batch.
        image_size: H and W in pixels, where the samples are images.
        num_classes: K, where the network classifies.
    """

    batch_size: int
    image_size: int = IMAGE_SIZE
    num_classes: int = NUM_CLASSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a network is fed with, and what its outputs are compared with.

    Attributes:
        inputs: A tensor, which is the network's only argument; a tuple of its arguments; or a dictionary of its
            keyword arguments.
        targets: What the loss is given in addition to the outputs.
    """

    inputs: Tensors
    targets: Tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one sample costs about; only ever used to estimate times.

    Attributes:
        num_parameters: Of the network.
        forward_gmacs: Multiply-accumulates of the forward pass of one sample, in 1e9.
        kept_megabytes: What is kept of one sample for the backward pass in FP32, in 1e6 bytes.
    """

    num_parameters: int
    forward_gmacs: float
    kept_megabytes: float


def image_batch(sizes: InputSizes, generator: torch.Generator) -> Batch:
    """Return random images and their classes.

    The pixels are standard normal, as those of photographs are after normalisation: zeros or constants would draw less
    power and run faster on a GPU than real images do.

    Returns:
        Inputs [N, 3, H, W] float32 and targets [N] int64.
    """
    size = sizes.image_size
    images = torch.randn(sizes.batch_size, 3, size, size, generator=generator)  # N C H W
    labels = torch.randint(sizes.num_classes, (sizes.batch_size,), generator=generator)  # N
    return Batch(inputs=images, targets=labels)


def classification_loss(outputs: Tensors, targets: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of the first tensor of the outputs.

    Args:
        outputs: [N, K] logits, or a tuple or dictionary that begins with them.
        targets: [N] int64, classes.

    Returns:
        The mean over the batch, [] float32.
    """
    return nn.functional.cross_entropy(next(tensors_in(outputs)), targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A network, its batch and its loss: all that a benchmark has to know of it.

    Attributes:
        build: Builds the network, float32, on the CPU or wherever torch's default device is.
        batch: Makes a batch on the CPU, random numbers from the generator alone.
        loss: Outputs of the network and targets of the batch -> a scalar to be minimised, [] floating point.
        image_size: H and W in pixels, where the user chooses none.
        num_classes: K, where the user chooses none.
        name: What it is called in results and tables; that of the source it was loaded from.
        source: What it was loaded from: the bytes of a file, or a package and its version. None for networks of the
            suite itself.
        cost: What a sample costs about, of a network that is known; found by a pass where it is None.
    """

    build: Callable[[InputSizes], nn.Module]
    batch: Callable[[InputSizes, torch.Generator], Batch] = image_batch
    loss: Callable[[Tensors, Tensors], torch.Tensor] = classification_loss
    image_size: int = IMAGE_SIZE
    num_classes: int = NUM_CLASSES
    name: str = ""
    source: bytes | None = None
    cost: Cost | None = None

    @property
    def classifies_images(self) -> bool:
        """Whether it can be trained on images and their classes: it has both the batch and the loss for it."""
        return self.batch is image_batch and self.loss is classification_loss


def tensors_in(value: Tensors) -> Iterator[torch.Tensor]:
    """Yield the tensors of a nested value, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors_in(item)


def map_tensors(value: Tensors, change: Callable[[torch.Tensor], torch.Tensor]) -> Tensors:
    """Return a nested value with every tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: map_tensors(item, change) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = [map_tensors(item, change) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return value


def run_network(network: Callable[..., Tensors], inputs: Tensors) -> Tensors:
    """Return the outputs of a network: a tuple holds its arguments, a dictionary its keyword arguments."""
    if isinstance(inputs, dict):
        return network(**inputs)
    if isinstance(inputs, tuple):
        return network(*inputs)
    return network(inputs)

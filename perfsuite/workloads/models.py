"""The ResNets, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from perfsuite.parsing import choose
from perfsuite.records.workload import IMAGE_SIZE, NUM_CLASSES
from perfsuite.workloads.torchvision_import import import_torchvision

MIN_STRIDED_STEM_SIZE = 64
"""From this size of an image on, in pixels, a network has torchvision's own stem (7x7, stride 2, max-pool), which is
made for 224: it leaves 16x16 of 64 pixels, half of what the CIFAR form keeps of its 32, and 1/16 of the work."""

STEM_STRIDE = 4
"""Of torchvision's own stem: 2 of the convolution, 2 of the max-pool. Source: He et al., Deep Residual Learning for
Image Recognition, 2015, table 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A network of the suite.

    Attributes:
        name: Its name, which is torchvision's.
        num_parameters: Parameters in CIFAR form with 10 classes.
        forward_gmacs: Multiply-accumulates of one 3x32x32 image, in 1e9; only ever used to estimate times.
        kept_megabytes: What is kept of one such image for the backward pass in FP32, in 1e6 bytes; the same.
    """

    name: str
    num_parameters: int
    forward_gmacs: float
    kept_megabytes: float


# Source of the parameter counts and of the multiply-accumulates (convolutions and the linear layer): counted on the
# built networks, `torch.utils.flop_counter` divided by two for the latter. What is kept: dry runs on fake tensors, the
# difference of two batch sizes. tests/workloads/test_models.py counts again, what is kept of two of the networks.
MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(name="resnet18", num_parameters=11_173_962, forward_gmacs=0.556, kept_megabytes=4.7),
        ModelSpec(name="resnet34", num_parameters=21_282_122, forward_gmacs=1.159, kept_megabytes=8.0),
        ModelSpec(name="resnet50", num_parameters=23_520_842, forward_gmacs=1.298, kept_megabytes=25.5),
        ModelSpec(name="resnet101", num_parameters=42_512_970, forward_gmacs=2.510, kept_megabytes=38.9),
        ModelSpec(name="resnet152", num_parameters=58_156_618, forward_gmacs=3.722, kept_megabytes=55.4),
    )
}

MEMORY_FORMATS: dict[str, torch.memory_format] = {
    "contiguous": torch.contiguous_format,
    "channels_last": torch.channels_last,
}


def has_cifar_stem(image_size: int) -> bool:
    """Whether a network for images of so many pixels has the stem of the CIFAR form."""
    return image_size < MIN_STRIDED_STEM_SIZE


def build_model(
    name: str,
    *,
    device: torch.device,
    memory_format: str = "contiguous",
    seed: int = 0,
    image_size: int = IMAGE_SIZE,
    num_classes: int = NUM_CLASSES,
) -> nn.Module:
    """Build a torchvision ResNet, in training mode, float32, with seeded initial weights.

    For images below 64 pixels in CIFAR form: a 3x3 stem of stride 1 with 64 channels and no max-pool; for larger ones
    with torchvision's own stem. Input [N, 3, H, W] float32, output [N, K].
    Source: README.md, "Which networks".

    Args:
        name: A name from `MODELS`.
        device: Where the parameters live.
        memory_format: A name from `MEMORY_FORMATS`.
        seed: Seed of the initial weights; the global random state is left as it was.
        image_size: H and W in pixels.
        num_classes: K.

    Raises:
        InvalidChoiceError: An unknown name or memory format.
        InstallationError: torchvision does not import.
    """
    choose(MODELS, name, kind="model")
    layout = choose(MEMORY_FORMATS, memory_format, kind="memory format")
    constructor = getattr(import_torchvision().models, name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = constructor(weights=None, num_classes=num_classes)
        if has_cifar_stem(image_size):
            model.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
            model.maxpool = nn.Identity()
    if layout != torch.contiguous_format or any(parameter.device != device for parameter in model.parameters()):
        model = model.to(device=device, memory_format=layout)  # not where it changes nothing: fake tensors refuse it
    return cast("nn.Module", model.train())

"""CIFAR-10 as the networks see it; so far synthetic batches of its shape."""

from __future__ import annotations

import torch

from perfsuite.records.workload import IMAGE_SIZE, NUM_CLASSES
from perfsuite.workloads.models import MEMORY_FORMATS


def synthetic_batch(
    batch_size: int,
    *,
    device: torch.device,
    image_size: int = IMAGE_SIZE,
    num_classes: int = NUM_CLASSES,
    memory_format: str = "contiguous",
    seed: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one batch of random images and labels on the device.

    The pixels are standard normal, as CIFAR-10 is after normalisation: zeros or constants would draw less power and
    run faster on a GPU than real images do.

    Returns:
        Images [N, 3, H, W] float32 and labels [N] int64.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch_size, 3, image_size, image_size, generator=generator)  # N C H W
    labels = torch.randint(num_classes, (batch_size,), generator=generator)  # N
    return images.to(device).contiguous(memory_format=MEMORY_FORMATS[memory_format]), labels.to(device)

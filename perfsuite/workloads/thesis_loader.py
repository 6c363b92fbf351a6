"""The input pipeline as the thesis had it: DataLoader, per-image transforms, a loss read back at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from perfsuite.workloads.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from collections.abc import Generator

NUM_WORKERS = 2
"""Cores of the thesis's machine. Source: Google Colab, 2021."""

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
"""Of CIFAR-10's training images as ratios. Source: computed from the 50,000 of them; any value takes as long."""


class _Images(Dataset[tuple[torch.Tensor, int]]):
    """Images as torchvision's CIFAR10 gives them: a picture from an array, then the transforms."""

    def __init__(
        self, images: np.ndarray[Any, np.dtype[np.uint8]], labels: np.ndarray[Any, np.dtype[np.uint8]]
    ) -> None:
        transforms: Any = import_torchvision().transforms
        self._images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))  # N H W C
        self._labels = labels.astype(int).tolist()
        self._transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, DEVIATION)])

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        return self._transform(Image.fromarray(self._images[index])), self._labels[index]


def thesis_batches(
    images: np.ndarray[Any, np.dtype[np.uint8]],
    labels: np.ndarray[Any, np.dtype[np.uint8]],
    *,
    batch_size: int,
    device: torch.device,
    num_workers: int = NUM_WORKERS,
) -> Generator[tuple[torch.Tensor, torch.Tensor], None, None]:
    """Yield full batches for ever, epoch after epoch, moved to the device one by one.

    Args:
        images: [N, 3, 32, 32] uint8.
        labels: [N] uint8.
        batch_size: n, images in a batch.
        device: Where they go.
        num_workers: Processes that transform.
    """
    loader = DataLoader(
        _Images(images, labels),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )
    while True:
        for pixels, targets in loader:
            yield pixels.to(device), targets.to(device)

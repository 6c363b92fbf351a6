"""The images of a full training: bytes on the device, cast and normalised there, batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from perfsuite.workloads.models import MEMORY_FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class DeviceImages:
    """Images on the device as bytes, cast and normalised there, batch by batch.

    Attributes:
        num_images: How many.
        num_bytes: What they hold of the device's memory.
    """

    def __init__(
        self,
        images: np.ndarray[Any, np.dtype[np.uint8]],
        labels: np.ndarray[Any, np.dtype[np.uint8]],
        *,
        device: torch.device,
        memory_format: str,
        scale: torch.Tensor,
        shift: torch.Tensor,
    ) -> None:
        """Move images [N, 3, H, W] and labels [N] to the device; a pixel becomes `byte * scale + shift` per channel."""
        self._images = torch.from_numpy(np.ascontiguousarray(images)).to(device)  # N C H W uint8
        self._labels = torch.from_numpy(labels.astype(np.int64)).to(device)  # N
        self._format = MEMORY_FORMATS[memory_format]
        self._scale, self._shift = scale.to(device), shift.to(device)
        self.num_images = len(labels)
        self.num_bytes = self._images.numel() + 8 * len(labels)

    def batches(
        self,
        batch_size: int,
        order: torch.Tensor | None = None,
        *,
        first: int = 0,
        share: Callable[[int], slice] | None = None,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield images [n, 3, H, W] float32, normalised, and labels [n] int64, in this order; nothing waits.

        Args:
            batch_size: n, but for the last batch.
            order: Rows [N] int64 on the device; None for as they stand.
            first: Number of the batch to begin with.
            share: Gives the part of so many images that is wanted of each batch; all of them if not given. Where it is
                empty, the first image stands for it.
        """
        for start in range(first * batch_size, self.num_images, batch_size):
            if order is None:
                pixels, labels = self._images[start : start + batch_size], self._labels[start : start + batch_size]
            else:
                rows = order[start : start + batch_size]
                if share is not None:
                    rows = _part(rows, share)
                pixels, labels = self._images.index_select(0, rows), self._labels.index_select(0, rows)
            yield self._normalised(pixels), labels

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        images = torch.addcmul(self._shift, pixels.float(), self._scale)
        return images.contiguous(memory_format=self._format)


def _part(rows: torch.Tensor, share: Callable[[int], slice]) -> torch.Tensor:
    part = rows[share(len(rows))]
    return part if len(part) else rows[:1]


COUNTED_AT_ONCE = 500
"""Images: counting makes eight bytes of each of their pixels."""


def normalisation(
    images: np.ndarray[Any, np.dtype[np.uint8]], rows: np.ndarray[Any, np.dtype[np.int64]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scale and shift [1, 3, 1, 1] that give each channel of these rows of the images mean 0 and deviation 1."""
    counts = np.zeros((3, 256), np.int64)  # C, value of a pixel
    for start in range(0, len(rows), COUNTED_AT_ONCE):
        block = images[rows[start : start + COUNTED_AT_ONCE]]  # n C H W
        for channel in range(3):
            counts[channel] += np.bincount(block[:, channel].ravel(), minlength=256)
    values = np.arange(256.0)
    total = counts.sum(axis=1)
    mean = counts @ values / total
    deviation = np.sqrt(np.maximum(counts @ values**2 / total - mean**2, 1e-6))
    scale = torch.tensor(1 / deviation, dtype=torch.float32).view(1, 3, 1, 1)
    shift = torch.tensor(-mean / deviation, dtype=torch.float32).view(1, 3, 1, 1)
    return scale, shift

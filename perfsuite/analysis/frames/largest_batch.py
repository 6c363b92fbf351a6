"""The largest batch that fits a GPU, from what a run of smaller ones shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BatchBasis = Literal["measured", "predicted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchMemory:
    """What a training step of one batch size took.

    Attributes:
        batch_size: N.
        peak_bytes: The larger of its measured and its predicted peak; None where neither is known.
        resident_bytes: Of it, what does not grow with the batch and is always there: weights, momentum, and gradients
            where they are kept; None where no dry run itemised the peak.
    """

    batch_size: int
    peak_bytes: float | None
    resident_bytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LargestBatch:
    """What is known of the largest batch that fits.

    Attributes:
        size: At least as many images fit; None where nothing is known to fit.
        basis: Whether that was measured, or is predicted.
        too_large: The smallest batch size that was tried and ran out of memory, or None.
    """

    size: int | None
    basis: BatchBasis | None
    too_large: int | None


def largest_batch(
    measured: Sequence[BatchMemory], out_of_memory: Iterable[int], capacity_bytes: int | None
) -> LargestBatch:
    """Return the largest batch size that is known to fit, or predicted to.

    The peak is the largest of what is alive at each moment of a step, and that grows with the batch along a straight
    line. At every moment what is resident does not grow. So between two batch sizes the rest grows at most in
    proportion: resident + (peak - resident) * size / measured size is never below the peak of a larger batch, and what
    is predicted from it is never too large a batch, but for what no dry run knows: workspaces of cuDNN that grow faster
    than the batch, and memory that is free but in pieces.

    Args:
        measured: Steps that had a result.
        out_of_memory: Batch sizes that ran out of memory.
        capacity_bytes: What there is for tensors; None where that is not known.
    """
    if not measured:
        return LargestBatch(size=None, basis=None, too_large=min(out_of_memory, default=None))
    fits = max(one.batch_size for one in measured)
    too_large = min((size for size in out_of_memory if size > fits), default=None)
    predicted = None if capacity_bytes is None else _predicted(measured, capacity_bytes)
    if predicted is None or predicted <= fits:
        return LargestBatch(size=fits, basis="measured", too_large=too_large)
    if too_large is not None and predicted >= too_large:  # the machine knows better
        return LargestBatch(size=fits, basis="measured", too_large=too_large)
    return LargestBatch(size=predicted, basis="predicted", too_large=too_large)


def _predicted(measured: Sequence[BatchMemory], capacity_bytes: int) -> int | None:
    """Return how many images fit by the largest batch whose peak is itemised: the nearest is the most exact."""
    itemised = [one for one in measured if one.peak_bytes is not None and one.resident_bytes is not None]
    if not itemised:
        return None
    nearest = max(itemised, key=lambda one: one.batch_size)
    assert nearest.peak_bytes is not None and nearest.resident_bytes is not None  # noqa: S101, PT018 - chosen so
    growing = nearest.peak_bytes - nearest.resident_bytes
    if growing <= 0:
        return None
    return math.floor(nearest.batch_size * (capacity_bytes - nearest.resident_bytes) / growing)

"""What a network predicted for each test image, as text in a record: a whole number an image, base64, not compressed.

The number is the true class times the number of classes plus the predicted class, in as few bytes as the largest takes,
least significant first. 10,000 images of ten classes take 13,336 characters, of a hundred 26,668. Nothing is
compressed, so a text holds no more images than its length says.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.errors import RecordError
from perfsuite.records.workload import NUM_CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence

Outcomes = np.ndarray[Any, np.dtype[np.int64]]
"""[N] of `number of classes * true class + predicted class`, in the order of the split."""

MAX_PREDICTION_BYTES = 30_000
"""Of one record, before base64: half more than 10,000 test images of up to 256 classes take, and no longer in base64
than a text in a file may be."""

MAX_CONFUSION_CLASSES = 256
"""A matrix of more classes is left out of a record: that of 1,000 would be a million numbers."""


def max_predictions(num_classes: int) -> int:
    """Return of how many test images at most a record keeps the predictions."""
    return MAX_PREDICTION_BYTES // _type_for(num_classes).itemsize


def _type_for(num_classes: int) -> np.dtype[Any]:
    """Return the smallest type that holds every outcome."""
    if num_classes**2 <= 2**8:
        return np.dtype("<u1")
    return np.dtype("<u2" if num_classes**2 <= 2**16 else "<u4")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscordantCounts:
    """Test images that one of two networks predicts correctly and the other does not: the input of McNemar's test.

    Attributes:
        num_only_baseline: Correct in the baseline alone (b).
        num_only_candidate: Correct in the candidate alone (c).
        num_images: Test images.
    """

    num_only_baseline: int
    num_only_candidate: int
    num_images: int


def pack_predictions(outcomes: Sequence[int] | Outcomes, num_classes: int = NUM_CLASSES) -> str:
    """Return the text of outcomes [N]."""
    numbers = np.array(list(outcomes), np.int64)
    return base64.b64encode(numbers.astype(_type_for(num_classes)).tobytes()).decode("ascii")


def unpack_predictions(
    text: str, num_images: int, num_classes: int = NUM_CLASSES, where: str = "test_predictions"
) -> Outcomes:
    """Return the outcomes in a text, each checked.

    Args:
        text: What `pack_predictions` returned, or what a file holds in its place.
        num_images: How many there must be.
        num_classes: How many classes there are.
        where: Its name in messages.

    Raises:
        RecordError: Too many images, another length, characters that are not base64, or an outcome of no class.
    """
    dtype, most = _type_for(num_classes), max_predictions(num_classes)
    if not 0 < num_images <= most:
        raise RecordError(f"{where}: {num_images} test images; from 1 to {most:,} are allowed")
    num_characters = 4 * -(-num_images * dtype.itemsize // 3)
    if len(text) != num_characters:
        raise RecordError(
            f"{where} has {len(text):,} characters; {num_images:,} test images of {num_classes} classes take "
            f"{num_characters:,} in base64"
        )
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecordError(f"{where} is not base64: {error}") from None
    if len(content) != num_images * dtype.itemsize:
        raise RecordError(f"{where} holds {len(content):,} bytes; {num_images * dtype.itemsize:,} are needed")
    outcomes = np.frombuffer(content, dtype).astype(np.int64)
    largest = int(outcomes.max())
    if largest >= num_classes**2:
        raise RecordError(
            f"{where} holds {largest}; {num_classes} * true class + predicted class is at most {num_classes**2 - 1}"
        )
    return outcomes


def confusion_of(outcomes: Sequence[int] | Outcomes, num_classes: int = NUM_CLASSES) -> tuple[tuple[int, ...], ...]:
    """Return how many images of each class (rows) were predicted as each class (columns) [K, K]."""
    counts = np.bincount(np.array(list(outcomes), np.int64), minlength=num_classes**2)
    return tuple(tuple(row) for row in counts.reshape(num_classes, num_classes).tolist())


def count_discordant(
    baseline: Sequence[int] | Outcomes, candidate: Sequence[int] | Outcomes, num_classes: int = NUM_CLASSES
) -> DiscordantCounts:
    """Return the discordant counts of two networks' outcomes on the same images in the same order.

    Raises:
        RecordError: There are not as many, or a true class differs.
    """
    if len(baseline) != len(candidate):
        raise RecordError(f"{len(baseline):,} and {len(candidate):,} test predictions cannot be compared")
    first, second = (np.array(list(side), np.int64) for side in (baseline, candidate))
    true, true_second = first // num_classes, second // num_classes
    if (true != true_second).any():
        index = int(np.argmax(true != true_second))
        raise RecordError(
            f"test image {index} has class {true[index]} in one record and {true_second[index]} in the other"
        )
    is_first, is_second = first % num_classes == true, second % num_classes == true
    return DiscordantCounts(
        num_only_baseline=int((is_first & ~is_second).sum()),
        num_only_candidate=int((is_second & ~is_first).sum()),
        num_images=len(baseline),
    )

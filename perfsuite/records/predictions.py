"""What a network predicted for each test image, as text in a record: one byte an image, base64, not compressed.

A byte is ten times the true class plus the predicted one. 10,000 images take 13,336 characters. Nothing is compressed,
so a text holds no more images than its length says.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from dataclasses import dataclass

from perfsuite.errors import RecordError
from perfsuite.records.workload import NUM_CLASSES

MAX_PREDICTIONS = 15_000
"""Of one record: half more than the test images of CIFAR-10, and no longer in base64 than a text in a file may be."""


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


def pack_predictions(outcomes: bytes) -> str:
    """Return the text of a byte per image, `10 * true class + predicted class`, in the order of the split."""
    return base64.b64encode(outcomes).decode("ascii")


def unpack_predictions(text: str, num_images: int, where: str = "test_predictions") -> bytes:
    """Return a byte per image, `10 * true class + predicted class`, each checked.

    Args:
        text: What `pack_predictions` returned, or what a file holds in its place.
        num_images: How many there must be.
        where: Its name in messages.

    Raises:
        RecordError: Too many images, another length, characters that are not base64, or a byte above 99.
    """
    if not 0 < num_images <= MAX_PREDICTIONS:
        raise RecordError(f"{where}: {num_images} test images; from 1 to {MAX_PREDICTIONS:,} are allowed")
    num_characters = 4 * -(-num_images // 3)
    if len(text) != num_characters:
        raise RecordError(
            f"{where} has {len(text):,} characters; {num_images:,} test images take {num_characters:,} in base64"
        )
    try:
        outcomes = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecordError(f"{where} is not base64: {error}") from None
    if len(outcomes) != num_images:
        raise RecordError(f"{where} holds {len(outcomes):,} images; {num_images:,} are needed")
    largest = max(outcomes)
    if largest >= NUM_CLASSES**2:
        raise RecordError(f"{where} holds the byte {largest}; 10 * true class + predicted class is at most 99")
    return outcomes


def confusion_of(outcomes: bytes) -> tuple[tuple[int, ...], ...]:
    """Return how many images of each class (rows) were predicted as each class (columns) [10, 10]."""
    counts = Counter(outcomes)
    classes = range(NUM_CLASSES)
    return tuple(tuple(counts[NUM_CLASSES * true + predicted] for predicted in classes) for true in classes)


def count_discordant(baseline: bytes, candidate: bytes) -> DiscordantCounts:
    """Return the discordant counts of two networks' outcomes on the same images in the same order.

    Raises:
        RecordError: There are not as many, or a true class differs.
    """
    if len(baseline) != len(candidate):
        raise RecordError(f"{len(baseline):,} and {len(candidate):,} test predictions cannot be compared")
    only_baseline = only_candidate = 0
    for index, (first, second) in enumerate(zip(baseline, candidate, strict=True)):
        true, predicted_first = divmod(first, NUM_CLASSES)
        true_second, predicted_second = divmod(second, NUM_CLASSES)
        if true != true_second:
            raise RecordError(f"test image {index} has class {true} in one record and {true_second} in the other")
        correct_first, correct_second = predicted_first == true, predicted_second == true
        only_baseline += correct_first and not correct_second
        only_candidate += correct_second and not correct_first
    return DiscordantCounts(
        num_only_baseline=only_baseline, num_only_candidate=only_candidate, num_images=len(baseline)
    )

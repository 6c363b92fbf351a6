"""A data set of labelled images: its order, its fingerprint, and its split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.errors import DataError
from perfsuite.records.workload import CIFAR10_CLASSES, IMAGE_SIZE
from perfsuite.workloads.canonical import canonical_fingerprint
from perfsuite.workloads.image_files import SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.workloads.decoding import Images, Labels

MAX_COUNTED_CLASSES = 20
"""More are not counted one by one in what is said of a data set."""

VALIDATION_SHARE = 0.1
"""Of the training images. Source: the thesis, 45,000 to train and 5,000 to validate on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageSet:
    """Labelled images, in an order that depends on nothing but themselves.

    Attributes:
        train_images: [N, 3, H, W] uint8, H and W the same.
        train_labels: [N] uint8, or uint16 where there are more than 256 classes.
        test_images: [N, 3, H, W] uint8.
        test_labels: [N] as those to train on.
        classes: Their names in the order of the labels.
        fingerprint: SHA-256 over all pixels and labels, whatever the order of the files was.
        is_canonical: Whether its pixels are those of the original CIFAR-10: it was downloaded and checked against the
            published MD5 sum, or it has the fingerprint that such a download had on this machine.
        source: Where it came from, in words.
    """

    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    classes: tuple[str, ...]
    fingerprint: str
    is_canonical: bool
    source: str

    @property
    def name(self) -> str:
        """What people call it: `CIFAR-10`, or `images 1a2b3c4d` by its fingerprint."""
        return "CIFAR-10" if self.is_canonical else f"images {self.fingerprint[:8]}"

    @property
    def image_size(self) -> int:
        """H and W in pixels."""
        return int(self.train_images.shape[-1])

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.classes)

    @property
    def is_of_cifar10(self) -> bool:
        """Whether it has the form of CIFAR-10: its size of image, and its classes by name."""
        return self.image_size == IMAGE_SIZE and self.classes == CIFAR10_CLASSES


def make_image_set(
    parts: Mapping[str, tuple[Images, Labels]],
    *,
    classes: tuple[str, ...] = CIFAR10_CLASSES,
    is_canonical: bool = False,
    source: str = "",
) -> ImageSet:
    """Order images by their digests and take the fingerprint.

    The same images give the same set, the same order and so the same split, in whatever order or format they came.

    Args:
        parts: Images [N, 3, H, W] uint8 and labels [N] by split, `train` and `test`.
        classes: The names of the labels, from 0 on.
        is_canonical: Whether these are known to be the original CIFAR-10; else their fingerprint decides.
        source: Where they came from, in words.

    Raises:
        DataError: Shapes or types that are none of images, or labels of no class.
    """
    dtype = label_type(classes)
    ordered: dict[str, tuple[Images, Labels]] = {}
    whole = hashlib.sha256()
    size = parts["train"][0].shape[-1]
    for split in SPLITS:
        images, labels = parts[split]
        if images.dtype != np.uint8 or images.shape[1:] != (3, size, size) or len(images) != len(labels):
            raise DataError(f"{split} images are {images.dtype} {images.shape}; uint8 [N, 3, H, W] are needed, H = W")
        if not len(images) or labels.max(initial=0) >= len(classes):
            raise DataError(
                f"{split}: {len(images)} images, labels up to {labels.max(initial=0)}; 0 to {len(classes) - 1} are "
                "needed"
            )
        pixels = np.ascontiguousarray(images)
        small_labels = labels.astype(dtype)
        digests = [
            hashlib.sha256(label.tobytes() + pixels[index].tobytes()).digest()
            for index, label in enumerate(small_labels)
        ]
        order = sorted(range(len(digests)), key=digests.__getitem__)
        ordered[split] = (pixels[order], small_labels[order])
        whole.update(f"{split} {len(digests)} ".encode())
        for index in order:
            whole.update(digests[index])
    fingerprint = whole.hexdigest()
    is_canonical = is_canonical or fingerprint == canonical_fingerprint()
    return ImageSet(
        train_images=ordered["train"][0],
        train_labels=ordered["train"][1],
        test_images=ordered["test"][0],
        test_labels=ordered["test"][1],
        classes=CIFAR10_CLASSES if is_canonical else classes,
        fingerprint=fingerprint,
        is_canonical=is_canonical,
        source=source,
    )


def label_type(classes: Sequence[str]) -> np.dtype[Any]:
    """Return the smallest type that holds every label."""
    return np.dtype(np.uint8 if len(classes) <= 256 else "<u2")  # noqa: PLR2004 - values of a byte


def random_images(num: int, seed: int = 0) -> ImageSet:
    """Return random images and labels of CIFAR-10's form: for measuring speed, there is nothing to learn in them."""
    generator = np.random.default_rng(seed)
    parts = {}
    for split, size in (("train", num), ("test", 10)):
        pixels = generator.integers(0, 256, (size, 3, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        parts[split] = (pixels, generator.integers(0, len(CIFAR10_CLASSES), size).astype(np.uint8))
    return make_image_set(parts, source="random")


PATTERN_SIZE, PATTERN_LEVELS, NOISE_LEVELS = 4, 40.0, 50.0
"""Of synthetic images: squares in a row of a class's pattern; how far these, and the pixels in them, scatter."""


def patterned_images(num: int, seed: int = 0) -> ImageSet:
    """Return synthetic images of CIFAR-10's form that can be learnt: each class has a pattern, covered by noise."""
    generator = np.random.default_rng(seed)
    num_classes, square = len(CIFAR10_CLASSES), IMAGE_SIZE // PATTERN_SIZE
    patterns = generator.normal(128, PATTERN_LEVELS, (num_classes, 3, PATTERN_SIZE, PATTERN_SIZE))
    large = patterns.repeat(square, axis=2).repeat(square, axis=3)  # K C H W
    parts = {}
    for split, size in (("train", num), ("test", num_classes)):
        labels = generator.integers(0, num_classes, size).astype(np.uint8)
        pixels = large[labels] + generator.normal(0, NOISE_LEVELS, (size, 3, IMAGE_SIZE, IMAGE_SIZE))
        parts[split] = (pixels.clip(0, 255).astype(np.uint8), labels)
    return make_image_set(parts, source="synthetic")


def class_counts_in_words(images: ImageSet) -> list[str]:
    """Return a line on the form of the images, and one for each part: how many it has of each class."""
    lines = []
    if not images.is_of_cifar10:
        lines.append(f"{images.num_classes} classes, {images.image_size}x{images.image_size} pixels")
    for part, labels in (("training", images.train_labels), ("test", images.test_labels)):
        counts = np.bincount(labels, minlength=images.num_classes).tolist()
        if len(set(counts)) == 1:
            lines.append(f"{len(labels):,} {part} images, {counts[0]:,} of each class")
        elif len(counts) > MAX_COUNTED_CLASSES:
            lines.append(f"{len(labels):,} {part} images, {min(counts):,} to {max(counts):,} of each class")
        else:
            each = ", ".join(f"{name} {count:,}" for name, count in zip(images.classes, counts, strict=True))
            lines.append(f"{len(labels):,} {part} images, not the same number of each class: {each}")
    return lines


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Which images are trained on, validated on and tested on.

    Attributes:
        train: Rows of the training images [N] int64.
        validation: Others of them [N] int64.
        test: Rows of the test images [N] int64.
        fingerprint: Of the data set and of this choice.
    """

    train: np.ndarray[Any, np.dtype[np.int64]]
    validation: np.ndarray[Any, np.dtype[np.int64]]
    test: np.ndarray[Any, np.dtype[np.int64]]
    fingerprint: str


def split_images(
    images: ImageSet,
    *,
    seed: int,
    num_train: int | None = None,
    num_validation: int | None = None,
    num_test: int | None = None,
) -> Split:
    """Draw the split uniformly, as the thesis did: a tenth of the training images to validate on.

    Args:
        images: The data set.
        seed: Of the draw.
        num_train: How many to train on; None for all that are left.
        num_validation: How many to validate on; None for a tenth.
        num_test: How many to test on; None for all.

    Raises:
        DataError: There are not so many.
    """
    available = len(images.train_labels)
    training, validating = _training_sizes(available, num_train, num_validation)
    testing = len(images.test_labels) if num_test is None else num_test
    if min(training, validating, testing) < 1 or training + validating > available or testing > len(images.test_labels):
        raise DataError(
            f"{training} images to train, {validating} to validate and {testing} to test on are asked for; "
            f"{images.name} has {available} and {len(images.test_labels)}: a recipe of its own says fewer "
            "(num_train, num_validation and num_test in the .toml of --perf-recipe)"
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    order = generator.permutation(available)
    tested = np.sort(generator.permutation(len(images.test_labels))[:testing])
    chosen = order[validating : validating + training], order[:validating], tested
    digest = hashlib.sha256(images.fingerprint.encode())
    for rows in chosen:
        digest.update(rows.astype("<i8").tobytes())
    return Split(train=chosen[0], validation=chosen[1], test=chosen[2], fingerprint=digest.hexdigest())


def _training_sizes(available: int, num_train: int | None, num_validation: int | None) -> tuple[int, int]:
    """Return how many images are trained and validated on; see `split_images`."""
    validating = round(available * VALIDATION_SHARE) if num_validation is None else num_validation
    return available - validating if num_train is None else num_train, validating


def split_training_images(
    images: ImageSet, *, seed: int, num_train: int | None = None, num_validation: int | None = None
) -> Split:
    """Draw what is trained and validated on as `split_images` does, and nothing to test on.

    Raises:
        DataError: There are not so many.
    """
    available = len(images.train_labels)
    training, validating = _training_sizes(available, num_train, num_validation)
    if min(training, validating) < 1 or training + validating > available:
        raise DataError(
            f"{training} images to train and {validating} to validate on are asked for; there are {available}: a "
            "recipe of its own says fewer (num_train and num_validation in its .toml)"
        )
    order = np.random.Generator(np.random.PCG64(seed)).permutation(available)
    return Split(
        train=order[validating : validating + training],
        validation=order[:validating],
        test=np.empty(0, np.int64),
        fingerprint=images.fingerprint,
    )

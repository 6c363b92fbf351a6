"""A data set of labelled images: its fingerprint, its split, and the one file in which it is kept."""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import DataError
from perfsuite.formatting import first_line
from perfsuite.workloads.canonical import cache_folder, canonical_fingerprint
from perfsuite.workloads.decoding import IMAGE_SIZE, decode_images
from perfsuite.workloads.image_files import CLASSES, SPLITS, image_files, require_all_classes
from perfsuite.workloads.npz import read_byte_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from perfsuite.workloads.decoding import Images

FORMAT = "perfsuite-images-1"
"""Of the cache file, an npz archive without pickled objects."""

DATA_VARIABLE = "PERFSUITE_DATA"
"""Environment variable that names the data set, where `--perf-data` does not."""

VALIDATION_SHARE = 0.1
"""Of the training images. Source: the thesis, 45,000 to train and 5,000 to validate on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageSet:
    """Labelled images, in an order that depends on nothing but themselves.

    Attributes:
        train_images: [N, 3, 32, 32] uint8.
        train_labels: [N] uint8, 0 to 9.
        test_images: [N, 3, 32, 32] uint8.
        test_labels: [N] uint8.
        fingerprint: SHA-256 over all pixels and labels, whatever the order of the files was.
        is_canonical: Whether its pixels are those of the original CIFAR-10: it was downloaded and checked against the
            published MD5 sum, or it has the fingerprint that such a download had on this machine.
        source: Where it came from, in words.
    """

    train_images: Images
    train_labels: Images
    test_images: Images
    test_labels: Images
    fingerprint: str
    is_canonical: bool
    source: str

    @property
    def name(self) -> str:
        """What people call it: `CIFAR-10`, or `images 1a2b3c4d` by its fingerprint."""
        return "CIFAR-10" if self.is_canonical else f"images {self.fingerprint[:8]}"


def make_image_set(
    parts: Mapping[str, tuple[Images, Images]], *, is_canonical: bool = False, source: str = ""
) -> ImageSet:
    """Order images by their digests and take the fingerprint.

    The same images give the same set, the same order and so the same split, in whatever order or format they came.

    Args:
        parts: Images [N, 3, 32, 32] and labels [N] by split, `train` and `test`.
        is_canonical: Whether these are known to be the original CIFAR-10; else their fingerprint decides.
        source: Where they came from, in words.

    Raises:
        DataError: Shapes, types or labels that are none of CIFAR-10's form.
    """
    ordered: dict[str, tuple[Images, Images]] = {}
    whole = hashlib.sha256()
    for split in SPLITS:
        images, labels = parts[split]
        if images.dtype != np.uint8 or images.shape[1:] != (3, IMAGE_SIZE, IMAGE_SIZE) or len(images) != len(labels):
            raise DataError(f"{split} images are {images.dtype} {images.shape}; uint8 [N, 3, 32, 32] are needed")
        if not len(images) or labels.max(initial=0) >= len(CLASSES):
            raise DataError(f"{split}: {len(images)} images, labels up to {labels.max(initial=0)}; 0 to 9 are needed")
        pixels = np.ascontiguousarray(images)
        digests = [
            hashlib.sha256(bytes([label]) + pixels[index].tobytes()).digest()
            for index, label in enumerate(labels.astype(np.uint8).tolist())
        ]
        order = sorted(range(len(digests)), key=digests.__getitem__)
        ordered[split] = (pixels[order], labels[order].astype(np.uint8))
        whole.update(f"{split} {len(digests)} ".encode())
        for index in order:
            whole.update(digests[index])
    fingerprint = whole.hexdigest()
    return ImageSet(
        train_images=ordered["train"][0],
        train_labels=ordered["train"][1],
        test_images=ordered["test"][0],
        test_labels=ordered["test"][1],
        fingerprint=fingerprint,
        is_canonical=is_canonical or fingerprint == canonical_fingerprint(),
        source=source,
    )


def random_images(num: int, seed: int = 0) -> ImageSet:
    """Return random images and labels: for measuring speed, there is nothing to learn in them."""
    generator = np.random.default_rng(seed)
    parts = {}
    for split, size in (("train", num), ("test", 10)):
        pixels = generator.integers(0, 256, (size, 3, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        parts[split] = (pixels, generator.integers(0, len(CLASSES), size).astype(np.uint8))
    return make_image_set(parts, source="random")


def import_images(path: Path, *, report: Callable[[int], None] = lambda _num: None) -> ImageSet:
    """Read and decode a mirror of CIFAR-10 as class folders.

    Args:
        path: A folder, .zip, .tar, .tar.gz or .tar.xz.
        report: Told how many images are done.

    Raises:
        DataError: It is none, or an image in it is damaged.
    """
    splits: list[str] = []
    labels: list[int] = []

    def contents() -> Iterator[tuple[str, bytes]]:
        for file in image_files(path):
            splits.append(file.split)
            labels.append(file.label)
            yield f"{path}: {file.name}", file.content

    try:
        images = decode_images(contents(), report=report)
    except ValueError as error:
        raise DataError(str(error)) from None
    require_all_classes(path, zip(splits, labels, strict=True))
    parts = {}
    for split in SPLITS:
        rows = np.array([index for index, name in enumerate(splits) if name == split])
        parts[split] = (images[rows], np.array(labels, np.uint8)[rows])
    del images  # before they are copied once more
    return make_image_set(parts, source=f"imported from {path.name}")


def class_counts_in_words(images: ImageSet) -> list[str]:
    """Return a line for each part: how many images it has of each class."""
    lines = []
    for part, labels in (("training", images.train_labels), ("test", images.test_labels)):
        counts = np.bincount(labels, minlength=len(CLASSES)).tolist()
        if len(set(counts)) == 1:
            lines.append(f"{len(labels):,} {part} images, {counts[0]:,} of each class")
        else:
            each = ", ".join(f"{name} {count:,}" for name, count in zip(CLASSES, counts, strict=True))
            lines.append(f"{len(labels):,} {part} images, not the same number of each class: {each}")
    return lines


def default_path() -> Path:
    """Return where the data set is kept: what `PERFSUITE_DATA` says, else in the user's cache folder."""
    named = os.environ.get(DATA_VARIABLE)
    if named:
        return Path(named)
    return cache_folder() / "cifar10.npz"


def save_image_set(images: ImageSet, path: Path) -> None:
    """Write the cache file in one step.

    Raises:
        DataError: It cannot be written.
    """
    meta = {
        "format": FORMAT,
        "fingerprint": images.fingerprint,
        "is_canonical": images.is_canonical,
        "source": images.source,
    }
    stream = io.BytesIO()
    np.savez(
        stream,
        train_images=images.train_images,
        train_labels=images.train_labels,
        test_images=images.test_images,
        test_labels=images.test_labels,
        meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, stream.getbuffer())
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def load_image_set(path: Path) -> ImageSet:
    """Read a cache file; nothing in it is ever unpickled.

    Whether it is the original CIFAR-10 is what this machine's canonical fingerprint says, else what the file says.

    Raises:
        DataError: It is missing, damaged, or something else.
    """
    canonical = canonical_fingerprint()
    arrays = read_byte_arrays(path, ("train_images", "train_labels", "test_images", "test_labels", "meta"))
    try:
        meta: Any = json.loads(arrays["meta"].tobytes())
        if meta["format"] != FORMAT:
            raise DataError(f"{path}: of format {str(meta['format'])[:40]!r}; {FORMAT} is needed")
        images = ImageSet(
            train_images=arrays["train_images"],
            train_labels=arrays["train_labels"],
            test_images=arrays["test_images"],
            test_labels=arrays["test_labels"],
            fingerprint=str(meta["fingerprint"]),
            is_canonical=meta["is_canonical"] is True if canonical is None else meta["fingerprint"] == canonical,
            source=str(meta["source"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: no data set of perfsuite: {first_line(error)[:120]}") from None
    _check_form(images, path)
    return images


def _check_form(images: ImageSet, path: Path) -> None:
    for split, pixels, labels in (
        ("train", images.train_images, images.train_labels),
        ("test", images.test_images, images.test_labels),
    ):
        shape = (len(labels), 3, IMAGE_SIZE, IMAGE_SIZE)
        right = pixels.dtype == labels.dtype == np.uint8 and pixels.shape == shape and labels.ndim == 1
        if not right or not len(labels) or labels.max() >= len(CLASSES):
            raise DataError(
                f"{path}: {split} images {pixels.dtype} {pixels.shape} and labels {labels.shape} do not fit"
            )


def verify_image_set(images: ImageSet, path: Path) -> None:
    """Compute the fingerprint again from every pixel.

    Raises:
        DataError: It is another one: the file was changed or damaged.
    """
    parts = {"train": (images.train_images, images.train_labels), "test": (images.test_images, images.test_labels)}
    found = make_image_set(parts).fingerprint
    if found != images.fingerprint:
        raise DataError(
            f"{path}: its images have the fingerprint {found[:16]}..., it says {images.fingerprint[:16]}...; "
            "import or download it again"
        )


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
    validating = round(available * VALIDATION_SHARE) if num_validation is None else num_validation
    training = available - validating if num_train is None else num_train
    testing = len(images.test_labels) if num_test is None else num_test
    if min(training, validating, testing) < 1 or training + validating > available or testing > len(images.test_labels):
        raise DataError(
            f"{training} images to train, {validating} to validate and {testing} to test on are asked for; "
            f"{images.name} has {available} and {len(images.test_labels)}"
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    order = generator.permutation(available)
    tested = np.sort(generator.permutation(len(images.test_labels))[:testing])
    chosen = order[validating : validating + training], order[:validating], tested
    digest = hashlib.sha256(images.fingerprint.encode())
    for rows in chosen:
        digest.update(rows.astype("<i8").tobytes())
    return Split(train=chosen[0], validation=chosen[1], test=chosen[2], fingerprint=digest.hexdigest())

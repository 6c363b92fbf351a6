"""The one file in which a data set is kept: where it lies, written and read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import DataError
from perfsuite.formatting import first_line, one_line
from perfsuite.parsing import MAX_IMAGE_SIZE, MIN_IMAGE_SIZE
from perfsuite.records.workload import CIFAR10_CLASSES, are_class_names
from perfsuite.workloads.canonical import cache_folder, canonical_fingerprint
from perfsuite.workloads.image_files import MAX_CLASSES, SPLITS
from perfsuite.workloads.images import ImageSet, label_type, make_image_set
from perfsuite.workloads.npz import read_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = "perfsuite-images-2"
"""Of the cache file, an npz archive without pickled objects."""

FORMAT_OF_CIFAR10 = "perfsuite-images-1"
"""Of files of before there were other data sets than of CIFAR-10's form, which they do not say."""

DATA_VARIABLE = "PERFSUITE_DATA"
"""Environment variable that names the data set, where `--perf-data` does not."""


def default_path() -> Path:
    """Return where the data set is kept: what `PERFSUITE_DATA` says, else in the user's cache folder."""
    named = os.environ.get(DATA_VARIABLE)
    if named:
        return Path(named)
    return cache_folder() / "cifar10.npz"


def own_path(source: Path, images: ImageSet) -> Path:
    """Return where a data set is kept that is none of CIFAR-10's form: by name and pixels next to the default one."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", source.resolve().name.partition(".")[0]) or "images"
    return cache_folder() / f"{name}-{images.fingerprint[:8]}.npz"


def save_image_set(images: ImageSet, path: Path) -> None:
    """Write the cache file in one step.

    Raises:
        DataError: It cannot be written.
    """
    meta = {
        "format": FORMAT,
        "classes": images.classes,
        "fingerprint": images.fingerprint,
        "is_canonical": images.is_canonical,
        "source": images.source,
    }

    def write(stream: IO[bytes]) -> None:
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
        write_atomically(path, write)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def load_image_set(path: Path) -> ImageSet:
    """Read a cache file; nothing in it is ever unpickled.

    Whether it is the original CIFAR-10 is what this machine's canonical fingerprint says, else what the file says.

    Raises:
        DataError: It is missing, damaged, or something else.
    """
    arrays = read_arrays(path, ("train_images", "train_labels", "test_images", "test_labels", "meta"))
    images = _image_set(arrays, path)
    _check_form(images, path)
    return images


def load_training_images(path: Path) -> ImageSet:
    """Read the training images of a cache file, and nothing of its test images: the set that is returned has none.

    Its fingerprint is that of its training images and labels, whatever the test images are.

    Raises:
        DataError: It is missing, damaged, or something else.
    """
    arrays = read_arrays(path, ("train_images", "train_labels", "meta"))
    none = {"test_images": arrays["train_images"][:0], "test_labels": arrays["train_labels"][:0]}
    images = _image_set({**arrays, **none}, path)
    _check_form(images, path, parts=("train",))
    digest = hashlib.sha256(json.dumps([images.train_images.shape, images.classes]).encode())
    digest.update(np.ascontiguousarray(images.train_labels).tobytes())
    digest.update(np.ascontiguousarray(images.train_images).data)
    return dataclasses.replace(images, fingerprint=digest.hexdigest(), is_canonical=False)


def _image_set(arrays: Mapping[str, np.ndarray[Any, np.dtype[Any]]], path: Path) -> ImageSet:
    canonical = canonical_fingerprint()
    try:
        meta: Any = json.loads(arrays["meta"].tobytes())
        if meta["format"] not in {FORMAT, FORMAT_OF_CIFAR10}:
            raise DataError(f"{path}: of format {str(meta['format'])[:40]!r}; {FORMAT} is needed")
        classes = CIFAR10_CLASSES if meta["format"] == FORMAT_OF_CIFAR10 else _class_names(meta["classes"])
        return ImageSet(
            train_images=arrays["train_images"],
            train_labels=arrays["train_labels"],
            test_images=arrays["test_images"],
            test_labels=arrays["test_labels"],
            classes=classes,
            fingerprint=_fingerprint(meta["fingerprint"]),
            is_canonical=meta["is_canonical"] is True if canonical is None else meta["fingerprint"] == canonical,
            source=one_line(str(meta["source"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: not a data set of perfsuite: {first_line(error)[:120]}") from None


def _class_names(value: Any) -> tuple[str, ...]:
    """Return the names of classes that a file says.

    Raises:
        ValueError: They are none.
    """
    is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
    is_many = is_list and 2 <= len(value) <= MAX_CLASSES  # noqa: PLR2004 - fewer are no classification
    if not is_many or not are_class_names(tuple(value)):
        raise ValueError("its classes are not named, each by another name")
    return tuple(value)


def _fingerprint(value: Any) -> str:
    """Return the fingerprint that a file says.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError("its fingerprint is none")
    return value


def _check_form(images: ImageSet, path: Path, parts: tuple[str, ...] = SPLITS) -> None:
    size = images.train_images.shape[-1] if images.train_images.ndim else 0
    for split, pixels, labels in (
        ("train", images.train_images, images.train_labels),
        ("test", images.test_images, images.test_labels),
    ):
        if split not in parts:
            continue
        shape = (len(labels), 3, size, size) if labels.ndim == 1 else ()
        right = pixels.dtype == np.uint8 and labels.dtype == label_type(images.classes) and pixels.shape == shape
        if not right or not len(labels) or labels.max() >= images.num_classes:
            raise DataError(
                f"{path}: {split} images {pixels.dtype} {pixels.shape} and labels {labels.dtype} {labels.shape} of "
                f"{images.num_classes} classes do not fit"
            )
        if not MIN_IMAGE_SIZE <= size <= MAX_IMAGE_SIZE:
            raise DataError(
                f"{path}: {split} images of {size}x{size} pixels; {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE} are allowed"
            )
    if images.is_canonical and not images.is_of_cifar10:
        raise DataError(f"{path}: says that it is CIFAR-10, and is not; import or download it again")


def verify_image_set(images: ImageSet, path: Path) -> None:
    """Compute the fingerprint again from every pixel.

    Raises:
        DataError: It is another one: the file was changed or damaged.
    """
    parts = {"train": (images.train_images, images.train_labels), "test": (images.test_images, images.test_labels)}
    found = make_image_set(parts, classes=images.classes).fingerprint
    if found != images.fingerprint:
        raise DataError(
            f"{path}: its images have the fingerprint {found[:16]}..., it says {images.fingerprint[:16]}...; "
            "import or download it again"
        )

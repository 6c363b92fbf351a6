"""Reads a data set from elsewhere: class folders, or the binary version of CIFAR-10 or CIFAR-100."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.errors import DataError
from perfsuite.formatting import plural, printable
from perfsuite.parsing import MAX_IMAGE_SIZE, MIN_IMAGE_SIZE
from perfsuite.records.workload import IMAGE_SIZE
from perfsuite.workloads.cifar_binary import LIMITS as CIFAR_LIMITS
from perfsuite.workloads.cifar_binary import is_cifar_binary, read_cifar_binary
from perfsuite.workloads.decoding import HOW_TO_RESIZE, TargetSize, decode_images, size_of_image
from perfsuite.workloads.image_files import FORM, VALIDATION, Limits, class_labels, files_in, image_files, is_image
from perfsuite.workloads.images import make_image_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perfsuite.workloads.decoding import Images, Labels
    from perfsuite.workloads.images import ImageSet

MAX_RESIZED_FILE_BYTES = 32 * 1024**2
"""Of one image that is resized: a camera's."""

FILE_BYTES_PER_PIXEL = 256
"""Of an image that is not resized, at most: eighty times what it takes uncompressed, for what else is in its file."""


def import_images(
    path: Path, *, image_size: int | None = None, report: Callable[[int], None] = lambda _num: None
) -> ImageSet:
    """Read and decode a data set: class folders, or the binary version of CIFAR-10 or CIFAR-100.

    Args:
        path: A folder, .zip, .tar, .tar.gz or .tar.xz.
        image_size: H and W in pixels to which images are resized (see `decode_images`); None to take them as they are,
            all of one size.
        report: Called with how many images are done.

    Raises:
        DataError: It is none, or an image in it is damaged.
    """
    first = _first_file(path)
    source = f"imported from {printable(path.resolve().name)}"
    if first is not None and is_cifar_binary(first[0]):
        if image_size not in {None, IMAGE_SIZE}:
            raise DataError(
                f"{path}: --image-size {image_size}: CIFAR's binary version has {IMAGE_SIZE}x{IMAGE_SIZE} pixels; "
                "leave the option out"
            )
        parts, classes = read_cifar_binary(path)
        return make_image_set(parts, classes=classes, source=source)
    target = _target_size(path, first, image_size)
    left_out: Counter[str] = Counter()
    parts, classes = _read_class_folders(path, target, left_out, report)
    if VALIDATION in parts and "test" in parts:
        source += f"; its {plural(len(parts[VALIDATION][1]), 'validation image')} left out"
    elif VALIDATION in parts:
        parts["test"] = parts[VALIDATION]
        source += ", tested on its validation images"
    if target.is_resized:
        source += f", resized to {target.size}x{target.size}"
    if left_out:
        counts = ", ".join(f"{number:,} {ending}" for ending, number in sorted(left_out.items()))
        source += f"; not read, of other formats or too deep in folders: {counts}"
    return make_image_set(parts, classes=classes, source=source)


def _first_file(path: Path) -> tuple[str, bytes] | None:
    """Return place and content of the first file that is an image of a class, or of CIFAR's binary version."""
    limits = Limits(max_file_bytes=CIFAR_LIMITS.max_file_bytes, kept_bytes=0)
    files = files_in(path, limits, wanted=lambda place: is_image(place) or is_cifar_binary(place))
    return next(files, None)


def _target_size(path: Path, first: tuple[str, bytes] | None, image_size: int | None) -> TargetSize:
    """Return the size of the images: what the user asks for, else that of the first of them."""
    if image_size is not None:
        return TargetSize(size=image_size, is_resized=True)
    if first is None:
        raise DataError(f"{path}: no images in it; {FORM} is needed, or CIFAR's own binary files")
    name, content = first
    try:
        width, height = size_of_image(f"{path}: {name}", content)
    except ValueError as error:
        raise DataError(str(error)) from None
    if width != height or not MIN_IMAGE_SIZE <= width <= MAX_IMAGE_SIZE:
        raise DataError(
            f"{path}: {name[:100]}: {width}x{height} pixels; as they are, images must be square, from {MIN_IMAGE_SIZE} "
            f"to {MAX_IMAGE_SIZE} pixels; {HOW_TO_RESIZE}"
        )
    return TargetSize(size=width)


def _read_class_folders(
    path: Path, target: TargetSize, left_out: Counter[str], report: Callable[[int], None]
) -> tuple[dict[str, tuple[Images, Labels]], tuple[str, ...]]:
    """Return images and labels by part, and the names of the classes."""
    splits: list[str] = []
    names: list[str] = []
    max_file_bytes = MAX_RESIZED_FILE_BYTES if target.is_resized else FILE_BYTES_PER_PIXEL * target.size**2
    # Its pixels, once more while they are ordered, its name, label and digest.
    limits = Limits(max_file_bytes=max_file_bytes, kept_bytes=2 * 3 * target.size**2 + 512)

    def contents() -> Iterator[tuple[str, bytes]]:
        for file in image_files(path, limits, left_out):
            splits.append(file.split)
            names.append(file.class_name)
            yield f"{path}: {file.name}", file.content

    try:
        images = decode_images(contents(), target, report=report)
    except ValueError as error:
        raise DataError(str(error)) from None
    tested = "test" if "test" in splits else VALIDATION
    used = [(split, name) for split, name in zip(splits, names, strict=True) if split in {"train", tested}]
    classes, labels_by_name = class_labels(path, ((split.replace(tested, "test"), name) for split, name in used))
    parts = {}
    for split in dict.fromkeys(splits):
        rows = np.array([index for index, name in enumerate(splits) if name == split])
        labels = np.array([labels_by_name.get(names[index], 0) for index in rows.tolist()], np.int64)
        parts[split] = (images[rows], labels)
    return parts, classes

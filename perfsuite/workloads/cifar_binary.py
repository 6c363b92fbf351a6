"""The binary version of CIFAR-10 and CIFAR-100, as their author publishes it: records of labels and pixels.

Source: A. Krizhevsky, The CIFAR-10 and CIFAR-100 datasets, "Binary version". A record is a label of one byte (in
CIFAR-100 two: the superclass and the class) and 3,072 pixels, red, green and blue, row by row. The names of the classes
are in a text file, one a line. Nothing in these files is executable, which the Python version of the same is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.errors import DataError
from perfsuite.records.workload import IMAGE_SIZE, are_class_names
from perfsuite.workloads.image_files import CIFAR_FILES, Limits, files_in

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.workloads.decoding import Images, Labels

PIXEL_BYTES = 3 * IMAGE_SIZE * IMAGE_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class CifarForm:
    """The files of one of the two data sets.

    Attributes:
        num_labels: Bytes of labels before the pixels; the last one is the class.
        train: Names of the files to train on, in order.
        test: Those to test on.
        classes: Name of the file with the names of the classes.
        num_classes: How many there are.
    """

    num_labels: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    classes: str
    num_classes: int


FORMS = (
    CifarForm(
        num_labels=1,
        train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test=("test_batch.bin",),
        classes="batches.meta.txt",
        num_classes=10,
    ),
    CifarForm(num_labels=2, train=("train.bin",), test=("test.bin",), classes="fine_label_names.txt", num_classes=100),
)

LIMITS = Limits(max_file_bytes=160_000_000, kept_bytes=160_000_000)
"""Of one file: the largest has 50,000 records of 3,074 bytes."""


def is_cifar_binary(place: str) -> bool:
    """Whether a file is one of the binary version's, by its name."""
    return PurePosixPath(place).name in CIFAR_FILES


def read_cifar_binary(path: Path) -> tuple[dict[str, tuple[Images, Labels]], tuple[str, ...]]:
    """Read the binary version from a folder or an archive.

    Returns:
        Images [N, 3, 32, 32] uint8 and labels [N] int64 by part, `train` and `test`, and the names of the classes.

    Raises:
        DataError: A file is missing, is there twice, is no whole number of records, or has a label of no class.
    """
    names = {name for form in FORMS for name in (*form.train, *form.test, form.classes)}
    found: dict[str, bytes] = {}
    for place, content in files_in(path, LIMITS, wanted=lambda place: PurePosixPath(place).name in names):
        name = PurePosixPath(place).name
        if name in found:
            raise DataError(f"{path}: {place[:100]!r} is there twice; one data set is read, leave out the other")
        found[name] = content
    form = next((form for form in FORMS if form.test[0] in found), FORMS[0])
    for name in (*form.train, *form.test, form.classes):
        if name not in found:
            raise DataError(f"{path}: no {name} in it; the binary version of CIFAR-{form.num_classes} has one")
    classes = _class_names(path, form, found[form.classes])
    parts = {}
    for split, files in (("train", form.train), ("test", form.test)):
        records = [_records(path, name, found[name], form) for name in files]
        pixels = np.concatenate([pixels for pixels, _ in records])
        labels = np.concatenate([labels for _, labels in records]).astype(np.int64)
        parts[split] = (pixels, labels)
    return parts, classes


def _class_names(path: Path, form: CifarForm, content: bytes) -> tuple[str, ...]:
    lines = tuple(line.strip() for line in content.decode("utf-8", errors="replace").splitlines())
    names = tuple(line for line in lines if line)
    if len(names) != form.num_classes or not are_class_names(names):
        raise DataError(f"{path}: {form.classes} does not name {form.num_classes} classes, one a line")
    return names


def _records(path: Path, name: str, content: bytes, form: CifarForm) -> tuple[Images, Images]:
    record_bytes = form.num_labels + PIXEL_BYTES
    if not content or len(content) % record_bytes:
        raise DataError(f"{path}: {name} has {len(content):,} bytes; whole records of {record_bytes:,} are needed")
    records = np.frombuffer(content, np.uint8).reshape(-1, record_bytes)
    labels = records[:, form.num_labels - 1]
    if labels.max() >= form.num_classes:
        raise DataError(f"{path}: {name} has the label {labels.max()}; 0 to {form.num_classes - 1} are allowed")
    return records[:, form.num_labels :].reshape(-1, 3, IMAGE_SIZE, IMAGE_SIZE), labels

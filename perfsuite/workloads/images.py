"""A data set of labelled images: its fingerprint, its split, and the one file in which it is kept."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import DataError
from perfsuite.formatting import first_line, one_line, plural, printable
from perfsuite.parsing import MAX_IMAGE_SIZE, MIN_IMAGE_SIZE
from perfsuite.records.workload import CIFAR10_CLASSES, IMAGE_SIZE, are_class_names
from perfsuite.workloads.canonical import cache_folder, canonical_fingerprint
from perfsuite.workloads.cifar_binary import LIMITS as CIFAR_LIMITS
from perfsuite.workloads.cifar_binary import is_cifar_binary, read_cifar_binary
from perfsuite.workloads.decoding import HOW_TO_RESIZE, Images, Labels, TargetSize, decode_images, size_of_image
from perfsuite.workloads.image_files import (
    FORM,
    MAX_CLASSES,
    SPLITS,
    VALIDATION,
    Limits,
    class_labels,
    files_in,
    image_files,
    is_image,
)
from perfsuite.workloads.npz import read_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

FORMAT = "perfsuite-images-2"
"""Of the cache file, an npz archive without pickled objects."""

FORMAT_OF_CIFAR10 = "perfsuite-images-1"
"""Of files of before there were other data sets than of CIFAR-10's form, which they do not say."""

MAX_RESIZED_FILE_BYTES = 32 * 1024**2
"""Of one image that is resized: a camera's."""

FILE_BYTES_PER_PIXEL = 256
"""Of an image that is not resized, at most: eighty times what it takes uncompressed, for what else is in its file."""

MAX_COUNTED_CLASSES = 20
"""More are not counted one by one in what is said of a data set."""

DATA_VARIABLE = "PERFSUITE_DATA"
"""Environment variable that names the data set, where `--perf-data` does not."""

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
    label_type = _label_type(classes)
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
        small_labels = labels.astype(label_type)
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


def _label_type(classes: Sequence[str]) -> np.dtype[Any]:
    return np.dtype(np.uint8 if len(classes) <= 256 else "<u2")  # noqa: PLR2004 - values of a byte


def random_images(num: int, seed: int = 0) -> ImageSet:
    """Return random images and labels of CIFAR-10's form: for measuring speed, there is nothing to learn in them."""
    generator = np.random.default_rng(seed)
    parts = {}
    for split, size in (("train", num), ("test", 10)):
        pixels = generator.integers(0, 256, (size, 3, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        parts[split] = (pixels, generator.integers(0, len(CIFAR10_CLASSES), size).astype(np.uint8))
    return make_image_set(parts, source="random")


def import_images(
    path: Path, *, image_size: int | None = None, report: Callable[[int], None] = lambda _num: None
) -> ImageSet:
    """Read and decode a data set: class folders, or the binary version of CIFAR-10 or CIFAR-100.

    Args:
        path: A folder, .zip, .tar, .tar.gz or .tar.xz.
        image_size: H and W in pixels to which images are resized (see `decode_images`); None to take them as they are,
            all of one size.
        report: Told how many images are done.

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


def default_path() -> Path:
    """Return where the data set is kept: what `PERFSUITE_DATA` says, else in the user's cache folder."""
    named = os.environ.get(DATA_VARIABLE)
    if named:
        return Path(named)
    return cache_folder() / "cifar10.npz"


def own_path(source: Path, images: ImageSet) -> Path:
    """Return where a data set is kept that is none of CIFAR-10's form: by name and pixels beside the default one."""
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
    canonical = canonical_fingerprint()
    arrays = read_arrays(path, ("train_images", "train_labels", "test_images", "test_labels", "meta"))
    try:
        meta: Any = json.loads(arrays["meta"].tobytes())
        if meta["format"] not in {FORMAT, FORMAT_OF_CIFAR10}:
            raise DataError(f"{path}: of format {str(meta['format'])[:40]!r}; {FORMAT} is needed")
        classes = CIFAR10_CLASSES if meta["format"] == FORMAT_OF_CIFAR10 else _class_names(meta["classes"])
        images = ImageSet(
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
        raise DataError(f"{path}: no data set of perfsuite: {first_line(error)[:120]}") from None
    _check_form(images, path)
    return images


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


def _check_form(images: ImageSet, path: Path) -> None:
    size = images.train_images.shape[-1] if images.train_images.ndim else 0
    for split, pixels, labels in (
        ("train", images.train_images, images.train_labels),
        ("test", images.test_images, images.test_labels),
    ):
        shape = (len(labels), 3, size, size) if labels.ndim == 1 else ()
        right = pixels.dtype == np.uint8 and labels.dtype == _label_type(images.classes) and pixels.shape == shape
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

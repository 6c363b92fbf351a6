"""Data sets as files: a folder, a zip or a tar archive. All of it untrusted, nothing is unpacked to the disk."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from perfsuite.atomic_write import open_ordinary
from perfsuite.errors import DataError
from perfsuite.formatting import plural, printable
from perfsuite.records.workload import CIFAR10_CLASSES, MAX_CLASS_NAME
from perfsuite.workloads.archives import DAMAGED, NO_ARCHIVE, errors_named, is_archive, members
from perfsuite.workloads.memory_budget import MemoryBudget

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator

SPLITS = ("train", "test")
VALIDATION = "validation"
"""What a folder `val`, `valid` or `validation` is called: it is tested on where there is no `test`."""

FOLDERS = {"train": "train", "test": "test", "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION}
"""Part of a data set by the name of its folder."""

FORM = "{train,test}/<class>/*.png or .jpg, or {train,val}/<class>/*"
"""Of class folders, for messages."""

CIFAR_FILES = {"test_batch.bin", "test.bin", "train.bin", *(f"data_batch_{number}.bin" for number in range(1, 6))}
"""Of the binary version of CIFAR-10 and CIFAR-100; see `cifar_binary`."""

MAX_NAME = 4096
MAX_CLASSES = 65_536

ENDINGS = (".png", ".jpg", ".jpeg")
OTHER_ENDINGS = (".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
"""Of images that are not read, and said to be left out."""

DEEPEST = 5
"""`cifar100/train/fish/shark/0001.png`, with superclasses, has as many parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """One file of a data set as class folders.

    Attributes:
        split: `train`, `test` or `validation`.
        class_name: The name of its folder.
        name: Its place in the data set.
        content: Its bytes.
    """

    split: str
    class_name: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one file of a data set may take.

    Attributes:
        max_file_bytes: Of the file.
        kept_bytes: Of memory that is kept of it.
    """

    max_file_bytes: int
    kept_bytes: int


def image_files(path: Path, limits: Limits, left_out: Counter[str]) -> Iterator[ImageFile]:
    """Read the images of class folders one after the other: `{train,test,val}/<class>/*`.

    A folder may lie around them, as archives have it, and superclasses between: `cifar100/train/fish/shark/*`.

    Args:
        path: A folder, .zip, .tar, .tar.gz or .tar.xz.
        limits: Of each.
        left_out: Images that are not read are counted there by their ending: of other formats, or too deep in folders.

    Raises:
        DataError: It cannot be read, leads out of itself, holds links, the same image twice or something of an unlikely
            size, or would take too much memory.
    """
    places = _Places(path)

    def is_wanted(place: str) -> bool:
        if is_image(place):
            return True
        if _is_other_image(place):
            left_out[PurePosixPath(place).suffix.lower()] += 1
        return False

    for name, content in files_in(path, limits, wanted=is_wanted):
        spot = _spot(name)
        if spot is not None:
            places.check(name, spot)
            yield ImageFile(split=spot.split, class_name=spot.class_name, name=name, content=content)


def files_in(path: Path, limits: Limits, *, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Yield the place and the content of files in a folder or an archive, one after the other.

    Args:
        path: A folder, .zip, .tar, .tar.gz or .tar.xz.
        limits: Of each.
        wanted: Whether a file is, by its place.

    Raises:
        DataError: As `image_files` does.
    """
    reader = _Reader(path, limits)
    read = _in_folder if os.path.isdir(path) else _in_archive  # noqa: PTH112 - no error for a path that is too long
    return read(path, reader, wanted)


def is_image(place: str) -> bool:
    """Whether a file is an image of a class, by its place."""
    return _spot(place) is not None


def class_labels(path: Path, found: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the classes in the order of their labels, and the label of each folder's name.

    Those of CIFAR-10 are labelled as there, some of them as a number too. Numbers are ordered as such, other names as
    text.

    Args:
        path: The data set.
        found: Part, `train` or `test`, and folder's name of each image.

    Raises:
        DataError: There are no images, a class lacks images in a part, or there are too few or too many classes.
    """
    there = set(found)
    names = {name for _, name in there}
    if not names:
        raise DataError(f"{path}: no images in it; {FORM} is needed, or CIFAR's own binary files")
    known = {name: _known_as(name) for name in names}
    are_numbers = all(re.fullmatch(r"[0-9]{1,9}", name) for name in names)
    if set(known.values()) == set(CIFAR10_CLASSES) and not are_numbers:
        labels = {name: CIFAR10_CLASSES.index(known[name]) for name in names}
        classes: tuple[str, ...] = CIFAR10_CLASSES
    else:
        classes = tuple(sorted(names, key=lambda name: (int(name) if are_numbers else 0, name)))
        labels = {name: label for label, name in enumerate(classes)}
    if not 2 <= len(classes) <= MAX_CLASSES:  # noqa: PLR2004 - fewer are no classification
        raise DataError(f"{path}: images of {plural(len(classes), 'class')}; from 2 to {MAX_CLASSES:,} are allowed")
    labels_there = {(split, labels[name]) for split, name in there}
    for split, (label, name) in itertools.product(SPLITS, enumerate(classes)):
        if (split, label) not in labels_there:
            raise DataError(
                f"{path}: no images of class {printable(name)} in {split}; {FORM} is needed, each class in both"
            )
    return classes, labels


def check_data_path(path: Path) -> None:
    """Check, without reading it all, that a path may hold images: a data set of perfsuite, class folders, an archive.

    Raises:
        DataError: There is no such thing, or it is something else.
    """
    if os.path.isdir(path):  # noqa: PTH112 - no error for a path that is too long
        if not _has_images(path):
            raise DataError(f"{path}: no images in it; {FORM} is needed, or CIFAR's own binary files")
    elif not os.path.exists(path):  # noqa: PTH110
        raise DataError(
            f"{path}: no such file or folder; `perfsuite data download` fetches CIFAR-10, `perfsuite data import PATH` "
            "takes class folders"
        )
    elif path.suffix == ".npz":
        with errors_named(path, "not a data set of perfsuite"), open_ordinary(path) as stream:
            if not zipfile.is_zipfile(stream):
                raise DataError(f"{path}: not a data set of perfsuite, or damaged")
    elif not is_archive(path):
        raise DataError(f"{path}: {NO_ARCHIVE}")


def _has_images(root: Path) -> bool:
    """Whether a folder holds an image of a class, or a file of CIFAR's binary version."""
    for folder, folders, names in os.walk(root):
        place = Path(folder).relative_to(root)
        if len(place.parts) >= DEEPEST:
            folders.clear()
        if any(is_image((place / name).as_posix()) or name in CIFAR_FILES for name in names):
            return True
    return False


def _in_folder(root: Path, reader: _Reader, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with errors_named(root, "cannot be read"):
        for folder, folders, names in os.walk(root, onerror=_raise):
            folders.sort()
            for name in folders:
                if (Path(folder) / name).is_symlink():
                    place = (Path(folder) / name).relative_to(root).as_posix()
                    raise DataError(f"{root}: {place} is a link; copy what it points to")
            for name in sorted(names):
                file = Path(folder) / name
                place = file.relative_to(root).as_posix()
                if not wanted(place):
                    continue
                if file.is_symlink():
                    raise DataError(f"{root}: {place} is a link; copy what it points to")
                with _named(root, place), open_ordinary(file) as stream:
                    content = reader.read(stream, place)
                yield place, content


def _raise(error: OSError) -> None:
    raise error


@contextlib.contextmanager
def _named(root: Path, place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{root}: {place}: cannot be read: {error.strerror}") from None


def _in_archive(path: Path, reader: _Reader, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    for member in members(path, reader.budget):
        _check_name(path, member.name)
        if member.kind == "other":
            raise DataError(f"{path}: {member.name[:100]!r} is a link or a device; such archives are refused")
        if member.kind == "file" and wanted(member.name):
            with errors_named(path, f"{DAMAGED}, at {member.name[:100]!r}"), member.open() as stream:
                content = reader.read(stream, member.name)
            yield member.name, content


def _check_name(path: Path, name: str) -> None:
    if len(name) > MAX_NAME:
        raise DataError(f"{path}: a name of {len(name):,} characters; at most {MAX_NAME:,} are allowed")
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or name.startswith(("/", "\\")) or re.match(r"^[A-Za-z]:", name):
        raise DataError(f"{path}: {name[:100]!r} leads out of the archive; nothing was read")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spot:
    """What the place of an image says: the folders above its part, its part, its superclass or none, class and name."""

    root: tuple[str, ...]
    split: str
    superclass: tuple[str, ...]
    class_name: str
    file_name: str


def _spot(place: str) -> _Spot | None:
    """Return what the place of a file says, or None for one that is no image of a class."""
    parts = tuple(part for part in PurePosixPath(place).parts if part != ".")
    if not place.lower().endswith(ENDINGS) or not 3 <= len(parts) <= DEEPEST:  # noqa: PLR2004 - part, class, file
        return None
    *above, class_name, file_name = parts
    if class_name.startswith(".") or file_name.startswith("."):
        return None
    for depth in (1, 2):  # a class, or a superclass with its classes
        split = FOLDERS.get(above[-depth].lower()) if len(above) >= depth else None
        if split is not None:
            return _Spot(
                root=tuple(above[:-depth]),
                split=split,
                superclass=tuple(above[len(above) - depth + 1 :]),
                class_name=class_name,
                file_name=file_name,
            )
    return None


def _is_other_image(place: str) -> bool:
    """Whether a file is an image in a part of a data set that is not read: of another format, or too deep."""
    parts = PurePosixPath(place).parts
    if not place.lower().endswith((*ENDINGS, *OTHER_ENDINGS)) or any(part.startswith((".", "__")) for part in parts):
        return False
    return any(part.lower() in FOLDERS for part in parts[:-1])


def _known_as(class_name: str) -> str:
    """Return the name that CIFAR-10 has for a class, or its own."""
    if re.fullmatch(r"[0-9]", class_name):
        return CIFAR10_CLASSES[int(class_name)]
    return class_name.lower() if class_name.lower() in CIFAR10_CLASSES else class_name


class _Reader:
    """Reads one file after the other within the limits.

    Attributes:
        budget: Memory that is taken.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.budget = MemoryBudget(path)
        self._path, self._limits = path, limits

    def read(self, stream: IO[bytes], name: str) -> bytes:
        """Read one file within its limit."""
        self.budget.take(self._limits.kept_bytes + len(name), name)
        most = self._limits.max_file_bytes
        content = stream.read(most + 1)
        if len(content) > most:
            raise DataError(
                f"{self._path}: {name[:100]!r} is larger than {most // 1024:,} KiB, too much for such an image; "
                "`perfsuite data import PATH --image-size N` takes files of up to 32 MiB"
            )
        return content


class _Places:
    """Where the images of a data set lie."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root: tuple[str, ...] | None = None
        self._places: set[tuple[str, ...]] = set()
        self._superclasses: dict[str, tuple[str, ...]] = {}

    def check(self, place: str, spot: _Spot) -> None:
        """Refuse a class that cannot be named, and an image that is there twice: by one name, or in two data sets."""
        name = spot.class_name
        if len(name) > MAX_CLASS_NAME or not name.isprintable():
            raise DataError(
                f"{self._path}: a class is named {name[:100]!r}; at most {MAX_CLASS_NAME} printable characters "
                "are allowed, rename its folder"
            )
        if self._root is None:
            self._root = spot.root
        if spot.root != self._root:
            places = " and ".join(repr("/".join((*root, spot.split))[:100]) for root in (self._root, spot.root))
            raise DataError(f"{self._path}: images in {places}; one data set is read, name it or leave out the other")
        superclass = self._superclasses.setdefault(name, spot.superclass)
        if superclass != spot.superclass:
            both = " and ".join(repr("/".join((*above, name))[:100]) for above in (superclass, spot.superclass))
            raise DataError(f"{self._path}: {both} are two classes of one name; rename one")
        key = (spot.split, _known_as(name), spot.file_name)
        if key in self._places:
            raise DataError(f"{self._path}: {place[:100]!r} is there twice; each image must be there once")
        self._places.add(key)

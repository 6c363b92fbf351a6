"""Mirrors of CIFAR-10 as class folders: a folder, a zip or a tar archive. All of it untrusted, nothing is unpacked."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from perfsuite.atomic_write import open_ordinary
from perfsuite.errors import DataError
from perfsuite.workloads.archives import DAMAGED, NO_ARCHIVE, errors_named, is_archive, members
from perfsuite.workloads.memory_budget import MemoryBudget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Label 0 to 9. Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009)."""

SPLITS = ("train", "test")
MAX_FILE_BYTES = 256 * 1024
"""Of one image of 32x32 pixels: eighty times what it takes uncompressed."""

IMAGE_BYTES = 2 * 3 * 32 * 32 + 512
"""Of memory for one image: its pixels, once more while they are ordered, its name, label and digest."""

MAX_NAME = 4096

ENDINGS = (".png", ".jpg", ".jpeg")
DEEPEST = 4
"""`mirror/train/cat/0001.jpg` has as many parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """One file of a mirror.

    Attributes:
        split: `train` or `test`.
        label: 0 to 9.
        name: Its place in the mirror.
        content: Its bytes.
    """

    split: str
    label: int
    name: str
    content: bytes


def image_files(path: Path) -> Iterator[ImageFile]:
    """Read the images of a mirror one after the other: `{train,test}/<class>/*`, also one folder deeper.

    Args:
        path: A folder, .zip, .tar, .tar.gz or .tar.xz.

    Raises:
        DataError: It cannot be read, leads out of itself, holds links, the same image twice or something of an unlikely
            size, or would take too much memory.
    """
    limits = _Limits(path)
    read = _in_folder if os.path.isdir(path) else _in_archive  # noqa: PTH112 - no error for a path that is too long
    for file in read(path, limits):
        limits.check_place(file)
        yield file


def require_all_classes(path: Path, found: Iterable[tuple[str, int]]) -> None:
    """Check that a mirror has images of every class in both parts.

    Args:
        path: The mirror.
        found: Split and label of each image.

    Raises:
        DataError: One has none.
    """
    there = set(found)
    for split in SPLITS:
        for label, name in enumerate(CLASSES):
            if (split, label) not in there:
                raise DataError(
                    f"{path}: no images of class {name} in {split}; {{train,test}}/<class>/* is needed, the classes "
                    f"named {', '.join(CLASSES)} or 0 to 9"
                )


def check_data_path(path: Path) -> None:
    """Check, without reading it all, that a path may hold images: a data set of perfsuite, class folders, an archive.

    Raises:
        DataError: There is no such thing, or it is something else.
    """
    if os.path.isdir(path):  # noqa: PTH112 - no error for a path that is too long
        if not any(
            next(path.glob(f"{above}{split}/{name}/"), None)
            for above in ("", "*/")
            for split in SPLITS
            for name in CLASSES
        ):
            raise DataError(f"{path}: no class folders in it; train/airplane, test/truck and so on are needed")
    elif not os.path.exists(path):  # noqa: PTH110
        raise DataError(
            f"{path}: no such file or folder; `perfsuite data download` fetches CIFAR-10, `perfsuite data import PATH` "
            "takes a mirror"
        )
    elif path.suffix == ".npz":
        with errors_named(path, "no data set of perfsuite"), open_ordinary(path) as stream:
            if not zipfile.is_zipfile(stream):
                raise DataError(f"{path}: no data set of perfsuite, or damaged")
    elif not is_archive(path):
        raise DataError(f"{path}: {NO_ARCHIVE}")


def _in_folder(root: Path, limits: _Limits) -> Iterator[ImageFile]:
    with errors_named(root, "cannot be read"):
        for folder, folders, names in os.walk(root, onerror=_raise):
            folders.sort()
            for name in sorted(names):
                file = Path(folder) / name
                place = file.relative_to(root).as_posix()
                spot = _spot(place)
                if spot is None:
                    continue
                if file.is_symlink():
                    raise DataError(f"{root}: {place} is a link; copy what it points to")
                with _named(root, place), open_ordinary(file) as stream:
                    content = limits.read(stream, place)
                yield ImageFile(split=spot[0], label=spot[1], name=place, content=content)


def _raise(error: OSError) -> None:
    raise error


@contextlib.contextmanager
def _named(root: Path, place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{root}: {place}: cannot be read: {error.strerror}") from None


def _in_archive(path: Path, limits: _Limits) -> Iterator[ImageFile]:
    for member in members(path, limits.budget):
        _check_name(path, member.name)
        if member.kind == "other":
            raise DataError(f"{path}: {member.name[:100]!r} is a link or a device; such archives are refused")
        spot = _spot(member.name) if member.kind == "file" else None
        if spot is not None:
            with errors_named(path, f"{DAMAGED}, at {member.name[:100]!r}"), member.open() as stream:
                content = limits.read(stream, member.name)
            yield ImageFile(split=spot[0], label=spot[1], name=member.name, content=content)


def _check_name(path: Path, name: str) -> None:
    if len(name) > MAX_NAME:
        raise DataError(f"{path}: a name of {len(name):,} characters; at most {MAX_NAME:,} are allowed")
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or name.startswith(("/", "\\")) or re.match(r"^[A-Za-z]:", name):
        raise DataError(f"{path}: {name[:100]!r} leads out of the archive; nothing of it was read")


def _spot(place: str) -> tuple[str, int] | None:
    """Return split and label of a file by its place, or None for one that is no image of a class."""
    parts = _parts(place)
    if not place.lower().endswith(ENDINGS) or not 3 <= len(parts) <= DEEPEST:  # noqa: PLR2004 - split, class, file
        return None
    split, name = parts[-3].lower(), parts[-2].lower()
    if split not in SPLITS or parts[-1].startswith("."):
        return None
    if name in CLASSES:
        return split, CLASSES.index(name)
    return (split, int(name)) if re.fullmatch(r"[0-9]", name) else None


def _parts(place: str) -> tuple[str, ...]:
    return tuple(part for part in PurePosixPath(place).parts if part != ".")


class _Limits:
    """Counts what was read, and stops what no mirror of CIFAR-10 needs.

    Attributes:
        budget: Memory that is taken.
    """

    def __init__(self, path: Path) -> None:
        self.budget = MemoryBudget(path)
        self._path = path
        self._root: tuple[str, ...] | None = None
        self._places: set[tuple[str, ...]] = set()

    def read(self, stream: IO[bytes], name: str) -> bytes:
        """Read one image within its limit."""
        self.budget.take(IMAGE_BYTES + len(name), name)
        content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise DataError(f"{self._path}: {name[:100]!r} is larger than 256 KiB; this is no image of 32x32 pixels")
        return content

    def check_place(self, file: ImageFile) -> None:
        """Refuse an image that is there twice, by one name in an archive or in two mirrors in one folder."""
        *root, _, _, name = _parts(file.name)
        if self._root is None:
            self._root = tuple(root)
        if tuple(root) != self._root:
            places = " and ".join(repr("/".join((*parts, file.split))[:100]) for parts in (self._root, root))
            raise DataError(f"{self._path}: images in {places}; one mirror is read, name it or leave out the other")
        place = (file.split, str(file.label), name)
        if place in self._places:
            raise DataError(f"{self._path}: {file.name[:100]!r} is there twice; each image must be there once")
        self._places.add(place)

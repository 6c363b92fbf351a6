"""Mirrors of CIFAR-10 as class folders: a folder, a zip or a tar archive. All of it untrusted, nothing is unpacked."""

from __future__ import annotations

import re
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from perfsuite.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Label 0 to 9. Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009)."""

SPLITS = ("train", "test")
LARGEST_FILE_BYTES = 256 * 1024
"""Of one image of 32x32 pixels: eighty times what it takes uncompressed."""

MOST_FILES = 200_000
LARGEST_TOTAL_BYTES = 2 * 1024**3
"""Of all members of an archive together, uncompressed: what a bomb would exceed."""

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


def read_image_files(path: Path, *, report: Callable[[int], None] = lambda _num: None) -> list[ImageFile]:
    """Read all images of a mirror: `{train,test}/<class>/*`, also one folder deeper.

    Args:
        path: A folder, .zip, .tar, .tar.gz or .tar.xz.
        report: Told how many were read, now and then.

    Raises:
        DataError: It cannot be read, leads out of itself, holds links or something of an unlikely size, or is no such
            mirror.
    """
    try:
        found = []
        for number, file in enumerate(_files(path), start=1):
            found.append(file)
            if number % 1000 == 0:
                report(number)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError) as error:
        raise DataError(f"{path}: a damaged archive: {str(error)[:100]}") from None
    except RuntimeError as error:  # zipfile, for an encrypted member
        raise DataError(f"{path}: cannot be read: {str(error)[:100]}") from None
    for split in SPLITS:
        for label, name in enumerate(CLASSES):
            if not any(file.split == split and file.label == label for file in found):
                raise DataError(
                    f"{path}: no images of class {name} in {split}; {{train,test}}/<class>/* is needed, the classes "
                    f"named {', '.join(CLASSES)} or 0 to 9"
                )
    return found


def check_data_path(path: Path) -> None:
    """Check, without reading it all, that a path may hold images: a data set of perfsuite, class folders, an archive.

    Raises:
        DataError: There is no such thing, or it is something else.
    """
    if path.is_dir():
        if not any(
            next(path.glob(f"{above}{split}/{name}/"), None)
            for above in ("", "*/")
            for split in SPLITS
            for name in CLASSES
        ):
            raise DataError(f"{path}: no class folders in it; train/airplane, test/truck and so on are needed")
    elif not path.exists():
        raise DataError(
            f"{path}: no such file or folder; `perfsuite data download` fetches CIFAR-10, `perfsuite data import PATH` "
            "takes a mirror"
        )
    elif path.suffix == ".npz":
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path}: no data set of perfsuite, or damaged")
    elif not zipfile.is_zipfile(path) and not tarfile.is_tarfile(path):
        raise DataError(f"{path}: {_NO_ARCHIVE}")


_NO_ARCHIVE = "neither a folder nor an archive; .zip, .tar, .tar.gz and .tar.xz are read"


def _files(path: Path) -> Iterator[ImageFile]:
    if path.is_dir():
        yield from _in_folder(path)
    elif not path.exists():
        raise DataError(f"{path}: no such file or folder")
    elif zipfile.is_zipfile(path):
        yield from _in_zip(path)
    elif tarfile.is_tarfile(path):
        yield from _in_tar(path)
    else:
        raise DataError(f"{path}: {_NO_ARCHIVE}")


def _in_folder(root: Path) -> Iterator[ImageFile]:
    budget = _Budget(root)
    for folder, folders, names in root.walk() if hasattr(root, "walk") else _walk(root):
        folders.sort()
        for name in sorted(names):
            file = folder / name
            place = file.relative_to(root).as_posix()
            spot = _spot(place)
            if spot is None:
                continue
            if file.is_symlink():
                raise DataError(f"{root}: {place} is a link; copy what it points to")
            with file.open("rb") as stream:
                yield ImageFile(split=spot[0], label=spot[1], name=place, content=budget.read(stream, place))


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    import os

    for folder, folders, names in os.walk(root, followlinks=False):
        yield Path(folder), folders, names


def _in_zip(path: Path) -> Iterator[ImageFile]:
    budget = _Budget(path)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            _check_name(path, info.filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise DataError(f"{path}: {info.filename[:100]!r} is a link; archives with links are refused")
            spot = None if info.is_dir() else _spot(info.filename)
            if spot is not None:
                with archive.open(info) as stream:
                    content = budget.read(stream, info.filename)
                yield ImageFile(split=spot[0], label=spot[1], name=info.filename, content=content)


def _in_tar(path: Path) -> Iterator[ImageFile]:
    budget = _Budget(path)
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            _check_name(path, member.name)
            if member.isdir():
                continue
            if not member.isfile():
                raise DataError(f"{path}: {member.name[:100]!r} is a link or a device; such archives are refused")
            budget.skip(member.size, member.name)
            spot = _spot(member.name)
            stream = archive.extractfile(member) if spot is not None else None
            if spot is not None and stream is not None:
                content = budget.read(stream, member.name)
                yield ImageFile(split=spot[0], label=spot[1], name=member.name, content=content)


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or name.startswith(("/", "\\")) or re.match(r"^[A-Za-z]:", name):
        raise DataError(f"{path}: {name[:100]!r} leads out of the archive; nothing of it was read")


def _spot(place: str) -> tuple[str, int] | None:
    """Return split and label of a file by its place, or None for one that is no image of a class."""
    parts = PurePosixPath(place).parts
    if not place.lower().endswith(ENDINGS) or not 3 <= len([p for p in parts if p != "."]) <= DEEPEST:  # noqa: PLR2004 - split, class, file
        return None
    split, name = parts[-3].lower(), parts[-2].lower()
    if split not in SPLITS or PurePosixPath(place).name.startswith("."):
        return None
    if name in CLASSES:
        return split, CLASSES.index(name)
    return (split, int(name)) if re.fullmatch(r"[0-9]", name) else None


class _Budget:
    """Counts what was read, and stops what no mirror of CIFAR-10 needs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._num_files = 0
        self._num_bytes = 0

    def skip(self, size: int, name: str) -> None:
        """Count a member whose bytes pass by, read or not."""
        self._num_bytes += size
        if self._num_bytes > LARGEST_TOTAL_BYTES:
            raise DataError(f"{self._path}: more than 2 GiB at {name[:100]!r}; this is no mirror of CIFAR-10")

    def read(self, stream: IO[bytes], name: str) -> bytes:
        """Read one file within its limit."""
        content = stream.read(LARGEST_FILE_BYTES + 1)
        if len(content) > LARGEST_FILE_BYTES:
            raise DataError(f"{self._path}: {name[:100]!r} is larger than 256 KiB; this is no image of 32x32 pixels")
        self._num_files += 1
        if self._num_files > MOST_FILES:
            raise DataError(f"{self._path}: more than {MOST_FILES:,} images; this is no mirror of CIFAR-10")
        return content

"""Members of zip and tar archives from anywhere, one after the other; nothing is unpacked to the disk.

Whatever is wrong with an archive is a `DataError` of one line. Headers are limited before they are read, and of a
member no more is unpacked than is read.
"""

from __future__ import annotations

import bz2
import contextlib
import io
import lzma
import os
import stat
import sys
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from perfsuite.atomic_write import open_ordinary
from perfsuite.errors import DataError, PerfsuiteError
from perfsuite.formatting import GIB_BYTES, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perfsuite.workloads.memory_budget import MemoryBudget

MAX_TAR_HEADER_BYTES = 256 * 1024
"""Of one member: its block, and what tar calls extended headers and long names. A path has at most 4 KiB."""

MAX_ZIP_DIRECTORY_BYTES = 16 * 1024**2
"""Of a zip archive's list of members; 60,000 take 6 MB."""

ZIP_MEMBER_BYTES = 1024
"""Of memory that Python's zipfile takes for one member, its name included."""

MAX_XZ_BYTES = 256 * 1024**2
"""Of memory to unpack .xz; the highest level of compression takes 65 MiB."""

MIN_UNPACKED_BYTES = 2 * GIB_BYTES
"""What all members of an archive may always take together."""

MAX_EXPANSION = 20
"""How many times its own size an archive beyond that may unpack to. Images are compressed already, those of CIFAR's own
archives shrink by a tenth; small ones that fill blocks of tar shrink to a third; a bomb unpacks to a thousand times."""

METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""The compressions of zip members whose unpacking takes no more memory than is asked for."""

_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of an archive.

    Attributes:
        name: Its path in the archive, as the archive says it.
        kind: `file`, `folder`, or `other`: a link, a device, a file with holes.
        open: Opens a file; its content is valid until the next member is asked for.
    """

    name: str
    kind: str
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether a file begins or ends as an archive that can be read, whatever comes after.

    Raises:
        DataError: It cannot be read at all.
    """
    with errors_named(path, "cannot be read"), open_ordinary(path) as stream:
        return zipfile.is_zipfile(stream) or _is_tar(stream)


def members(path: Path, budget: MemoryBudget) -> Iterator[Member]:
    """Yield the members of a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz in the order of the archive.

    Raises:
        DataError: It is none of them, or damaged, or its headers take too much memory.
    """
    with errors_named(path, DAMAGED), open_ordinary(path) as stream:
        if zipfile.is_zipfile(stream):
            with open_zip(stream, budget) as archive:
                yield from _zip_members(archive, _size_of(stream))
        elif _is_tar(stream):
            yield from _tar_members(_unpacked(stream), _size_of(stream))
        else:
            raise DataError(f"{path}: {NO_ARCHIVE}")


def _size_of(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_size


DAMAGED = "an archive that is damaged or not supported"
NO_ARCHIVE = "neither a folder nor an archive; .zip, .tar, .tar.gz and .tar.xz are read"


def check_unpacked(num_bytes: int, archive_bytes: int, *, always_bytes: int) -> None:
    """Refuse a bomb.

    Args:
        num_bytes: What members unpack to.
        archive_bytes: What they take as they are.
        always_bytes: What they may always unpack to.

    Raises:
        ValueError: They unpack to more than that, and to more than `MAX_EXPANSION` times what they take.
    """
    if num_bytes > max(always_bytes, MAX_EXPANSION * archive_bytes):
        raise ValueError(
            f"it unpacks to more than {always_bytes / GIB_BYTES:.1f} GiB and {MAX_EXPANSION} times its size, which no "
            "images do"
        )


@contextlib.contextmanager
def errors_named(path: Path, problem: str, *, missing: str = "no such file or folder") -> Iterator[None]:
    """Make one line of whatever a library raises for a damaged file.

    Args:
        path: The file.
        problem: What is said of it.
        missing: What is said where there is none.

    Raises:
        DataError: In place of any other exception.
    """
    try:
        yield
    except PerfsuiteError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: {missing}") from None
    except Exception as error:  # noqa: BLE001 - zipfile, tarfile, numpy and zlib raise a dozen kinds for damaged data
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        is_of_system = isinstance(error, OSError) and error.strerror is not None
        raise DataError(
            f"{path}: {'cannot be read' if is_of_system else problem}: {first_line(reason)[:120]}"
        ) from None


# ----------------------------------------------------------------------------------------------------------------- zip


@contextlib.contextmanager
def open_zip(stream: BinaryIO, budget: MemoryBudget) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose list of members is within the limits."""
    guarded = _Guarded(stream, MAX_ZIP_DIRECTORY_BYTES)
    with zipfile.ZipFile(cast("IO[bytes]", guarded)) as archive:
        budget.take(ZIP_MEMBER_BYTES * len(archive.infolist()), "the list of its members")
        yield archive


def open_zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a member that can be unpacked piece by piece."""
    if info.compress_type not in METHODS:
        raise ValueError(f"compressed by method {info.compress_type}, where stored and deflated members are read")
    return archive.open(info)


def _zip_members(archive: zipfile.ZipFile, archive_bytes: int) -> Iterator[Member]:
    num_bytes = sum(info.file_size for info in archive.infolist())
    check_unpacked(num_bytes, archive_bytes, always_bytes=MIN_UNPACKED_BYTES)
    for info in archive.infolist():
        mode = stat.S_IFMT(info.external_attr >> 16)
        is_file = mode in {0, stat.S_IFREG}  # 0: written where files have no mode
        kind = _kind(is_folder=info.is_dir(), is_file=is_file)
        yield Member(
            name=info.filename,
            kind=kind,
            open=lambda info=info: open_zip_member(archive, info),  # type: ignore[misc]
        )


# ----------------------------------------------------------------------------------------------------------------- tar


def _is_tar(stream: BinaryIO) -> bool:
    stream.seek(0)
    try:
        block = _unpacked(stream).read(tarfile.BLOCKSIZE)
        tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError):
        return False
    finally:
        stream.seek(0)
    return True


def _kind(*, is_folder: bool, is_file: bool) -> str:
    if is_folder:
        return "folder"
    return "file" if is_file else "other"


def _tar_members(stream: IO[bytes] | io.BufferedReader, archive_bytes: int) -> Iterator[Member]:
    num_bytes = 0
    forward = _Forward(stream)
    forward.left_bytes = MAX_TAR_HEADER_BYTES
    with tarfile.open(fileobj=cast("IO[bytes]", forward), mode="r:") as archive:
        while True:
            forward.left_bytes = MAX_TAR_HEADER_BYTES
            info = archive.next()
            if info is None:
                if forward.last != bytes(tarfile.BLOCKSIZE):  # tarfile ends at any header that it cannot read
                    raise ValueError("cut off, or damaged between two members")
                return
            num_bytes += max(info.size, 0)
            check_unpacked(num_bytes, archive_bytes, always_bytes=MIN_UNPACKED_BYTES)
            archive.members = []  # type: ignore[attr-defined]  # else all of them are kept
            archive.pax_headers = {}
            forward.left_bytes = sys.maxsize
            kind = _kind(is_folder=info.isdir(), is_file=info.isreg() and not info.issparse())
            yield Member(
                name=info.name,
                kind=kind,
                open=lambda info=info: cast("IO[bytes]", archive.extractfile(info)),  # type: ignore[misc]
            )


class _Forward:
    """A stream that is read from its beginning to its end, and of which a piece is never larger than allowed.

    Attributes:
        left_bytes: What may be read until it is set again.
        last: What was read last.
    """

    def __init__(self, stream: IO[bytes] | io.BufferedReader) -> None:
        self._stream = stream
        self._position = 0
        self.left_bytes = 0
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.left_bytes:
            raise ValueError(f"a header of {size:,} bytes or more")
        data = self._stream.read(size)
        self._position += len(data)
        self.left_bytes -= len(data)
        self.last = data
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < self._position:
            raise ValueError("a member of negative size")
        while self._position < position:
            skipped = len(self._stream.read(min(_BLOCK_BYTES, position - self._position)))
            if not skipped:
                break
            self._position += skipped
        return self._position


def _unpacked(stream: BinaryIO) -> IO[bytes] | io.BufferedReader:
    """Return the content of a stream that may be compressed, as its first bytes say."""
    start = stream.read(6)
    stream.seek(0)
    for magic, make in _DECOMPRESSORS.items():
        if start.startswith(magic):
            return io.BufferedReader(_Decompressed(stream, make), _BLOCK_BYTES)
    return stream


class _Gzip:
    """zlib's decompressor with the methods of the other two."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


_Decompressor = _Gzip | bz2.BZ2Decompressor | lzma.LZMADecompressor

_DECOMPRESSORS: dict[bytes, Callable[[], _Decompressor]] = {
    b"\x1f\x8b": _Gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lambda: lzma.LZMADecompressor(memlimit=MAX_XZ_BYTES),
}


class _Decompressed(io.RawIOBase):
    """What compressed data unpack to, piece by piece; data may be several compressed streams in a row."""

    def __init__(self, stream: BinaryIO, make: Callable[[], _Decompressor]) -> None:
        self._stream, self._make = stream, make
        self._decompressor = make()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._decompressor.eof:
                rest = (self._decompressor.unused_data or self._stream.read(_BLOCK_BYTES)).lstrip(b"\0")
                if not rest:
                    return 0
                self._decompressor = self._make()
            else:
                rest = self._stream.read(_BLOCK_BYTES) if self._decompressor.needs_input else b""
                if not rest and self._decompressor.needs_input:
                    raise EOFError("it ends too early")
            data = self._decompressor.decompress(rest, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)


class _Guarded:
    """A stream of a zip archive of which no piece is larger than allowed.

    Attributes:
        max_bytes: What may be read at once.
    """

    def __init__(self, stream: BinaryIO, max_bytes: int) -> None:
        self._stream = stream
        self.max_bytes = max_bytes
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size if 0 <= size <= self.max_bytes else self.max_bytes + 1)
        if len(data) > self.max_bytes:
            raise ValueError(f"a list of members of more than {self.max_bytes:,} bytes")
        return data

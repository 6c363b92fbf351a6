"""Files as they are on disk: written so that nobody ever sees half of one, opened only if they are ordinary."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO


def open_ordinary(path: Path) -> BinaryIO:
    """Open a file to be read, if it is an ordinary one.

    A named pipe would be waited for without end, a device has no end, and opening one may act on it.

    Raises:
        OSError: There is none, it may not be read, or it is a folder, a pipe, a device or a socket.
        ValueError: The path is none at all.
    """
    _require_ordinary(path, os.stat(path).st_mode)  # noqa: PTH116 - no other errors than open
    # Not blocking, and checked again: it may have been replaced by a pipe since.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    stream = os.fdopen(handle, "rb")
    try:
        _require_ordinary(path, os.fstat(handle).st_mode)
    except OSError:
        stream.close()
        raise
    return stream


def _require_ordinary(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file, but a pipe, a device or a socket", str(path))


Content = str | bytes | memoryview | Callable[[IO[bytes]], None]
"""Of a file: the whole of it, or what writes it to a stream."""


def write_atomically(path: Path, content: Content, *, keep: Path | None = None) -> None:
    """Replace a file by a new one in one step: a reader, or whoever comes after a crash, sees the old or the new.

    A symbolic link stays one; what is not a regular file (a terminal, /dev/null) is written to as it is.

    Args:
        path: The file.
        content: Its whole content, or what writes it; text is written as UTF-8, what Unicode cannot encode becomes a
            question mark.
        keep: What the old file is renamed to, whatever it is, in the same folder; it is replaced if not given.

    Raises:
        OSError: It cannot be written; the old file is untouched.
    """
    path = Path(os.path.realpath(path))
    if path.is_symlink():  # only a loop of links is still one
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if keep is None and path.exists() and not path.is_file():
        with path.open("wb") as stream:
            _write(stream, content)
        return
    _remove_leftovers(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path))
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            _try_lock(stream)
            _write(stream, content)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        if keep is not None and path.exists():
            path.replace(keep)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write(stream: IO[bytes], content: Content) -> None:
    if callable(content):
        content(stream)
    else:
        stream.write(content.encode("utf-8", errors="replace") if isinstance(content, str) else content)


def _prefix(path: Path) -> str:
    return f".{path.name}.perfsuite-"


def _remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed left of a file half written; one that is being written is locked."""
    leftovers: list[Path] = []
    with contextlib.suppress(OSError):  # a folder that may be written to, but not listed
        leftovers = [file for file in path.parent.iterdir() if file.name.startswith(_prefix(path))]
    for leftover in leftovers:
        with contextlib.suppress(OSError), open_ordinary(leftover) as stream:
            if _try_lock(stream):
                leftover.unlink()


if sys.platform == "win32":

    def _try_lock(_stream: IO[bytes]) -> bool:
        """Nothing is removed on Windows, whose locks keep the owner from renaming the file."""
        return False

else:
    import fcntl

    def _try_lock(stream: IO[bytes]) -> bool:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held, or a file system without locks
            return False
        return True

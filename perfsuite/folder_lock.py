"""One process at a time in a folder: a lock of the operating system, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import platform
import sys
from typing import IO, TYPE_CHECKING

from perfsuite.atomic_write import open_ordinary
from perfsuite.errors import FolderInUseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfsuite.errors import PerfsuiteError

NAME = "lock"
"""The file that is locked. It stays when the lock ends; only a process that runs holds it."""

_WINDOWS_OFFSET = 2**30
"""The byte that is locked on Windows, where the bytes of a lock cannot be read: far behind the content."""


@contextlib.contextmanager
def folder_locked(folder: Path) -> Iterator[int]:
    """Hold a folder alone, and make it if it is not there.

    Yields:
        The file descriptor of the lock. A process that it is passed to holds the lock as well until it ends.

    Raises:
        FolderInUseError: Another process holds it; the message names folder, process and host.
        OSError: The folder or its lock cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NAME).open("a+", encoding="utf-8") as lock:
        holder = _holder(lock)
        if not _try_lock(lock, holder):
            raise FolderInUseError(f"{folder}: in use by {_in_words(holder)}; wait for it, or name another folder")
        lock.truncate(0)
        json.dump({"pid": os.getpid(), "host": platform.node()}, lock)
        lock.flush()
        try:
            yield lock.fileno()
        finally:
            lock.truncate(0)
            _unlock(lock)


@contextlib.contextmanager
def folder_held(folder: Path, unusable: type[PerfsuiteError]) -> Iterator[int]:
    """Hold a folder alone; that it cannot be written is one line of the caller's kind of error.

    Yields:
        The file descriptor of the lock.

    Raises:
        FolderInUseError: Another process holds it.
        PerfsuiteError: Of the kind `unusable`: the folder cannot be written.
    """
    with contextlib.ExitStack() as held:
        try:
            lock = held.enter_context(folder_locked(folder))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise unusable(f"{folder}: cannot be used: {reason}") from None
        yield lock


def is_lock(path: Path) -> bool:
    """Whether a file is one that `folder_locked` wrote, or empty."""
    try:
        with io.TextIOWrapper(open_ordinary(path), encoding="utf-8") as lock:
            return bool(_holder(lock)) or not lock.seek(0, os.SEEK_END)
    except (OSError, ValueError):
        return False


def _holder(lock: IO[str]) -> dict[str, object]:
    """Return what the last process that held the lock wrote; it says nothing of whether it still does."""
    lock.seek(0)
    try:
        found = json.loads(lock.read(1000))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and set(found) == {"pid", "host"} else {}


def _in_words(holder: dict[str, object]) -> str:
    if not isinstance(holder.get("pid"), int):
        return "another process"
    process = f"process {holder['pid']} on {str(holder.get('host'))[:100]}"
    has_ended = holder.get("host") == platform.node() and not _runs_here(holder)
    return f"a process that was started by {process}, which has ended" if has_ended else process


if sys.platform == "win32":
    import msvcrt

    def _try_lock(lock: IO[str], _holder: dict[str, object]) -> bool:
        lock.seek(_WINDOWS_OFFSET)
        try:
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(_lock: IO[str]) -> None:
        """Closing the file is enough."""

    def _runs_here(_holder: dict[str, object]) -> bool:
        """Whether it runs is not asked: a process that was started by the holder never holds the lock here."""
        return True

else:
    import fcntl

    def _try_lock(lock: IO[str], holder: dict[str, object]) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EAGAIN}:
                return False
            # A file system without locks, a mounted drive for instance: all that is left is what the holder wrote.
            return not _runs_here(holder)
        return True

    def _unlock(lock: IO[str]) -> None:
        """End the lock for processes that were given it as well: closing the file would leave it to them."""
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)

    def _runs_here(holder: dict[str, object]) -> bool:
        """Whether a process that holds a lock runs on this machine; one of another machine cannot be asked for."""
        pid = holder.get("pid")
        if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0 or holder.get("host") != platform.node():
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OverflowError:
            return False
        except PermissionError:
            return True  # of another user
        return True

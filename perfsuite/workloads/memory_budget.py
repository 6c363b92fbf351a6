"""How much memory reading a file of images may take: counted from its headers, before anything of that size is read."""

from __future__ import annotations

import contextlib
from pathlib import Path

from perfsuite.errors import DataError

MIN_BYTES = 512 * 1024**2
"""What one file may always take: CIFAR-10 takes 400 MB while it is imported and 184 MB when it is loaded."""

MAX_SHARE_OF_FREE = 0.5
"""Of the memory that is free when reading begins: the other half is for the training."""

MEMINFO = Path("/proc/meminfo")


def read_free_memory(path: Path = MEMINFO) -> int | None:
    """Return MemAvailable in bytes, or None where the system does not say. Source: proc(5)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in path.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def max_bytes() -> int:
    """Return what one file may take now: half of the free memory, or `MIN_BYTES` where that is more or not known."""
    free_bytes = read_free_memory()
    return MIN_BYTES if free_bytes is None else max(MIN_BYTES, int(MAX_SHARE_OF_FREE * free_bytes))


class MemoryBudget:
    """What reading one file, folder or archive keeps in memory."""

    def __init__(self, path: Path) -> None:
        """Take what is read, for messages."""
        self._path = path
        self._max_bytes = max_bytes()
        self._num_bytes = 0

    def take(self, num_bytes: int, what: str) -> None:
        """Count memory that is about to be used.

        Args:
            num_bytes: How much, as headers say.
            what: For what, in words.

        Raises:
            DataError: It would be more than `max_bytes` in all.
        """
        self._num_bytes += num_bytes
        if num_bytes < 0 or self._num_bytes > self._max_bytes:
            raise DataError(
                f"{self._path}: reading it would take more than {self._max_bytes // 1024**2:,} MiB of memory, from "
                f"{what[:100]!r} on; that is half of what is free here, or 512 MiB where that is more: take fewer or "
                "smaller images (--image-size)"
            )

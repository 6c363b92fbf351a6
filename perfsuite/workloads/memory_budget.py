"""How much memory reading a file of images may take: counted from its headers, before anything of that size is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 512 * 1024**2
"""For all that is kept of one file; CIFAR-10 takes 400 MB while it is imported and 184 MB when it is loaded."""


class MemoryBudget:
    """What reading one file, folder or archive keeps in memory."""

    def __init__(self, path: Path) -> None:
        """Take what is read, for messages."""
        self._path = path
        self._num_bytes = 0

    def take(self, num_bytes: int, what: str) -> None:
        """Count memory that is about to be used.

        Args:
            num_bytes: How much, as headers say.
            what: For what, in words.

        Raises:
            DataError: It would be more than `MAX_BYTES` in all.
        """
        self._num_bytes += num_bytes
        if num_bytes < 0 or self._num_bytes > MAX_BYTES:
            raise DataError(
                f"{self._path}: reading it would take more than {MAX_BYTES // 1024**2} MiB of memory, from "
                f"{what[:100]!r} on; CIFAR-10 takes less"
            )

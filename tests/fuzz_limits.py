"""What a case of a fuzz may take: 20 s, and 1 GiB of address space more than the process had before the first."""

from __future__ import annotations

import contextlib
import re
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CASE_S = 20
MAX_GROWTH_BYTES = 1024**3


class TooLong(BaseException):
    """No reader catches it."""


@contextlib.contextmanager
def limited_time() -> Iterator[None]:
    """Raise TooLong where the block takes longer than a case may."""

    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(MAX_CASE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def limit_memory() -> None:
    """Let this process have no more than 1 GiB of address space above what it has; for a process that only fuzzes."""
    found = re.search(r"VmSize:\s*([0-9]+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    limit = int(found[1]) * 1024 + MAX_GROWTH_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

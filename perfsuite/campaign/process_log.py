"""What log and exit status of a process of pytest say, in a line. Imports nothing large: nodes of a fleet import it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_LOG_BYTES = 1_000_000
"""Of the end of a log, in which a complaint is looked for."""


def ended(status: int) -> str:
    """Return how a process ended, in words."""
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was ended by signal {-status} ({signal.Signals(-status).name})"
    return f"was ended by signal {-status}"


def last_line(log: Path) -> str:
    """Return how far a process is, by the end of its log."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", tail(log, 2000)) if line.strip()]
    if not lines:
        return "starting"
    finished = [line for line in lines if re.match(r"\[\d+/\d+\] ", line)]
    if not finished:
        return "no benchmark finished yet"
    return re.sub(r"\s+about .* left$", "", finished[-1])[:70]


def tail(log: Path, num_bytes: int) -> str:
    """Return the last bytes of a log as text, nothing where it cannot be read."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - num_bytes))
            return stream.read(num_bytes).decode("utf-8", "replace")
    except OSError:
        return ""


def complaint(log: Path) -> str:
    """Return the line of a log that says what went wrong, as far as one does."""
    return complaint_in(tail(log, MAX_LOG_BYTES))


def complaint_in(text: str) -> str:
    """Do the same with the text of a log."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if re.match(r"E  |ERROR|.*Error:|.*error:|.*outcomes\.Exit:", line)]
    return ((marked or lines or ["it printed nothing"])[-1])[:200]

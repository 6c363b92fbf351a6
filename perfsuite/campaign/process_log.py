"""What the log of a process of pytest says, in a line. Imports nothing large: nodes of a fleet import it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfsuite.child_process import log_end

if TYPE_CHECKING:
    from pathlib import Path

MAX_LOG_BYTES = 1_000_000
"""Of the end of a log, in which a complaint is looked for."""


def last_line(log: Path) -> str:
    """Return how far a process is, by the end of its log."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", log_end(log, 2000)) if line.strip()]
    if not lines:
        return "starting"
    finished = [line for line in lines if re.match(r"\[\d+/\d+\] ", line)]
    if not finished:
        return "no benchmark finished yet"
    return re.sub(r"\s+about .* left$", "", finished[-1])[:70]


def complaint(log: Path) -> str:
    """Return the line of a log that says what went wrong, as far as one does."""
    return complaint_in(log_end(log, MAX_LOG_BYTES))


def complaint_in(text: str) -> str:
    """Do the same with the text of a log."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if re.match(r"E  |ERROR|.*Error:|.*error:|.*outcomes\.Exit:", line)]
    return ((marked or lines or ["it printed nothing"])[-1])[:200]

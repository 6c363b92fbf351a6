"""Time stamps of a training in a file that grows line by line: what a killed process had done since its checkpoint.

A checkpoint cannot know how long the process went on after it. So every process appends a line when it begins, and
every few seconds the epoch and the seconds spent in it; what was appended before a kill stays. Of an epoch that was
begun more than once, all but the last time is lost, as far as no checkpoint within the epoch had saved it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.atomic_write import open_ordinary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "time-stamps.txt"

EVERY_S = 5.0
"""Seconds between two time stamps, as far as a step is no longer: how much of a lost epoch goes unseen."""

PROCESS = "process"

SAVED = "saved"
"""Begins a time stamp up to which a checkpoint within the epoch has everything."""

MAX_BYTES = 64 * 1024**2
"""Of the file: four months of time stamps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruptions:
    """How often a training was interrupted, and what that cost.

    Attributes:
        num_interruptions: How many of its processes ended before it was finished.
        lost_time_s: Active time of epochs that were cut off and trained again, up to their last time stamp.
        absent: Why both are unknown, or None.
    """

    num_interruptions: int | None
    lost_time_s: float | None
    absent: str | None = None


class TimeStamps:
    """The file of one training, appended to by the process that trains."""

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.monotonic, is_written: bool = True) -> None:
        """Take a folder; nothing is written yet, or ever where another process writes."""
        self._is_written = is_written
        self._path, self._now = folder / NAME, now
        self._epoch, self._begin_s, self._last_s, self._saved_s = 0, 0.0, 0.0, 0.0
        self._problem: str | None = None

    def begin_process(self) -> None:
        """Note that another process has begun; half a line at the end of the file is cut off."""
        if not self._is_written:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists():
                with open_ordinary(self._path) as stream:
                    whole = stream.read().rpartition(b"\n")
                os.truncate(self._path, len(whole[0]) + len(whole[1]))
        except OSError as error:
            self._problem = error.strerror or str(error)
        self._append(PROCESS)

    def begin_epoch(self, epoch: int) -> None:
        """Note that an epoch has begun."""
        self._epoch, self._begin_s = epoch, self._now()
        self._saved_s = self._begin_s
        self.stamp()

    def stamp_now_and_then(self) -> None:
        """Append a time stamp if the last one is long enough ago."""
        if self._now() - self._last_s >= EVERY_S:
            self.stamp()

    def is_unsaved_for(self, seconds: float) -> bool:
        """Whether the epoch, or its last checkpoint, began so long ago."""
        return self._now() - self._saved_s >= seconds

    def stamp(self) -> None:
        """Append the epoch and the seconds spent in it."""
        self._last_s = self._now()
        self._append(f"{self._epoch} {self._last_s - self._begin_s:.3f}")

    def saved(self) -> None:
        """Append that a checkpoint has what was done of this epoch until now."""
        self._saved_s = self._now()
        self._append(f"{SAVED} {self._epoch} {self._saved_s - self._begin_s:.3f}")

    def _append(self, line: str) -> None:
        """Append a line; a full disk does not end the training, which says so itself at its checkpoint."""
        if not self._is_written:
            return
        try:
            with open(self._path, "a", encoding="ascii", opener=_without_waiting) as stream:
                stream.write(f"{line}\n")
        except OSError as error:
            self._problem = error.strerror or str(error)

    def interruptions(self, num_epochs: int) -> Interruptions:
        """Return what the whole file says of a training that is at its end.

        Args:
            num_epochs: Epochs that the training has.
        """
        if not self._is_written:
            return _unknown("another process writes the time stamps")
        if self._problem is not None:
            return _unknown(f"{NAME} could not be written: {self._problem}")
        try:
            with open_ordinary(self._path) as stream:
                content = stream.read(MAX_BYTES + 1)
        except OSError as error:
            return _unknown(f"{NAME} cannot be read: {error.strerror}")
        return count_interruptions(content, num_epochs)


def count_interruptions(content: bytes, num_epochs: int) -> Interruptions:
    """Return what the content of a file of time stamps says.

    Args:
        content: Lines `process`, or an epoch and the seconds spent in it, after `saved` those that a checkpoint has.
        num_epochs: Epochs that were trained to their end; each must have been begun.
    """
    if len(content) > MAX_BYTES:
        return _unknown(f"{NAME} is larger than {MAX_BYTES // 1024**2} MiB")
    num_processes = 0
    spent_s: dict[int, list[float]] = {epoch: [] for epoch in range(1, num_epochs + 1)}
    saved_s: dict[int, list[float]] = {epoch: [] for epoch in spent_s}
    open_epoch = None
    for number, line in enumerate(content.decode("ascii", errors="replace").splitlines(), start=1):
        if line == PROCESS:
            num_processes, open_epoch = num_processes + 1, None
            continue
        stamp = _parse(line.removeprefix(SAVED).lstrip())
        if stamp is None or stamp[0] not in spent_s or not num_processes:
            return _unknown(f"{NAME} is damaged in line {number}")
        epoch, seconds = stamp
        if epoch != open_epoch:
            spent_s[epoch].append(0.0)
            saved_s[epoch].append(0.0)
            open_epoch = epoch
        spent_s[epoch][-1] = max(spent_s[epoch][-1], seconds)
        if line.startswith(SAVED):
            saved_s[epoch][-1] = seconds
    missing = [epoch for epoch, times_s in spent_s.items() if not times_s]
    if missing:
        return _unknown(f"{NAME} has no time stamp of epoch {missing[0]}")
    lost_s = 0.0
    for epoch, times_s in spent_s.items():
        lost_s += sum(times_s[:-1]) - sum(saved_s[epoch][:-1])
    return Interruptions(num_interruptions=num_processes - 1, lost_time_s=lost_s)


def _parse(line: str) -> tuple[int, float] | None:
    epoch, _, seconds = line.partition(" ")
    try:
        stamp = int(epoch), float(seconds)
    except ValueError:
        return None
    return stamp if 0 <= stamp[1] < MAX_SECONDS else None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)  # a pipe without a reader is an error


MAX_SECONDS = 1e9
"""Of one epoch: thirty years."""


def _unknown(reason: str) -> Interruptions:
    return Interruptions(num_interruptions=None, lost_time_s=None, absent=reason)

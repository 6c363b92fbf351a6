"""The timer of a full training: advanced by the training itself."""

from __future__ import annotations


class ActiveClock:
    """A timer that training advances: the active time of its epochs, in whichever process each was trained to its end.

    The time between two processes does not count, nor do epochs that were cut off and trained again: those are
    `lost_time_s` in the record, from the file of `time_stamps`.
    """

    __name__ = "perfsuite.measure.active_clock.ActiveClock"

    def __init__(self) -> None:
        """Begin at 0 s."""
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the active time so far in seconds."""
        return self.seconds

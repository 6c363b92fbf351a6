"""The timer of a full training: advanced by the training itself."""

from __future__ import annotations


class ActiveClock:
    """A timer that training advances: the active time of all processes that worked on it, dead time left out."""

    __name__ = "perfsuite.measure.active_clock.ActiveClock"

    def __init__(self) -> None:
        """Begin at 0 s."""
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the active time so far in seconds."""
        return self.seconds

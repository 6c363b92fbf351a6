"""A clock that is told how long each iteration takes."""

from __future__ import annotations


class Script:
    """A clock that is told how long each iteration takes."""

    def __init__(self, durations: list[float]) -> None:
        self.durations = durations
        self.time = 0.0
        self.num_iterations = 0

    def run(self) -> None:
        self.time += self.durations[min(self.num_iterations, len(self.durations) - 1)]
        self.num_iterations += 1

    def now(self) -> float:
        return self.time

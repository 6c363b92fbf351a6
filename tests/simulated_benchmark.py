"""pytest-benchmark's fixture as far as the suite uses it, without its own clock."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class SimulatedStats:
    """Its statistics: seconds per iteration."""

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations
        self.data: list[float] = []

    def update(self, duration: float) -> None:
        self.data.append(duration / self.iterations)

    def __getitem__(self, key: str) -> Any:
        quartiles = statistics.quantiles(self.data, n=4)
        values = {
            "iterations": self.iterations,
            "data": self.data,
            "rounds": len(self.data),
            "median": statistics.median(self.data),
            "iqr": quartiles[2] - quartiles[0],
        }
        return values[key]


class SimulatedBenchmark:
    """Calibrates with one iteration, runs the rounds, and once more for the result."""

    def __init__(self, clock: Callable[[], float], *, min_rounds: int, min_time: float, max_time: float) -> None:
        self._clock = clock
        self._min_rounds, self._min_time, self._max_time = min_rounds, min_time, max_time
        self.disabled = False
        self.has_error = False
        self.group: str | None = None
        self.extra_info: dict[str, Any] = {}
        self.stats: Any = None

    def __call__(self, function_to_benchmark: Callable[[], object]) -> object:
        once = self._round(function_to_benchmark, 1)
        iterations = max(1, math.ceil(self._min_time / once))
        self.stats = SimulatedStats(iterations)
        for _ in range(max(self._min_rounds, math.ceil(self._max_time / (once * iterations)))):
            self.stats.update(self._round(function_to_benchmark, iterations))
        return function_to_benchmark()

    def pedantic(self, target: Callable[[], object], *, rounds: int, iterations: int) -> object:
        """Run the rounds, and nothing else."""
        self.stats = SimulatedStats(iterations)
        for _ in range(rounds):
            self.stats.update(self._round(target, iterations))
        return None

    def _round(self, run: Callable[[], object], iterations: int) -> float:
        begin = self._clock()
        for _ in range(iterations):
            run()
        return self._clock() - begin

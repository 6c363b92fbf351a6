"""The latency of single iterations: one at a time, each waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NUM_LATENCIES = 1000
"""Iterations that are timed one by one: ten of them are slower than the 99th percentile."""

MIN_LATENCIES = 20
"""However long they take: one of them is slower than the 95th percentile."""


def measure_latencies(run: Callable[[], object], clock: Callable[[], float], *, max_time_s: float) -> tuple[float, ...]:
    """Return the seconds of single iterations, in their order.

    Rounds have several iterations that the device works off without a wait; here the host waits after each, as one
    that answers requests does.

    Args:
        run: One iteration, warmed up.
        clock: Reads seconds, device synchronised.
        max_time_s: How long all of them may take.
    """
    latencies: list[float] = []
    first = begin = clock()
    while len(latencies) < NUM_LATENCIES and (begin - first < max_time_s or len(latencies) < MIN_LATENCIES):
        run()
        end = clock()
        latencies.append(end - begin)
        begin = end
    return tuple(latencies)

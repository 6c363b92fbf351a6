"""Warm-up until iteration times have stopped falling and rising, and the GPU's clock with them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.measure.drift import MIN_TIMES, change_between

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MIN_HALF = 3
"""Iterations in each of the two halves that are compared."""

MIN_ITERATIONS = 8
"""Of a warm-up that times may end; the first two load kernels and choose algorithms."""

MIN_LONG_ITERATIONS = 2
"""Of a warm-up whose time is over."""

LOOK_RATIO = 1.1
"""Times are looked at again when the warm-up has become so much longer: a look costs time in which the device idles."""

CLOCK_PERIOD_S = 0.1
"""Between two readings of the GPU's clock. NVML itself renews it every 20 to 100 ms."""

CLOCK_STEADY_RATIO = 0.02
"""By how much the medians of the GPU's clock may differ: one of its steps is 15 MHz, 1.7% of 900 MHz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """How a cell was warmed up.

    Attributes:
        num_steps: Iterations done.
        seconds: How long it took.
        unstable: Why times may not have been stable at its end, in words, or None if they were.
    """

    num_steps: int
    seconds: float
    unstable: str | None

    @property
    def iteration_s(self) -> float:
        """About how long an iteration takes, in seconds."""
        return self.seconds / max(self.num_steps, 1)


def warm_up(
    run: Callable[[], object],
    clock: Callable[[], float],
    *,
    settled: Callable[[], bool],
    min_seconds: float,
    max_seconds: float,
    stable_ratio: float,
    read_clock_mhz: Callable[[], float | None] = lambda: None,
) -> WarmUp:
    """Run until times neither fall nor rise.

    First iterations load kernels, choose algorithms, raise the GPU's clock from idle and grow the allocator's pools:
    times fall. Then a GPU at its power limit lowers its clock for seconds: times rise. The last half of the warm-up is
    divided in two, and the medians of both halves are compared; so what changes slowly is seen when the warm-up has
    become long. A difference that the scatter of the times explains is none.

    Args:
        run: One iteration.
        clock: Reads seconds, device synchronised.
        settled: Asked along with the times; False keeps warming up (a loss scale that still falls).
        min_seconds: Never less.
        max_seconds: Never more, but at least two iterations.
        stable_ratio: By how much the halves may differ.
        read_clock_mhz: Reads the GPU's clock outside of the timed window; None where it cannot be read.
    """
    begin = last = last_reading = clock()
    times: list[float] = []
    clocks: list[tuple[int, float]] = []  # how many iterations were done, and the clock then
    next_look_s = min_seconds
    while True:
        run()
        now = clock()
        times.append(now - last)
        elapsed = now - begin
        is_settled = settled()
        if now - last_reading >= CLOCK_PERIOD_S:
            last_reading = now
            megahertz = read_clock_mhz()
            if megahertz is not None:
                clocks.append((len(times), megahertz))
        is_last = elapsed >= max_seconds and len(times) >= MIN_LONG_ITERATIONS
        if is_last or (elapsed >= next_look_s and is_settled and len(times) >= MIN_ITERATIONS):
            next_look_s = elapsed * LOOK_RATIO
            unstable = _why_unsteady(times, clocks, elapsed=elapsed, is_settled=is_settled, stable_ratio=stable_ratio)
            if is_last or unstable is None:
                return WarmUp(num_steps=len(times), seconds=elapsed, unstable=unstable)
        last = clock()


def _why_unsteady(
    times: Sequence[float],
    clocks: Sequence[tuple[int, float]],
    *,
    elapsed: float,
    is_settled: bool,
    stable_ratio: float,
) -> str | None:
    """Return why a warm-up that ends now may not have reached stable times, or None."""
    after = f"after {elapsed:.1f} s of warm-up"
    first = _begin_of_last_half(times)
    change = change_between(*_halves(times[first:]))
    if change is None:
        return f"only {len(times)} iterations of warm-up in {elapsed:.1f} s, too few to tell whether times were stable"
    if not is_settled:
        return f"the loss scale was still falling {after}"
    if change.is_beyond(stable_ratio):
        return f"times were still {'rising' if change.ratio > 0 else 'falling'} {after}"
    early, late = _halves([megahertz for num_done, megahertz in clocks if num_done > first])
    if len(early) >= MIN_TIMES:
        before, now = statistics.median(early), statistics.median(late)
        if abs(now / before - 1) > CLOCK_STEADY_RATIO:
            way = "rising" if now > before else "falling"
            return f"the GPU's clock was still {way} ({before:,.0f} to {now:,.0f} MHz) {after}"
    return None


def _begin_of_last_half(times: Sequence[float]) -> int:
    """Return the first iteration of the last half of the time, or of as many iterations as there must be."""
    left, half = sum(times), sum(times) / 2
    for index, seconds in enumerate(times):
        if left <= half or len(times) - index <= 2 * MIN_HALF:
            return index
        left -= seconds
    return 0


def _halves(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """Divide values in two of the same number, a middle one left out."""
    half = len(values) // 2
    return values[:half], values[len(values) - half :]

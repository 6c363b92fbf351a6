"""The rounds of a process -> the few numbers that a comparison keeps of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.statistics.effect import LOWER_QUANTILES, TYPICAL
from perfsuite.analysis.statistics.tail import TAIL_FRACTION

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.effect import Bools, Floats

QUANTILES = (TYPICAL, *LOWER_QUANTILES)
"""Which quantiles of its rounds may represent a process."""

MIN_LIKE_ROUNDS = 20
"""From so many rounds on, the slowest or fastest of them are hardly shifted by how many there are."""

MAX_ROUNDS_RATIO = 1.2
"""Of the largest to the smallest number of rounds that count as alike where there are fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedRounds:
    """What a comparison keeps of rounds; arrays are [benchmarks], NaN where unknown.

    Attributes:
        quantiles: Seconds, by quantile.
        slowest: Mean of the slowest rounds in seconds.
        resolution: Smallest step between two rounds over their median.
    """

    quantiles: dict[float, Floats]
    slowest: Floats
    resolution: Floats


def reduce_rounds(times_s: Floats) -> ReducedRounds:
    """Reduce rounds.

    Args:
        times_s: [benchmarks, rounds] in seconds.
    """
    ordered = np.sort(times_s, axis=1)
    quantiles = {quantile: _quantile_of_ordered(ordered, quantile) for quantile in QUANTILES}
    # A round of 0 s makes the median 0, which is rejected by name.
    quantiles[TYPICAL] = np.where(ordered[:, 0] > 0, quantiles[TYPICAL], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        resolution = _smallest_step(ordered) / quantiles[TYPICAL]
    return ReducedRounds(quantiles=quantiles, slowest=_mean_of_slowest(ordered), resolution=resolution)


def _mean_of_slowest(ordered: Floats) -> Floats:
    """Return the mean of the slowest `TAIL_FRACTION` of every row, the last round of them counted in part."""
    num = TAIL_FRACTION * ordered.shape[1]
    weights = np.clip(num - np.arange(ordered.shape[1])[::-1], 0.0, 1.0)
    found: Floats = ordered @ weights / num
    return found


def _quantile_of_ordered(ordered: Floats, quantile: float) -> Floats:
    """Return a quantile of every row of ordered times, interpolated linearly as numpy does."""
    position = quantile * (ordered.shape[1] - 1)
    below = math.floor(position)
    above = min(below + 1, ordered.shape[1] - 1)
    found: Floats = ordered[:, below] + (position - below) * (ordered[:, above] - ordered[:, below])
    return found


def _smallest_step(ordered: Floats) -> Floats:
    """Return the smallest difference between two rounds of a row; NaN where all are the same."""
    steps = np.diff(ordered, axis=1)
    # Sums in binary leave steps of a trillionth of a round between times that a timer gave as equal.
    steps = np.where(steps > 1e-12 * ordered[:, 1:], steps, np.inf)
    smallest: Floats = steps.min(axis=1, initial=np.inf)
    return np.where(np.isfinite(smallest), smallest, np.nan)


def have_like_rounds(num_rounds: Floats) -> Bools:
    """Tell for each benchmark whether all processes have about as many rounds, or many.

    The slowest 30% of 5 rounds and of 30 differ by chance alone, and so do their fastest; medians do not.

    Args:
        num_rounds: [benchmarks, processes], NaN where unknown.
    """
    fewest = np.where(np.isnan(num_rounds), np.inf, num_rounds).min(axis=1, initial=np.inf)
    most = np.where(np.isnan(num_rounds), 0.0, num_rounds).max(axis=1, initial=0.0)
    alike: Bools = (fewest >= MIN_LIKE_ROUNDS) | (most <= MAX_ROUNDS_RATIO * fewest)
    return alike

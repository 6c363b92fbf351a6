"""How well rounds know their mean, where neighbouring rounds are alike: batch means with Student's t.

Rounds of one process are correlated (clocks that drift, neighbours that come and go). The normal margin for independent
rounds, by which pytest-benchmark's `--benchmark-precision` stops, contains the mean of 30 rounds at "99%" in 77% of the
cases where the correlation of neighbours is 0.6, and in 56% where it is 0.8; this one in 98% and 93%, at the price of
1.5 times the width where rounds are independent (simulated: tests/test_mean_margin.py).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

Times = np.ndarray[Any, np.dtype[np.float64]]

NUM_BATCHES = 6
"""Into how many batches of neighbours the rounds are divided: few and long, for long batches are hardly correlated."""

CONFIDENCE = 0.99
"""Of the margins, two-sided."""


def relative_margins(times: Times, confidence: float = CONFIDENCE) -> Times:
    """Return half the width of the interval around each mean over that mean, as a ratio; NaN below two rounds.

    The rounds are divided into `NUM_BATCHES` batches of neighbours; with fewer rounds each is a batch of its own.
    Source: Alexopoulos and Seila, Output data analysis, in Banks (ed.), Handbook of Simulation (1998), section 7.4.

    Args:
        times: [benchmarks, rounds] in seconds.
        confidence: Of the interval, two-sided.
    """
    num_rounds = times.shape[1]
    means = times.mean(axis=1)
    num_batches = min(NUM_BATCHES, num_rounds)
    if num_batches < 2:  # noqa: PLR2004 - a variance needs two
        return np.full(len(means), np.nan)
    starts = np.arange(num_batches) * num_rounds // num_batches
    sizes = np.diff(np.append(starts, num_rounds))
    batches = np.add.reduceat(times, starts, axis=1) / sizes
    errors = batches.std(axis=1, ddof=1) / math.sqrt(num_batches)
    with np.errstate(divide="ignore", invalid="ignore"):
        margins: Times = student_quantile(0.5 + confidence / 2, num_batches - 1) * errors / means
    return np.where(means > 0, margins, np.nan)


@lru_cache(maxsize=64)
def student_quantile(probability: float, num_dof: int) -> float:
    """Return the quantile of Student's t for a probability above a half, by bisection; no scipy, which starts slowly.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4.
    """
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        if 0.5 + _central_probability(middle, num_dof) / 2 < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _central_probability(t: float, num_dof: int) -> float:
    """Return the probability of [-t, t]."""
    angle = math.atan(t / math.sqrt(num_dof))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = num_dof % 2
    term, total = (cosine if is_odd else 1.0), 0.0
    for power in range(is_odd, num_dof - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total

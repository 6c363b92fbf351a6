"""Intervals of t distributions, and error probabilities that hold for many tests at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.effect import Bools, Floats

LEVEL = 0.95
"""Of every interval, two-sided."""

MIN_PROCESSES = 3
"""Fewer processes a side never give a verdict on time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tests:
    """One-sided Holm-adjusted p-values of both directions.

    Attributes:
        slower: [benchmarks]
        faster: [benchmarks]
        alpha: Two-sided error probability of the family.
        level: One-sided p-value of a single test that corresponds to alpha.
    """

    slower: Floats
    faster: Floats
    alpha: float
    level: float

    @property
    def p_value(self) -> Floats:
        """Two-sided [benchmarks]."""
        doubled: Floats = 2 * np.minimum(self.slower, self.faster)
        return np.minimum(doubled, 1.0)

    def significant(self, sign: int) -> Bools:
        """Whether each change is significant in that direction [benchmarks]."""
        found: Bools = 2 * (self.slower if sign > 0 else self.faster) <= self.alpha
        return found


def half_interval(dof: Floats, se: Floats) -> Floats:
    """Return half of the width of the interval of each change [benchmarks]."""
    half: Floats = stdtrit(dof, 0.5 + LEVEL / 2) * se
    return half


def both_directions(change: Floats, se: Floats, dof: Floats, judged: Bools, alpha: float, margin: float = 0.0) -> Tests:
    """Test every change against the margin, in both directions."""
    return Tests(
        slower=holm(stdtr(dof, -(change - margin) / se), judged),
        faster=holm(stdtr(dof, (change + margin) / se), judged),
        alpha=alpha,
        level=alpha / 2 / max(int(judged.sum()), 1),
    )


def holm(p_values: Floats, judged: Bools) -> Floats:
    """Return Holm-adjusted p-values over the benchmarks that are judged, 1 for the others.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6 (1979). Corrections that
    make use of the benchmarks' correlation found no more in simulations (tests/yardstick).
    """
    adjusted = np.ones(len(p_values))
    where = np.flatnonzero(judged)
    if len(where):
        ascending = where[np.argsort(p_values[where], kind="stable")]
        steps = (len(where) - np.arange(len(where))) * p_values[ascending]
        adjusted[ascending] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted

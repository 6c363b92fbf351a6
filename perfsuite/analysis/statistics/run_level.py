"""What a stretch of runs is like, robustly: its level, its scatter, and how alike neighbouring runs are.

A stretch is the logarithms of one benchmark's values, a run each, in the order of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_REFERENCE = 8
"""Runs of a level before it can be said that another has left it."""

MAX_REFERENCE = 60
"""Runs of a level that are compared with: where a machine drifts, what was long ago says little of today."""

CLIP = 4.0
"""Standard deviations from the median that a run counts at most."""

MIN_SD_LOG = 0.002
"""As in `perfsuite compare`: no machine repeats itself better than by 0.2%, however alike a few runs are."""

MAX_CORRELATION = 0.9
"""Of neighbouring runs; beyond it a series is a random walk, of which nothing can be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A stretch of runs, reduced.

    Attributes:
        center: Their median [] in log units.
        sd_log: Their robust standard deviation, at least `MIN_SD_LOG`.
        num: How many.
    """

    center: float
    sd_log: float
    num: int


def level(values: Floats) -> Level:
    """Reduce a stretch of runs; [num] in log units, at least one."""
    ordered = np.sort(values)
    center = _middle(ordered)
    by_median = 1.4826 * median(np.abs(ordered - center))  # a normal distribution's standard deviation
    by_quantiles = (_quantile(ordered, 0.9) - _quantile(ordered, 0.1)) / 2.563  # the distance of its 10% and 90%
    return Level(center=center, sd_log=max(by_median, by_quantiles, MIN_SD_LOG), num=len(values))


def median(values: Floats) -> float:
    """Return the median of a few values: NumPy's takes ten times as long, and a nightly check has 50,000 of them."""
    return _middle(np.sort(values))


def _middle(ordered: Floats) -> float:
    num = len(ordered)
    return float(ordered[(num - 1) // 2] + ordered[num // 2]) / 2


def _quantile(ordered: Floats, probability: float) -> float:
    """Return a quantile of ordered values, interpolated as NumPy does by default."""
    place = probability * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below]) + (place - below) * float(ordered[above] - ordered[below])


def correlation(series: Sequence[Floats]) -> float:
    """Return the correlation of neighbouring runs, at least 0: the median over series.

    Args:
        series: Each [num] in log units; those of fewer than `MIN_REFERENCE` runs say nothing.
    """
    found = [_correlation(values[-MAX_REFERENCE:]) for values in series if len(values) >= MIN_REFERENCE]
    if not found:
        return 0.0
    return float(min(max(np.median(found), 0.0), MAX_CORRELATION))


def _correlation(values: Floats) -> float:
    of_all = level(values)
    scores = np.clip((values - of_all.center) / of_all.sd_log, -CLIP, CLIP)
    scores = scores - scores.mean()
    variance = float(np.mean(scores * scores))
    if not variance:
        return 0.0
    found = float(np.mean(scores[1:] * scores[:-1])) / variance
    # Of n runs it is (1 + 4 r) / n too low on average. Source: M. G. Kendall, Biometrika 41 (1954), 403.
    return found + (1 + 4 * max(found, 0.0)) / len(values)


def t_quantile(probability: float, num_dof: int) -> float:
    """Return a quantile of a t distribution."""
    return float(stdtrit(num_dof, probability))

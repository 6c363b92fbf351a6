"""How much all series of a machine scatter in some of its runs, compared with how much they do as a rule.

Three runs say next to nothing about the scatter of one series. Where a machine becomes noisy, all of its series do,
and together they say it after three runs: a new level is then judged by the scatter of its own runs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.statistics.run_level import MIN_SD_LOG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_STEPS = 5
"""Of a series, from one run to the next, before its usual one is known."""

USUAL_STEPS = 10
"""Steps whose weight the usual scatter has, so that a few series of a few runs do not say more than they can."""

NORMAL_MEDIAN = 0.6745
"""Of the absolute value of a standard normal variable."""


class RunScatter:
    """The steps of all series from one run to the next, as multiples of what is usual for each."""

    def __init__(self, steps: Floats) -> None:
        """Take the steps [series, runs], each at the later run; NaN where a series has no run, or is too short."""
        self._steps = steps
        self._known: dict[tuple[int, int], float] = {}

    def growth(self, first: int, last: int) -> float:
        """Return how many times as much as usual the runs from the first to the last scatter, at least 1."""
        found = self._known.get((first, last))
        if found is None:
            found = self._known[first, last] = self._growth(first, last)
        return found

    def _growth(self, first: int, last: int) -> float:
        # The step into the first run is left out: it may be the change that is asked about.
        steps = self._steps[:, first + 1 : last + 1]
        steps = steps[~np.isnan(steps)]
        if not len(steps):
            return 1.0
        ratio = float(np.median(steps)) / NORMAL_MEDIAN
        square = (len(steps) * ratio**2 + USUAL_STEPS) / (len(steps) + USUAL_STEPS)
        return math.sqrt(max(square, 1.0))


def run_scatter(series: Sequence[tuple[Sequence[int] | NDArray[np.integer], Floats]], num_runs: int) -> RunScatter:
    """Return the scatter of the runs of a machine.

    Args:
        series: Of each the indices of its runs and its values in log units, as many.
        num_runs: Of the machine.
    """
    steps = np.full((len(series), num_runs), np.nan)
    for row, (runs, logs) in zip(steps, series, strict=True):
        sizes = np.abs(np.diff(logs))
        if len(sizes) < MIN_STEPS:
            continue
        usual = max(float(np.median(sizes)) / NORMAL_MEDIAN, math.sqrt(2) * MIN_SD_LOG)
        row[np.asarray(runs[1:])] = sizes / usual
    return RunScatter(steps)

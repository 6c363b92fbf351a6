"""Where a series of runs changed its level, and whether its last runs have left it; pure functions of arrays.

A series is the logarithms of one benchmark's values, a run each, in the order of time. Two ways to look at it use one
test of two stretches: `find_changes` divides a whole series, `last_shift` asks of its last runs alone.

What makes a false alarm of a test for two means, and what is done about it:
- single runs far off: every value counts at most `CLIP` standard deviations, and a new level takes `MIN_RUNS` runs;
- levels between which a machine switches from run to run: the scale contains the 10% and the 90% quantile, and as many
  runs in a row must be unlikely by the share of earlier runs that were as far off;
- neighbouring runs that are alike: the standard error grows by their correlation, estimated over all series of a
  machine;
- runs that scatter more from some day on: the scatter of the new stretch counts where it is the larger one, and of a
  few runs that of all series together, see `run_scatter`;
- many series, every day: `level` is divided by both, see `level_of`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.statistics.run_level import (
    CLIP,
    MAX_REFERENCE,
    MIN_REFERENCE,
    MIN_SD_LOG,
    level,
    median,
    t_quantile,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Growth = Callable[[int, int], float]
    """How many times as much as usual a machine scatters from one run of a series to another, by their indices."""

MIN_RUNS = 3
"""Of a new level: one or two runs may be anything."""

MIN_PAST_RUNS = 5
"""Of a level that was left again: where runs scatter more for a while, three of them are alike now and then."""

MIN_RUNS_OF_CHANGE = MIN_REFERENCE + MIN_RUNS
"""Runs of a series before anything can be said of it."""

HORIZON = 200
"""Runs in which at most `alpha` of the machines raise any false alarm."""

WINDOWS = (3, 4, 5, 7, 10, 15)
"""Numbers of last runs that `last_shift` asks of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far one stretch of runs lies from the one before it.

    Attributes:
        index: Of the first run of the new stretch.
        log_ratio: New over old, as a difference of logarithms.
        low: Lower end of its 95% interval.
        high: Upper end.
        is_significant: Whether it is beyond the level, and of at least the minimum effect.
    """

    index: int
    log_ratio: float
    low: float
    high: float
    is_significant: bool


def level_of(alpha: float, num_series: int, num_runs: int) -> float:
    """Return the level of one two-sided test, so that all together raise a false alarm with probability alpha at most.

    Args:
        alpha: Of all series in `HORIZON` runs, or in all of them where there are more.
        num_series: How many series there are.
        num_runs: How many runs there are.
    """
    return alpha / (max(num_series, 1) * max(num_runs, HORIZON))


def as_usual(_first: int, _last: int) -> float:
    """Say of any runs that they scatter as they do as a rule."""
    return 1.0


def shift_between(
    old: Floats,
    new: Floats,
    index: int,
    *,
    correlated: float,
    level_of_test: float,
    min_effect_log: float,
    growth: Growth = as_usual,
) -> Shift:
    """Return how far a stretch of runs lies from the one before it.

    Args:
        old: Runs of the level before [num] in log units; the last `MAX_REFERENCE` count.
        new: Runs after it [num]; the first `MAX_REFERENCE` count.
        index: Of the first new run.
        correlated: Correlation of neighbouring runs.
        level_of_test: Of the two-sided test.
        min_effect_log: The smallest change that matters.
        growth: Of the scatter, by the indices of runs in the series.
    """
    old, new = old[-MAX_REFERENCE:], new[:MAX_REFERENCE]
    is_new_shorter = len(old) >= len(new)
    longer, shorter = (old, new) if is_new_shorter else (new, old)
    first = index if is_new_shorter else index - len(old)
    reference = level(longer)
    sd_shorter = max(_own_sd_log(shorter), reference.sd_log * growth(first, first + len(shorter) - 1))
    limit = CLIP * reference.sd_log
    log_ratio = _clipped_mean(new, limit) - _clipped_mean(old, limit)
    of_neighbours = (1 + correlated) / (1 - correlated)
    error = math.sqrt(of_neighbours * (reference.sd_log**2 / len(longer) + sd_shorter**2 / len(shorter)))
    num_dof = max(len(longer) - 1, 1)
    margin = t_quantile(0.975, num_dof) * error
    needed = t_quantile(1 - level_of_test / 2, num_dof) * error
    min_runs = MIN_RUNS if shorter is new else MIN_PAST_RUNS
    is_enough = len(longer) >= MIN_REFERENCE and len(shorter) >= min_runs
    is_seldom = _chance_of_run(longer, shorter) <= level_of_test
    return Shift(
        index=index,
        log_ratio=log_ratio,
        low=log_ratio - margin,
        high=log_ratio + margin,
        is_significant=is_enough and is_seldom and abs(log_ratio) > max(needed, min_effect_log),
    )


def _chance_of_run(reference: Floats, runs: Floats) -> float:
    """Return how likely so many runs in a row are by the share of the reference that lies as far off as they do.

    A machine that is in another state in some of its nights is so three times in a row now and then. Where no run of
    the reference is more than half as far off, this says nothing, and returns 0.
    """
    center = median(reference)
    distance = median(runs) - center
    num_as_far = int(np.count_nonzero((reference - center) * math.copysign(1.0, distance) > abs(distance) / 2))
    if not num_as_far:
        return 0.0
    share = (num_as_far + 1) / (len(reference) + 1)
    return float(share ** len(runs))


def _own_sd_log(values: Floats) -> float:
    """Return how much a stretch scatters by itself; of one run nothing is known."""
    if len(values) >= MIN_REFERENCE:
        return level(values).sd_log
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _clipped_mean(values: Floats, limit: float) -> float:
    center = median(values)
    clipped = np.minimum(np.maximum(values - center, -limit), limit)
    return center + float(clipped.sum()) / len(values)


def find_changes(
    values: Floats,
    *,
    correlated: float,
    level_of_test: float,
    min_effect_log: float,
    growth: Growth = as_usual,
) -> list[Shift]:
    """Divide a series into stretches of one level, and return where each but the first begins.

    Candidates are those of a search for the best division (ruptures: an exact search with a penalty for each stretch).
    The least certain one is taken back until every one is significant.

    Args:
        values: [num] in log units, in the order of time.
        correlated: Correlation of neighbouring runs.
        level_of_test: Of the test of each change.
        min_effect_log: The smallest change that matters.
        growth: Of the scatter, by the indices of runs in the series.

    Returns:
        Changes in the order of time.
    """
    starts = [0, *_candidates(values)]
    while len(starts) > 1:
        ends = [*starts[1:], len(values)]
        shifts = [
            shift_between(
                values[starts[i - 1] : starts[i]],
                values[starts[i] : ends[i]],
                starts[i],
                correlated=correlated,
                level_of_test=level_of_test,
                min_effect_log=min_effect_log,
                growth=growth,
            )
            for i in range(1, len(starts))
        ]
        doubtful = [shift for shift in shifts if not shift.is_significant]
        if not doubtful:
            return shifts
        weakest = min(doubtful, key=_certainty)
        starts.remove(weakest.index)
    return []


def _certainty(shift: Shift) -> float:
    return abs(shift.log_ratio) / (shift.high - shift.low)


def _candidates(values: Floats) -> list[int]:
    """Return where the best division of a series begins a new stretch."""
    if len(values) < MIN_RUNS_OF_CHANGE:
        return []
    import ruptures  # of the extra `history`

    steps = np.abs(np.diff(values))
    sd_log = max(1.4826 * float(np.median(steps)) / np.sqrt(2), MIN_SD_LOG)
    # Runs far from both neighbours would each be a stretch of their own.
    calm = _running_median(values)
    scores: Any = (calm + np.clip(values - calm, -CLIP * sd_log, CLIP * sd_log)) / sd_log
    penalty = 2 * np.log(len(values))  # of the Bayesian information criterion for a mean
    search = ruptures.KernelCPD(kernel="linear", min_size=MIN_RUNS).fit(scores.reshape(-1, 1))
    return [int(end) for end in search.predict(pen=penalty)[:-1]]


def _running_median(values: Floats, width: int = 5) -> Floats:
    padded = np.pad(values, width // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    return np.asarray(np.median(windows, axis=1), dtype=np.float64)


def last_shift(
    values: Floats,
    *,
    correlated: float,
    level_of_test: float,
    min_effect_log: float,
    growth: Growth = as_usual,
) -> Shift | None:
    """Return whether the last runs have left the level of the runs before them: the most certain such shift, or None.

    Args:
        values: The runs of the current level, and those that may have left it [num] in log units.
        correlated: Correlation of neighbouring runs.
        level_of_test: Of the test.
        min_effect_log: The smallest change that matters.
        growth: Of the scatter, by the indices of these runs.
    """
    shifts = [
        shift_between(
            values[:-window],
            values[-window:],
            len(values) - window,
            correlated=correlated,
            level_of_test=level_of_test,
            min_effect_log=min_effect_log,
            growth=growth,
        )
        for window in WINDOWS
        if len(values) - window >= MIN_REFERENCE
    ]
    significant = [shift for shift in shifts if shift.is_significant]
    return max(significant, key=_certainty, default=None)


def prediction_margin(reference: Floats, *, level_of_interval: float, num_new: int = 1) -> float:
    """Return how far the mean of new runs may lie from the median of a level, in log units.

    Args:
        reference: Runs of the level [num] in log units.
        level_of_interval: Chance of lying outside.
        num_new: How many new runs.
    """
    of_level = level(reference[-MAX_REFERENCE:])
    error = of_level.sd_log * np.sqrt(1 / num_new + 1 / of_level.num)
    return float(t_quantile(1 - level_of_interval / 2, max(of_level.num - 1, 1)) * error)

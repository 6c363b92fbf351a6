"""A history by version instead of by time: the level of each series under each torch, driver or commit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.history.series import correlations_of, min_effect_log
from perfsuite.analysis.statistics.run_level import level, t_quantile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfsuite.analysis.history.series import History, Series
    from perfsuite.analysis.statistics.run_level import Floats
    from perfsuite.analysis.verdicts.thresholds import Judging

UNKNOWN = "unknown"
"""Of runs that do not say."""

MIN_RUNS = 2
"""Of both versions, before a change has an interval: one run has no scatter."""

MEDIAN_VARIANCE = math.pi / 2
"""Of the median of many normal values, in variances of their mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLevel:
    """One series under one version.

    Attributes:
        version: As runs have it, or `UNKNOWN`.
        first_s: When its first run was, in seconds since 1970.
        num_runs: How many runs.
        level: Their median, in the metric's unit.
        ratio: Over the level of the version before, or None for the first one.
        low: Lower end of its 95% interval; None where there are too few runs.
        high: Upper end.
        is_change: Whether the interval excludes no change and the ratio is of at least the minimum effect.
    """

    version: str
    first_s: float
    num_runs: int
    level: float
    ratio: float | None
    low: float | None
    high: float | None
    is_change: bool


def levels_by(history: History, place: str, judging: Judging) -> tuple[tuple[Series, tuple[VersionLevel, ...]], ...]:
    """Return the level of each series under each version, the versions in the order in which they were first run.

    Intervals are those of one comparison each, not of all together: they describe, and are no verdicts.

    Args:
        history: Of a machine.
        place: What distinguishes versions: one of `PLACES`.
        judging: What counts as a change.
    """
    correlations = correlations_of(history.series)
    return tuple(
        (series, tuple(_levels(history, series, place, correlations[series.metric], judging)))
        for series in history.series
    )


def _levels(
    history: History, series: Series, place: str, correlated: float, judging: Judging
) -> Iterator[VersionLevel]:
    by_version: dict[str, list[int]] = {}
    for index, run in enumerate(series.runs):
        by_version.setdefault(history.runs[run].place.get(place) or UNKNOWN, []).append(index)
    effect = min_effect_log(series, judging)
    before: list[int] = []
    for version, indices in by_version.items():
        ratio = low = high = None
        is_change = False
        if before:
            log_ratio, margin = _difference(series.logs[before], series.logs[indices], correlated)
            ratio = math.exp(log_ratio)
            if min(len(before), len(indices)) >= MIN_RUNS:
                low, high = math.exp(log_ratio - margin), math.exp(log_ratio + margin)
                is_change = abs(log_ratio) > max(margin, effect)
        yield VersionLevel(
            version=version,
            first_s=history.runs[series.runs[indices[0]]].started_s,
            num_runs=len(indices),
            level=float(np.median(series.values[indices])),
            ratio=ratio,
            low=low,
            high=high,
            is_change=is_change,
        )
        before = indices


def _difference(old: Floats, new: Floats, correlated: float) -> tuple[float, float]:
    """Return the difference of two medians in log units, and how far its 95% interval reaches to each side."""
    before, after = level(old), level(new)
    of_neighbours = (1 + correlated) / (1 - correlated)
    variance = MEDIAN_VARIANCE * of_neighbours * (before.sd_log**2 / before.num + after.sd_log**2 / after.num)
    num_dof = max(before.num + after.num - 2, 1)
    return after.center - before.center, t_quantile(0.975, num_dof) * math.sqrt(variance)

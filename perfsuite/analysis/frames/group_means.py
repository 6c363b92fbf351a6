"""Geometric means of ratios of times over groups of benchmarks: per network, per phase, per precision, over all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.frames.ratio_text import ratio_columns
from perfsuite.analysis.statistics.intervals import bare_ratio, ratio_over_processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.statistics.intervals import Ratio

    Floats = np.ndarray[Any, np.dtype[np.float64]]

GROUPED_BY = {"model": "network", "phase": "phase", "precision": "precision"}
"""Fields of a workload whose values are groups, and what people call them."""

ALL = "all"

MIN_CELLS = 2
"""A group of one benchmark is that benchmark."""

MIN_PROCESSES = 2
"""A variance needs two processes a side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMean:
    """The geometric mean of the ratios of a group.

    Attributes:
        by: A field of `GROUPED_BY`, or `all`.
        value: Of that field; None for all.
        num_cells: Benchmarks that both sides have.
        ratio: Geometric mean over them of time over time, with an interval over processes where there is one.
    """

    by: str
    value: str | None
    num_cells: int
    ratio: Ratio

    def columns(self) -> dict[str, Any]:
        """Return it as columns of a row: `by`, `value`, `num_cells`, `ratio` with what `ratio_columns` adds."""
        return {"by": self.by, "value": self.value, "num_cells": self.num_cells, **ratio_columns("ratio", self.ratio)}


def group_label(by: str, value: str | None) -> str:
    """Return the group in words: `network resnet50`, `all`."""
    return ALL if by == ALL else f"{GROUPED_BY[by]} {value}"


def group_means(
    workloads: Sequence[Mapping[str, Any]],
    numerator: Floats,
    denominator: Floats,
    *,
    has_interval: bool = True,
    paired: bool = False,
) -> list[GroupMean]:
    """Return the mean over all benchmarks, and those of each network, phase and precision where there are several.

    A group's ratio is exp(mean over its benchmarks c of (mean over processes of log n[c, p] - the same of d[c, p])).
    A process is one sample: m[p] = mean over c of log n[c, p], so what the benchmarks of a process share is in the
    scatter of m, and the interval is Student's of mean(m of n) - mean(m of d) (Welch), see `ratio_over_processes`. It
    is given only where every process has every benchmark of the group: else m would be of different benchmarks.

    Args:
        workloads: Of each benchmark, with the fields of `GROUPED_BY`; None in those of other projects.
        numerator: Logarithms of times [benchmarks, processes], NaN where absent.
        denominator: The same of the other side, of the same benchmarks.
        has_interval: Whether processes are samples of both sides: not where the order in which they ran may explain
            the difference.
        paired: Whether a column of both sides is the same process.
    """
    present = np.isfinite(numerator).any(axis=1) & np.isfinite(denominator).any(axis=1)
    rows: list[int] = np.flatnonzero(present).tolist()
    groups: list[tuple[str, str | None, list[int]]] = [(ALL, None, rows)]
    for by in GROUPED_BY:
        members_by_value: dict[Any, list[int]] = {}
        for row in rows:
            value = workloads[row].get(by)
            if value is not None:
                members_by_value.setdefault(value, []).append(row)
        if len(members_by_value) > 1:
            groups += [(by, str(value), members) for value, members in members_by_value.items()]
    means = []
    for by, value, members in groups:
        if len(members) >= MIN_CELLS:
            ratio = _ratio(numerator[members], denominator[members], has_interval=has_interval, paired=paired)
            means.append(GroupMean(by=by, value=value, num_cells=len(members), ratio=ratio))
    return means


def _ratio(numerator: Floats, denominator: Floats, *, has_interval: bool, paired: bool) -> Ratio:
    """Return the ratio of a group whose benchmarks are all on both sides [benchmarks, processes]."""
    top_known, bottom_known = np.isfinite(numerator), np.isfinite(denominator)
    top_has, bottom_has = top_known.any(axis=0), bottom_known.any(axis=0)
    if paired:
        top_has = bottom_has = top_has & bottom_has
    is_complete = bool(top_known[:, top_has].all() and bottom_known[:, bottom_has].all())
    num_processes = int(min(top_has.sum(), bottom_has.sum()))
    if has_interval and is_complete and num_processes >= MIN_PROCESSES:
        top, bottom = (np.exp(side.mean(axis=0)) for side in (numerator[:, top_has], denominator[:, bottom_has]))
        return ratio_over_processes(top, bottom, paired=paired)
    middle = np.nanmean(numerator, axis=1) - np.nanmean(denominator, axis=1)
    return bare_ratio(math.exp(float(middle.mean())), max(num_processes, 1))

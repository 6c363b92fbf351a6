"""A series with its levels and changes as a small SVG, made of nothing but numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from perfsuite.analysis.history.series import SeriesChanges
    from perfsuite.analysis.statistics.run_level import Floats

WIDTH, HEIGHT = 400, 44
"""Of the drawing, in its own units: a run a unit where there are 400 runs."""

TOP, BOTTOM = 9, 42
"""Between which values lie; above stand the flags of changes."""

MIN_SPAN_LOG = 0.04
"""Least difference between the lowest and the highest value that are drawn: a flat line stays flat, whatever its
noise."""

QUANTILES = (0.02, 0.98)
"""A run beyond these is drawn at the edge, so that a single one far off does not flatten all others."""


def sparkline_svg(one: SeriesChanges, num_runs: int, label: str) -> Markup:
    """Return a series as an SVG element.

    Args:
        one: The series, with its changes.
        num_runs: Runs of its machine: every series of a machine has the same scale of runs.
        label: What it shows, in words.
    """
    series = one.series
    x = _places(np.array(series.runs), num_runs)
    logs = series.logs
    levels = np.log([level for _, _, level in one.levels])
    low, high = _range(logs, levels)
    y = np.rint(np.clip(BOTTOM - (logs - low) / (high - low) * (BOTTOM - TOP), TOP, BOTTOM)).astype(int)
    level_y = np.clip(BOTTOM - (levels - low) / (high - low) * (BOTTOM - TOP), TOP, BOTTOM)
    steps = "".join(
        f"M{_number(x[first])} {_number(at)}H{_number(max(x[last], x[first] + 2))}"
        for (first, last, _), at in zip(one.levels, level_y, strict=True)
    )
    flags = "".join(_flag(x[change.index], is_worse=change.is_worse) for change in one.changes)
    return Markup(  # noqa: S704 - numbers, and a label that is escaped
        f'<svg class="trend" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<path class="runs" d="{_line(x, y)}"/><path class="level" d="{steps}"/>{flags}</svg>'
    )


def _places(runs: np.ndarray, num_runs: int) -> Floats:
    """Return where runs stand, from the left; in whole units where there is room for them."""
    places = (runs + 0.5) * WIDTH / num_runs
    return np.rint(places) if num_runs <= WIDTH else np.round(places, 1)


def _range(logs: Floats, levels: Floats) -> tuple[float, float]:
    low, high = np.quantile(logs, QUANTILES)
    low, high = min(low, float(levels.min())), max(high, float(levels.max()))
    missing = max(MIN_SPAN_LOG - (high - low), 0.0)
    return low - missing / 2, high + missing / 2


def _line(x: Floats, y: np.ndarray) -> str:
    """Return a path through points, each relative to the one before: two or three characters a coordinate."""
    parts = [f"M{_number(x[0])} {y[0]}"]
    if len(x) == 1:
        parts.append("h1")  # a single run is a dot
    for dx, dy in zip(np.diff(x), np.diff(y), strict=True):
        separator = "" if dy < 0 else " "
        parts.append(f"l{_number(dx)}{separator}{dy}")
    return "".join(parts)


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _flag(x: float, *, is_worse: bool) -> str:
    """Return the mark of a change: a line, and a triangle that points up for worse and down for better."""
    triangle = "m-4 8h8l-4-8z" if is_worse else "m-4 0h8l-4 8z"
    kind = "worse" if is_worse else "better"
    return f'<path class="change {kind}" d="M{_number(x)} 9V{HEIGHT}M{_number(x)} 0{triangle}"/>'

"""How figures show ratios: an interval has caps, the spread within one run is thin and has none; words for both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.figures.panels import Swatch
from perfsuite.analysis.figures.row_panel import Point, spread_limits
from perfsuite.analysis.figures.style import INK
from perfsuite.analysis.frames.labels import span
from perfsuite.analysis.frames.ratio_text import is_interval
from perfsuite.formatting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from perfsuite.analysis.figures.row_panel import Row
    from perfsuite.analysis.statistics.intervals import Ratio

SPREAD_WORDS = "spread within one run"

FARTHEST = 4.0
"""Ratios beyond this (and below its inverse) are drawn at the edge: one outlier must not hide the others."""


def ratio_point(ratio: Ratio, *, color: str, tip: str, look: Literal["dot", "interval"]) -> Point:
    """Return the mark of a ratio."""
    return Point(
        value=ratio.ratio,
        color=color,
        tip=f"{tip}; {SPREAD_WORDS}" if ratio.basis == "one run" else tip,
        low=ratio.low,
        high=ratio.high,
        look=look,
        is_spread=ratio.basis == "one run",
    )


def ratio_points(ratio: Ratio, *, tip: str) -> tuple[Point, ...]:
    """Return what is drawn over the bar of a ratio: its interval, its spread, or nothing."""
    return () if ratio.low is None else (ratio_point(ratio, color=INK, tip=tip, look="interval"),)


def ratio_limits(rows: Sequence[Row], least: float) -> tuple[float, float]:
    """Return limits around 1 that hold the ratios of rows and their intervals, but for what lies beyond `FARTHEST`.

    Args:
        rows: What is drawn.
        least: How far the limits lie from 1 at least.
    """
    values = []
    for row in rows:
        for point in row.points:
            values += [value for value in (point.value, point.low, point.high) if value]
    clipped = [min(max(value, 1 / FARTHEST), FARTHEST) for value in values]
    return spread_limits(clipped, 1.0, least)


def bracket_words(ratios: Sequence[Ratio | None]) -> str:
    """Return what the lines around these ratios are, for a title: `with 95% intervals`; empty where there are none."""
    known = [ratio for ratio in ratios if ratio is not None]
    parts = ["95% intervals"] if any(is_interval(ratio) for ratio in known) else []
    parts += ["the spread within one run"] if any(ratio.basis == "one run" for ratio in known) else []
    return f", with {' or '.join(parts)}" if parts else ""


def bracket_legend(ratios: Sequence[Ratio | None], color: str = INK) -> tuple[Swatch, ...]:
    """Return what the lines around these ratios are, for a legend."""
    bases = {ratio.basis for ratio in ratios if ratio is not None}
    found = []
    if "processes" in bases:
        found.append(Swatch(label="95% interval over processes", color=color, look="interval"))
    if "noise floor" in bases:
        found.append(Swatch(label="95% interval, one process and the A/A noise floor", color=color, look="interval"))
    if "one run" in bases:
        found.append(Swatch(label=f"{SPREAD_WORDS}, no interval", color=color, look="thin"))
    return tuple(found)


def processes_of(ratios: Sequence[Ratio | None]) -> str:
    """Return how many processes ratios are computed from, for an axis: `n = 1 process, spread within one run`."""
    known = [ratio for ratio in ratios if ratio is not None]
    words = f"n = {counted(span([ratio.num_processes for ratio in known]), 'process')}"
    return f"{words}, {SPREAD_WORDS}" if any(ratio.basis == "one run" for ratio in known) else words

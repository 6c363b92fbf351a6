"""How figures show ratios: an interval has caps, the spread within one run is thin and has none; words for both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.figures.panels import Swatch
from perfsuite.analysis.figures.row_marks import Point
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


def drawn_values(rows: Sequence[Row]) -> list[float]:
    """Return all values and ends of intervals that rows draw, which an axis must hold."""
    values = []
    for row in rows:
        values += [bar.start + bar.width for bar in row.bars]
        for point in row.points:
            values += [value for value in (point.value, point.low, point.high) if value is not None]
    return values


def bracket_words(ratios: Sequence[Ratio | None]) -> str:
    """Return what the lines around these ratios are, for a title: `with 95% intervals`; empty where there are none."""
    known = [ratio for ratio in ratios if ratio is not None]
    parts = []
    if any(is_interval(ratio) for ratio in known):
        parts.append("95% intervals")
    if any(ratio.basis == "one run" for ratio in known):
        parts.append("the spread within one run")
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

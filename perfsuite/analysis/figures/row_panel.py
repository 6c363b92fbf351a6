"""Panels of rows: a label and its number in words, and below them bars, intervals and points on a common axis."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.axis import set_ticks
from perfsuite.analysis.figures.panels import Panel, fitted
from perfsuite.analysis.figures.row_labels import FIRST_LINE, MAX_VALUE, distinct_labels, label_lines
from perfsuite.analysis.figures.row_marks import draw_bar, draw_point, draw_shape
from perfsuite.analysis.figures.style import FONT_POINTS, GRID, INK, MUTED, TRACK, clear_frame
from perfsuite.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.axis import Axis
    from perfsuite.analysis.figures.panels import Marks
    from perfsuite.analysis.figures.row_marks import Bar, Point, Shape

ROW_INCHES = 0.42
LINE_INCHES = 0.135
"""Of every further line of a label."""

GROUP_INCHES = 0.25
"""Of the name of a group of rows."""

MARGINS = (0.12, 0.12, 0.57, 0.34)
"""Left, right, below and above the axes of a panel, in inches."""

BASELINE, MIDDLE = 0.18, 0.27
"""From the top of a row, in inches: the baseline of its text, the middle of its marks."""

STRIP = (0.19, 0.36)
"""Between what heights of a row the grid, the band and the reference line are drawn: never behind its text."""

MAX_ROWS = 24
"""More than these in a panel are set in several panels."""

MAX_PANELS = 12
"""More than these are not read in one figure: what is not drawn is counted, and the table has all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a panel.

    Attributes:
        label: What it is about.
        value: Its number with unit and interval, in words.
        group: What it belongs to with the rows above and below it; its name is set once above them.
        bars: Parts, side by side; thin ones lie below the others.
        points: Points above the bars.
        shape: A spread behind them.
    """

    label: str
    value: str
    group: str = ""
    bars: tuple[Bar, ...] = ()
    points: tuple[Point, ...] = ()
    shape: Shape | None = None


def rows_panels(title: str, what: str, rows: Sequence[Row], axis: Axis) -> tuple[Panel, ...]:
    """Return the panels of these rows, one where they fit.

    Args:
        title: What they are about.
        what: What their numbers are, in a few words.
        rows: From above to below.
        axis: What they share.
    """
    parts = _parts(rows)
    panels = []
    for number, part in enumerate(parts, start=1):
        first_line, newline, second_line = title.partition("\n")
        count = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
        panels.append(_panel(f"{first_line}{count}{newline}{second_line}", what, part, axis))
    return tuple(panels)


def _parts(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows of each panel: whole groups where they fit, and about as many rows in each."""
    num_parts = max(1, math.ceil(len(rows) / MAX_ROWS))
    size = math.ceil(len(rows) / num_parts)
    parts: list[list[Row]] = [[]]
    for _, members in itertools.groupby(rows, key=lambda row: row.group):
        group = list(members)
        if parts[-1] and len(group) > 1 and len(parts[-1]) + len(group) > MAX_ROWS:
            parts.append([])
        for row in group:
            most = size if len(group) == len(rows) or len(group) == 1 else MAX_ROWS
            if len(parts[-1]) >= most:
                parts.append([])
            parts[-1].append(row)
    return parts


def drawn_panels(panels: Sequence[Panel]) -> tuple[tuple[Panel, ...], tuple[str, ...]]:
    """Return the panels that are drawn, and in words how many rows are not: never more than `MAX_PANELS` panels."""
    drawn, others = panels[:MAX_PANELS], panels[MAX_PANELS:]
    num_rows = sum(panel.num_rows for panel in panels)
    num_left_out = sum(panel.num_rows for panel in others)
    if num_left_out == 0:
        return tuple(drawn), ()
    return tuple(drawn), (f"{num_left_out:,} of {num_rows:,} rows are not drawn; the table has them all",)


def rows_words(rows: Sequence[Row], most: int = 6) -> str:
    """Return rows in words, the first of them where there are many."""
    words = ", ".join(" ".join(part for part in (row.group, row.label, row.value) if part) for row in rows[:most])
    return words if len(rows) <= most else f"{words} and {len(rows) - most} more"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a row stands: its top in inches below the upper edge of the axes, its label, the heading above it."""

    top: float
    lines: tuple[str, ...]
    heading: str

    @property
    def shift(self) -> float:
        """How much farther down its marks are than those of a row whose label has one line."""
        return LINE_INCHES * (len(self.lines) - 1)


def _panel(title: str, what: str, rows: Sequence[Row], axis: Axis) -> Panel:
    places, inches = _places(rows)
    second = 0.15 if "\n" in title else 0.0
    left, right, below, above = MARGINS

    def draw(axes: Axes, marks: Marks) -> None:
        clear_frame(axes)
        if axis.scale.startswith("log"):
            axes.set_xscale("log")
        axes.set_xlim(*axis.limits)
        axes.set_ylim(inches, 0)
        axes.set_xlabel(axis.label.replace("; n = ", "\nn = "), linespacing=1.35)
        set_ticks(axes, axis.scale)
        _draw_strips(axes, places, axis)
        for place, row in zip(places, rows, strict=True):
            _draw_words(axes, place, row)
            middle = place.top + place.shift + MIDDLE
            for bar in row.bars:
                draw_bar(axes, marks, middle, bar)
            if row.shape is not None:
                draw_shape(axes, marks, middle, row.shape)
            for point in row.points:
                draw_point(axes, marks, middle, point, axis.limits)

    return Panel(
        title=title,
        finding=f"{what}: {rows_words(rows)}",
        draw=draw,
        height=below + above + second + inches,
        margins=(left, right, below, above + second),
        num_rows=len(rows),
    )


def _places(rows: Sequence[Row]) -> tuple[list[_Place], float]:
    """Return where each row stands, and how high they are together in inches."""
    labels = distinct_labels([(row.group, printable(row.label)) for row in rows])
    places, top, group = [], 0.0, ""
    for row, label in zip(rows, labels, strict=True):
        heading = row.group if row.group != group else ""
        group = row.group
        if heading:
            top += GROUP_INCHES
        lines = label_lines(label, min(len(row.value), MAX_VALUE))
        place = _Place(top=top, lines=lines, heading=printable(heading))
        places.append(place)
        top += ROW_INCHES + place.shift
    return places, max(top, ROW_INCHES)


def _draw_words(axes: Axes, place: _Place, row: Row) -> None:
    across = axes.get_yaxis_transform()
    if place.heading:
        heading = fitted(place.heading, FIRST_LINE)
        axes.text(0, place.top - 0.03, heading, transform=across, fontsize=FONT_POINTS, weight="bold", color=INK)
    for index, line in enumerate(place.lines):
        axes.text(0, place.top + BASELINE + LINE_INCHES * index, line, transform=across, fontsize=FONT_POINTS)
    value = fitted(printable(row.value), MAX_VALUE)
    axes.text(1, place.top + BASELINE, value, transform=across, ha="right", fontsize=FONT_POINTS, color=INK)


def _draw_strips(axes: Axes, places: Sequence[_Place], axis: Axis) -> None:
    """Draw the grid and all lines and bands that belong to the axis, behind the marks of each row."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    strips = [(place.top + place.shift + STRIP[0], place.top + place.shift + STRIP[1]) for place in places]

    def lines(values: Sequence[float], color: str, width: float, zorder: float, style: object = "-") -> None:
        xs: list[float] = []
        ys: list[float] = []
        for value in values:
            for start, end in strips:
                xs += [value, value, math.nan]
                ys += [start, end, math.nan]
        line = Line2D(xs, ys, color=color, linewidth=width, linestyle=style, zorder=zorder)  # type: ignore[arg-type]
        axes.add_artist(line)

    low, high = axis.limits
    ticks = [float(tick) for tick in axes.xaxis.get_major_locator()() if low <= tick <= high]
    lines(ticks, GRID, 0.7, 0.3)
    if axis.band is not None:
        start, end = max(axis.band[0], low), min(axis.band[1], high)
        corners = [[(start, top), (end, top), (end, bottom), (start, bottom), (start, top)] for top, bottom in strips]
        closed = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
        path = Path([corner for strip in corners for corner in strip], closed * len(strips))
        axes.add_artist(PathPatch(path, facecolor=TRACK, edgecolor="none", zorder=0.2))
    if axis.reference is not None and low <= axis.reference <= high:
        lines([axis.reference], MUTED, 1.0, 2.5)
    if axis.dashed is not None and low <= axis.dashed <= high:
        lines([axis.dashed], INK, 1.0, 2.5, (0, (2.4, 1.2)))

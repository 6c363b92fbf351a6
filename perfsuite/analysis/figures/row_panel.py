"""Panels of rows: a label and its number in words, and below them bars, intervals and points on a common axis."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.axis import set_ticks
from perfsuite.analysis.figures.panels import Panel, fitted, second_line
from perfsuite.analysis.figures.row_labels import FIRST_LINE, MAX_VALUE, distinct_labels, label_lines
from perfsuite.analysis.figures.row_marks import draw_bar, draw_point, draw_shape
from perfsuite.analysis.figures.style import FONT_POINTS, GRID, INK, MUTED, TRACK, WIDTH_INCHES, clear_frame
from perfsuite.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.axis import Axis
    from perfsuite.analysis.figures.panels import Marks
    from perfsuite.analysis.figures.row_marks import Bar, Point, Shape

LINE_INCHES = 0.135
"""Of every further line of a label."""

GROUP_INCHES = 0.25
"""Of the name of a group of rows."""

EDGE_INCHES = 0.12
"""Between the edge of a panel and its words."""

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

    @property
    def name(self) -> str:
        """Its group and its label, where it is named alone."""
        return f"{self.group} {self.label}".strip()


def rows_panels(
    title: str, what: str, rows: Sequence[Row], axis: Axis, *, in_columns: bool = False
) -> tuple[Panel, ...]:
    """Return the panels of these rows, one where they fit.

    Args:
        title: What they are about.
        what: What their numbers are, in a few words.
        rows: From above to below.
        axis: What they share.
        in_columns: Whether labels and numbers have columns of their own, for a figure that is shown by itself.
    """
    parts = _parts(rows)
    panels = []
    for number, part in enumerate(parts, start=1):
        first_line, newline, where = title.partition("\n")
        count = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
        heading = f"{first_line}{count}{newline}{where}"
        panels.append(_panel(heading, what, part, axis, IN_COLUMNS if in_columns else STACKED))
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
    words = ", ".join(f"{row.name} {row.value}" for row in rows[:most])
    return words if len(rows) <= most else f"{words} and {len(rows) - most} more"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How a row is set; lengths in inches, heights from the top of the row.

    Attributes:
        width: Of the panel.
        margins: Left, right, below and above the axes.
        row: Height of a row whose label has one line.
        baseline: Of its text.
        middle: Of its marks.
        strip: Between what heights the grid, the band and the reference line are drawn: never behind text.
        letters: Of a line of a label; together with the number where that is above the marks.
        stacked: Whether the words of a row are above its marks, or in columns to their left and right.
    """

    width: float
    margins: tuple[float, float, float, float]
    row: float
    baseline: float
    middle: float
    strip: tuple[float, float]
    letters: int
    stacked: bool

    @property
    def words_at(self) -> tuple[float, float]:
        """Where labels begin and where numbers end, as shares of the width of the axes."""
        left, right, _, _ = self.margins
        inner = self.width - left - right
        return -(left - EDGE_INCHES) / inner, 1 + (right - EDGE_INCHES) / inner


STACKED = _Layout(
    width=WIDTH_INCHES,
    margins=(EDGE_INCHES, EDGE_INCHES, 0.57, 0.34),
    row=0.42,
    baseline=0.18,
    middle=0.27,
    strip=(0.19, 0.36),
    letters=FIRST_LINE,
    stacked=True,
)
"""For pages: as narrow as a phone."""

IN_COLUMNS = _Layout(
    width=7.6,
    margins=(2.75, 1.95, 0.57, 0.34),
    row=0.28,
    baseline=0.15,
    middle=0.11,
    strip=(0.0, 0.28),
    letters=38,
    stacked=False,
)
"""For a figure that is shown by itself: a column of labels, the marks, a column of numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a row stands: its top and that of its marks in inches below the upper edge of the axes, and its words."""

    top: float
    marks_top: float
    lines: tuple[str, ...]
    heading: str


def _panel(title: str, what: str, rows: Sequence[Row], axis: Axis, layout: _Layout) -> Panel:
    places, inches = _places(rows, layout)
    second = second_line(title)
    left, right, below, above = layout.margins

    def draw(axes: Axes, marks: Marks) -> None:
        clear_frame(axes)
        if axis.scale.startswith("log"):
            axes.set_xscale("log")
        axes.set_xlim(*axis.limits)
        axes.set_ylim(inches, 0)
        axes.set_xlabel(axis.label.replace("; n = ", "\nn = "), linespacing=1.35)
        set_ticks(axes, axis.scale)
        _draw_strips(axes, places, axis, layout)
        for place, row in zip(places, rows, strict=True):
            _draw_words(axes, place, row, layout)
            middle = place.marks_top + layout.middle
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
        width=layout.width,
    )


def _places(rows: Sequence[Row], layout: _Layout) -> tuple[list[_Place], float]:
    """Return where each row stands, and how high they are together in inches."""
    labels = distinct_labels([(row.group, printable(row.label)) for row in rows])
    places, top, group = [], 0.0, ""
    for row, label in zip(rows, labels, strict=True):
        heading = row.group if row.group != group else ""
        group = row.group
        if heading:
            top += GROUP_INCHES
        num_beside = min(len(row.value), MAX_VALUE) + 1 if layout.stacked else 0
        lines = label_lines(label, layout.letters - num_beside, layout.letters)
        more = LINE_INCHES * (len(lines) - 1)
        marks_top = top + more if layout.stacked else top
        places.append(_Place(top=top, marks_top=marks_top, lines=lines, heading=printable(heading)))
        top += layout.row + more
    return places, max(top, layout.row)


def _draw_words(axes: Axes, place: _Place, row: Row, layout: _Layout) -> None:
    across = axes.get_yaxis_transform()
    left, right = layout.words_at
    baseline = place.top + layout.baseline
    if place.heading:
        heading = fitted(place.heading, FIRST_LINE)
        axes.text(left, place.top - 0.03, heading, transform=across, fontsize=FONT_POINTS, weight="bold", color=INK)
    for index, line in enumerate(place.lines):
        axes.text(left, baseline + LINE_INCHES * index, line, transform=across, fontsize=FONT_POINTS)
    value = fitted(printable(row.value), MAX_VALUE)
    axes.text(right, baseline, value, transform=across, ha="right", fontsize=FONT_POINTS, color=INK)


def _draw_strips(axes: Axes, places: Sequence[_Place], axis: Axis, layout: _Layout) -> None:
    """Draw the grid and all lines and bands that belong to the axis, behind the marks of each row."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    upper, lower = layout.strip
    strips = [(place.marks_top + upper, place.marks_top + lower) for place in places]

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

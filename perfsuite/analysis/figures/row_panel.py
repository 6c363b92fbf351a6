"""Panels of rows: a label and its number in words, and below them bars, intervals and points on a common axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perfsuite.analysis.figures.panels import Marks, Panel, fitted
from perfsuite.analysis.figures.style import FONT_POINTS, INK, MUTED, PAPER, TRACK, clear_frame
from perfsuite.formatting import duration, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

ROW_INCHES = 0.42
EDGE_INCHES = 0.34 + 0.57
LETTERS = 49
"""Of a label and its number together, in the width of a panel."""

SMALLEST = 0.82
"""How far the type of a long label shrinks before the label is shortened."""

INTERVAL_POINTS, SPREAD_POINTS = 1.5, 0.7
"""How thick the line of an interval is, and that of a spread within one run."""

MAX_ROWS = 24
"""More than these are not read in a figure; the table has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A part of a row from `start` on, with what it says when pointed at."""

    start: float
    width: float
    color: str
    tip: str
    hatched: bool = False
    thin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A value of its own in a row, with its interval if it has one, or only its spread within one run."""

    value: float
    color: str
    tip: str
    low: float | None = None
    high: float | None = None
    look: Literal["dot", "diamond", "interval", "tick"] = "dot"
    is_spread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How values are spread: shares of them by where they lie, mirrored at the middle of the row."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    color: str
    tip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a panel.

    Attributes:
        label: What it is about.
        value: Its number with unit and interval, in words.
        bars: Parts, side by side; thin ones lie below the others.
        points: Points above the bars.
        shape: A spread behind them.
    """

    label: str
    value: str
    bars: tuple[Bar, ...] = ()
    points: tuple[Point, ...] = ()
    shape: Shape | None = None


def rows_panel(  # noqa: PLR0913 - an axis may have many marks
    title: str,
    what: str,
    rows: Sequence[Row],
    *,
    axis: str,
    limits: tuple[float, float],
    reference: float | None = None,
    band: tuple[float, float] | None = None,
    dashed: float | None = None,
    scale: Literal["number", "time", "log time"] = "number",
) -> Panel:
    """Return a panel of rows.

    Args:
        title: What it is about.
        what: What its numbers are, in a few words.
        rows: From above to below; those beyond `MAX_ROWS` are left out.
        axis: The label of the axis: quantity, unit, n.
        limits: Of the axis.
        reference: Where to draw a line that means no difference.
        band: Between where a difference does not count.
        dashed: Where to draw a dashed line; the legend says what it is.
        scale: Of the axis: numbers whose unit its heading says, or times in the unit that suits each.
    """
    shown = rows[:MAX_ROWS]

    def draw(axes: Axes, marks: Marks) -> None:
        clear_frame(axes)
        if scale == "log time":
            axes.set_xscale("log")
        axes.set_xlim(*limits)
        axes.set_ylim(len(shown), 0)
        axes.set_xlabel(axis.replace("; n = ", "\nn = "), linespacing=1.35)
        axes.grid(visible=True, axis="x")
        _set_ticks(axes, scale)
        if band is not None:
            axes.axvspan(*band, color=TRACK, zorder=0.4)
        if reference is not None:
            axes.axvline(reference, color=MUTED, linewidth=1.0, zorder=2.5)
        if dashed is not None:
            axes.axvline(dashed, color=INK, linewidth=1.0, linestyle=(0, (3.2, 1.6)), zorder=2.5)
        for index, row in enumerate(shown):
            _draw_row(axes, marks, index, row, limits)

    second = 0.15 if "\n" in title else 0.0
    return Panel(
        title=title,
        finding=f"{what}: {rows_words(shown)}",
        draw=draw,
        height=EDGE_INCHES + second + ROW_INCHES * max(1, len(shown)),
        margins=(0.12, 0.12, 0.57, 0.34 + second),
    )


def rows_words(rows: Sequence[Row], most: int = 6) -> str:
    """Return rows in words, the first of them where there are many."""
    words = ", ".join(f"{row.label} {row.value}" for row in rows[:most])
    return words if len(rows) <= most else f"{words} and {len(rows) - most} more"


def _set_ticks(axes: Axes, scale: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    if scale == "log time":
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6 if scale == "number" else 4))
    if scale != "number":
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value) if value > 0 else "0"))


def _draw_row(axes: Axes, marks: Marks, index: int, row: Row, limits: tuple[float, float]) -> None:
    across = axes.get_yaxis_transform()
    baseline = index + 0.43
    backed = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}
    room = max(8, LETTERS - len(row.value))
    size = FONT_POINTS * max(SMALLEST, min(1.0, room / max(1, len(row.label))))
    label = fitted(printable(row.label), int(room * FONT_POINTS / size))
    axes.text(0, baseline, label, transform=across, fontsize=size, bbox=backed)
    axes.text(1, baseline, row.value, transform=across, ha="right", fontsize=FONT_POINTS, color=INK, bbox=backed)
    for bar in row.bars:
        middle, height = (index + 0.86, 0.13) if bar.thin else (index + 0.64, 0.26)
        (drawn,) = axes.barh(
            middle,
            bar.width,
            height,
            left=bar.start,
            color="none" if bar.hatched else bar.color,
            edgecolor=bar.color if bar.hatched else PAPER,
            linewidth=0.6,
            hatch="/////" if bar.hatched else None,
            zorder=2,
        )
        marks.add(drawn, bar.tip)
    if row.shape is not None:
        heights = [0.17 * share / max(row.shape.shares) for share in row.shape.shares]
        middle = index + 0.64
        steps = [*heights, heights[-1]]
        drawn = axes.fill_between(
            row.shape.edges,
            [middle - step for step in steps],
            [middle + step for step in steps],
            step="post",
            color=row.shape.color,
            linewidth=0,
            alpha=0.75,
            zorder=2,
        )
        marks.add(drawn, row.shape.tip)
    for point in row.points:
        _draw_point(axes, marks, index + 0.64, point, limits)


def _draw_point(axes: Axes, marks: Marks, middle: float, point: Point, limits: tuple[float, float]) -> None:
    if point.low is not None and point.high is not None:
        low, high = (min(max(value, limits[0]), limits[1]) for value in (point.low, point.high))
        width = SPREAD_POINTS if point.is_spread else INTERVAL_POINTS
        (drawn,) = axes.plot(
            [low, high], [middle, middle], color=point.color, linewidth=width, zorder=3, solid_capstyle="butt"
        )
        inside = [x for x, given in ((low, point.low), (high, point.high)) if x == given]
        if not point.is_spread:
            (drawn,) = axes.plot(
                inside, [middle] * len(inside), "|", color=point.color, markersize=7, markeredgewidth=1.5, zorder=3
            )
        if point.look == "interval":
            marks.add(drawn, point.tip)
            return
    value, hollow = min(max(point.value, limits[0]), limits[1]), point.look == "diamond"
    if point.look == "tick":
        (drawn,) = axes.plot(
            [value], [middle], "|", color=point.color, markersize=10, markeredgewidth=1.8, clip_on=False, zorder=4
        )
        marks.add(drawn, point.tip)
        return
    (drawn,) = axes.plot(
        [value],
        [middle],
        marker="D" if hollow else "o",
        markersize=5.2 if hollow else 6,
        markerfacecolor=PAPER if hollow else point.color,
        markeredgecolor=point.color,
        markeredgewidth=1.3,
        linestyle="none",
        clip_on=False,
        zorder=4,
    )
    marks.add(drawn, point.tip)


def upper_limit(values: Sequence[float], room: float = 1.06) -> float:
    """Return where an axis from 0 ends, so that the largest value has room."""
    return max([value for value in values if value > 0], default=1.0) * room


def spread_limits(values: Sequence[float], around: float, least: float) -> tuple[float, float]:
    """Return limits that hold all values and lie at least that far on both sides of a middle."""
    far = max([abs(value - around) for value in values] + [least]) * 1.08
    low, high = min([*values, around - least]), max([*values, around + least])
    return max(around - far, low - 0.08 * (high - low)), min(around + far, high + 0.08 * (high - low))

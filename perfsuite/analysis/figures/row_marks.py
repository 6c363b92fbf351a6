"""The marks of a row: bars, points with their intervals, and the outline of a spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perfsuite.analysis.figures.style import PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from perfsuite.analysis.figures.panels import Marks

INTERVAL_POINTS, SPREAD_POINTS = 1.5, 0.7
"""How thick the line of an interval is, and that of a spread within one run."""

BAR_INCHES, THIN_INCHES, BELOW_INCHES = 0.11, 0.055, 0.092
"""Heights of a bar and of a thin one, and how far the thin one lies below the middle of the row."""

SHAPE_INCHES = 0.07
"""Half the height of an outline at its widest."""


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
    """A value of its own in a row, with its interval if it has one, or only its spread within one run.

    Attributes:
        value: Where it is.
        color: Its colour.
        tip: What it says when pointed at.
        low: Lower end of its interval.
        high: Upper end.
        look: A dot, a hollow diamond, only the interval, a vertical line, or a small dot: one process of several.
        is_spread: Whether the ends are those of a spread within one run, which is no interval.
    """

    value: float
    color: str
    tip: str
    low: float | None = None
    high: float | None = None
    look: Literal["dot", "diamond", "interval", "tick", "process"] = "dot"
    is_spread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How values are spread: shares of them by where they lie, mirrored at the middle of the row."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    color: str
    tip: str


def draw_bar(axes: Axes, marks: Marks, middle: float, bar: Bar) -> None:
    """Draw a bar into a row whose middle is that many inches below the upper edge of the axes."""
    from matplotlib.patches import Rectangle

    height = THIN_INCHES if bar.thin else BAR_INCHES
    center = middle + BELOW_INCHES if bar.thin else middle
    drawn = Rectangle(
        (bar.start, center - height / 2),
        bar.width,
        height,
        facecolor="none" if bar.hatched else bar.color,
        edgecolor=bar.color if bar.hatched else PAPER,
        linewidth=0.6,
        hatch="/////" if bar.hatched else None,
        zorder=2,
    )
    axes.add_artist(drawn)
    marks.add(drawn, bar.tip)


def draw_shape(axes: Axes, marks: Marks, middle: float, shape: Shape) -> None:
    """Draw an outline into a row."""
    heights = [SHAPE_INCHES * share / max(shape.shares) for share in shape.shares]
    steps = [*heights, heights[-1]]
    drawn = axes.fill_between(
        shape.edges,
        [middle - step for step in steps],
        [middle + step for step in steps],
        step="post",
        color=shape.color,
        linewidth=0,
        alpha=0.75,
        zorder=2,
    )
    marks.add(drawn, shape.tip)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """How a mark is drawn: matplotlib's name of it, its size and the width of its edge in points."""

    marker: str
    size: float
    edge: float
    hollow: bool = False


_LOOKS = {
    "dot": _Look(marker="o", size=6.0, edge=1.3),
    "diamond": _Look(marker="D", size=5.2, edge=1.3, hollow=True),
    "tick": _Look(marker="|", size=10.0, edge=1.8),
    "process": _Look(marker="o", size=2.6, edge=0.7, hollow=True),
}
_CAP = _Look(marker="|", size=7.0, edge=1.5)


def draw_point(axes: Axes, marks: Marks, middle: float, point: Point, limits: tuple[float, float]) -> None:
    """Draw a point and its interval; what lies beyond the axis is an arrow at its edge, and its words say where."""
    if point.low is not None and point.high is not None:
        _draw_interval(axes, marks, middle, point, (point.low, point.high), limits)
    if point.look == "interval":
        return
    height = middle + BELOW_INCHES if point.look == "process" else middle
    drawn = _draw_mark(axes, point.value, height, point.color, _LOOKS[point.look], limits, zorder=4)
    marks.add(drawn, point.tip)


def _draw_interval(
    axes: Axes, marks: Marks, middle: float, point: Point, ends: tuple[float, float], limits: tuple[float, float]
) -> None:
    from matplotlib.lines import Line2D

    width = SPREAD_POINTS if point.is_spread else INTERVAL_POINTS
    drawn_ends = [_within(end, limits) for end in ends]
    line = Line2D(drawn_ends, [middle] * 2, color=point.color, linewidth=width, zorder=3, solid_capstyle="butt")
    axes.add_artist(line)
    for end, drawn_end in zip(ends, drawn_ends, strict=True):
        if drawn_end != end or not point.is_spread:
            _draw_mark(axes, end, middle, point.color, _CAP, limits, zorder=3)
    if point.look == "interval":
        marks.add(line, point.tip)


def _draw_mark(
    axes: Axes, value: float, height: float, color: str, look: _Look, limits: tuple[float, float], zorder: float
) -> Line2D:
    """Draw one mark; at the edge an arrow stands for a value beyond it."""
    from matplotlib.lines import Line2D

    if value > limits[1]:
        look = _Look(marker=">", size=5.0, edge=0.0)
    elif value < limits[0]:
        look = _Look(marker="<", size=5.0, edge=0.0)
    drawn = Line2D(
        [_within(value, limits)],
        [height],
        linestyle="none",
        marker=look.marker,
        markersize=look.size,
        markeredgewidth=look.edge,
        markerfacecolor=PAPER if look.hollow else color,
        markeredgecolor=color,
        color=color,
        zorder=zorder,
    )
    axes.add_artist(drawn)
    drawn.set_clip_on(False)
    return drawn


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])

"""Lines over an axis, each with its name at its end: what a panel of curves needs."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from perfsuite.analysis.figures.panels import Panel, fitted, second_line
from perfsuite.analysis.figures.style import FONT_POINTS, INK, MUTED
from perfsuite.analysis.frames.labels import enumerate_words
from perfsuite.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.panels import Marks
    from perfsuite.records.numerics import Curve

Dash = Literal["solid", "dashed", "dotted", "dash-dotted"]

DASHES: dict[Dash, Any] = {
    "solid": "-",
    "dashed": (0, (3.2, 1.6)),
    "dotted": (0, (1.0, 1.2)),
    "dash-dotted": (0, (4.0, 1.2, 1.0, 1.2)),
}

MAX_POINTS = 400
"""Of a line; of more, evenly spaced ones are drawn."""

MAX_DOTS = 30
"""With more points a line has no dots: they would hide it. Marks say the numbers of so many points."""

MAX_CURVES = 9
"""In a panel, whose names have room at the ends of the lines; the axis below it says how many are drawn."""

MAX_NAME = 17
"""Letters of a name at the end of a line."""

CURVE_INCHES = 2.5

BAND_OPACITY = 0.2

MIN_ON_LOG_AXIS = 1e-30
"""Smaller numbers, and those that are not above 0, are not drawn on a logarithmic axis."""

LABEL_INCHES = 0.145
"""Between two names at the right edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A curve as it is drawn.

    Attributes:
        curve: Its values; those whose place or value an axis cannot show are left out.
        name: At its end.
        color: Its colour.
        dash: What distinguishes it without its colour.
        marker: The same, of its dots.
    """

    curve: Curve
    name: str
    color: str
    dash: Dash = "solid"
    marker: Literal["o", "D", "^"] = "o"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """The axes of a panel of curves.

    Attributes:
        x_label: Below.
        y_label: To the left.
        x_base: Of a logarithmic axis; None: an even one.
        y_base: The same; see `MIN_ON_LOG_AXIS`.
        show_x: A place in words, for marks and ticks.
        show_y: A value in words.
        y_limits: Where the axis ends; None: as the values do.
    """

    x_label: str
    y_label: str
    x_base: int | None = None
    y_base: int | None = None
    show_x: Callable[[float], str] = lambda value: f"{value:.4g}"
    show_y: Callable[[float], str] = lambda value: f"{value:.4g}"
    y_limits: tuple[float, float] | None = None


def curves_panel(title: str, lines: Sequence[Line], scales: Scales, *, key: Sequence[Line] = ()) -> Panel:
    """Return a panel of lines; of very many the first.

    Args:
        title: Of the panel.
        lines: What is drawn.
        scales: Its axes.
        key: Lines that a key above the axes names, where ends lie too close for names; empty: each is named at its end.
    """
    shown = [line for line in lines if np.any(_is_shown(line.curve, scales))]
    drawn = shown[:MAX_CURVES]
    name = title.replace("\n", ", ")
    longest = 0 if key else max((len(fitted(printable(line.name), MAX_NAME)) for line in drawn), default=0)
    furthest = max((line.curve.x[-1] for line in drawn), default=0.0)

    def draw(axes: Axes, marks: Marks) -> None:
        _set_scales(axes, scales)
        ends = [_draw_line(axes, marks, name, line, scales) for line in drawn]
        for (x, y), line in zip(ends, drawn, strict=True):
            if x < furthest:  # it ends before the others do
                axes.plot([x], [y], "x", color=line.color, markersize=6, markeredgewidth=1.5, zorder=4)
        axes.margins(x=0.03, y=0.1)
        axes.grid(visible=True, axis="y")
        axes.set_xlabel(with_count(scales.x_label, len(drawn), len(shown), "lines"))
        axes.set_ylabel(scales.y_label)
        if scales.y_limits is not None:
            axes.set_ylim(*scales.y_limits)
        set_number_ticks(axes, scales, [x for line in drawn for x in line.curve.x])
        if key:
            _draw_key(axes, key)
        else:
            label_ends(axes, [(x, y, line) for (x, y), line in zip(ends, drawn, strict=True)])

    ends = [f"{line.name} {scales.show_y(line.curve.y[-1])}" for line in drawn]
    return Panel(
        title=title,
        finding=f"{name}, at the end of each line: {enumerate_words(ends)}",
        draw=draw,
        height=CURVE_INCHES + second_line(title),
        margins=(0.72, 0.24 + 0.068 * longest, 0.46, (0.54 if key else 0.36) + second_line(title)),
    )


def _is_shown(curve: Curve, scales: Scales) -> Any:
    """Return which points of a curve its axes can show."""
    xs, ys = np.asarray(curve.x, dtype=float), np.asarray(curve.y, dtype=float)
    shown = np.ones(len(ys), dtype=bool) if len(xs) else np.zeros(len(ys), dtype=bool)
    if len(xs) and scales.x_base is not None:
        shown &= xs > MIN_ON_LOG_AXIS
    if scales.y_base is not None:
        shown &= ys > MIN_ON_LOG_AXIS
    return shown


def with_count(label: str, num: int, total: int, what: str) -> str:
    """Return the label of an axis; where not all is drawn, with how many of how many are."""
    return label if num == total else f"{label}; {num:,} of {total:,} {what}"


def every_nth(num: int, most: int) -> list[int]:
    """Return the positions of every n-th of `num` values, at most so many."""
    return list(range(0, num, max(1, math.ceil(num / most))))


def thinned(num: int, most: int) -> Any:
    """Return the positions of at most so many of `num` values, the first and the last among them."""
    return np.unique(np.linspace(0, num - 1, min(num, most)).round().astype(int))


def _draw_line(axes: Axes, marks: Marks, title: str, line: Line, scales: Scales) -> tuple[float, float]:
    """Draw a line with its band and its marks; return where it ends."""
    curve, shown = line.curve, _is_shown(line.curve, scales)
    kept = np.flatnonzero(shown)[thinned(int(shown.sum()), MAX_POINTS)]
    xs, ys = np.asarray(curve.x, dtype=float)[kept], np.asarray(curve.y, dtype=float)[kept]
    if curve.low:
        low, high = np.asarray(curve.low, dtype=float)[kept], np.asarray(curve.high, dtype=float)[kept]
        if scales.y_base is not None:
            low = np.where(low > MIN_ON_LOG_AXIS, low, ys)  # an interval that reaches 0 has no end on such an axis
        axes.fill_between(xs, low, high, color=line.color, alpha=BAND_OPACITY, linewidth=0, zorder=2)
    axes.plot(xs, ys, color=line.color, linewidth=1.5, linestyle=DASHES[line.dash], zorder=3)
    opacity = 1.0 if len(xs) <= MAX_DOTS else 0.0
    for index in thinned(len(xs), MAX_DOTS):
        (dot,) = axes.plot(
            [xs[index]], [ys[index]], line.marker, color=line.color, markersize=3, zorder=4, alpha=opacity
        )
        value = scales.show_y(float(ys[index]))
        if curve.low:
            ends = (float(curve.low[kept[index]]), float(curve.high[kept[index]]))
            value += f" [{scales.show_y(ends[0])}, {scales.show_y(ends[1])}]"
        marks.add(dot, f"{title}, {line.name}, {scales.show_x(float(xs[index]))}: {value}")
    return float(xs[-1]), float(ys[-1])


def _set_scales(axes: Axes, scales: Scales) -> None:
    if scales.x_base is not None:
        axes.set_xscale("log", base=scales.x_base)
    if scales.y_base is not None:
        axes.set_yscale("log", base=scales.y_base)


MAX_TICKS = 6

MAX_PLACES = 4
"""Ticks of a logarithmic axis below, whose numbers may be long."""


def set_number_ticks(axes: Axes, scales: Scales, xs: Sequence[float]) -> None:
    """Set ticks at round numbers; below a logarithmic axis at some of the places that there are."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

    if scales.x_base is None:
        axes.xaxis.set_major_locator(MaxNLocator(MAX_TICKS - 1, steps=[1, 2, 2.5, 5, 10]))
    else:
        places = sorted({x for x in xs if x > 0})
        axes.xaxis.set_major_locator(FixedLocator([places[index] for index in thinned(len(places), MAX_PLACES)]))
        axes.xaxis.set_minor_locator(NullLocator())
    if scales.y_base is None:
        axes.yaxis.set_major_locator(MaxNLocator(MAX_TICKS - 1))
    else:
        axes.yaxis.set_major_locator(LogLocator(base=scales.y_base, numticks=MAX_TICKS))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.show_x(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.show_y(value)))


def _draw_key(axes: Axes, key: Sequence[Line]) -> None:
    """Draw what lines stand for in a row above the axes."""
    from matplotlib.lines import Line2D

    samples = [
        Line2D([], [], color=line.color, marker=line.marker, markersize=4, linestyle=DASHES[line.dash]) for line in key
    ]
    axes.legend(
        samples,
        [fitted(printable(line.name), MAX_NAME) for line in key],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=len(key),
        borderaxespad=0.1,
        columnspacing=1.2,
        handlelength=1.8,
        handletextpad=0.5,
        fontsize=FONT_POINTS,
        labelcolor=INK,
    )


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, Line]]) -> None:
    """Write the name of each line next to its end, so far from each other that all can be read."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    axes.autoscale_view()  # what the axes show is settled before the ends of lines are looked up
    height = axes.get_window_extent().height / axes.figure.dpi
    to_share = axes.transAxes.inverted().transform
    places = [to_share(axes.transData.transform((x, y))) for x, y, _ in ends]
    heights = spread_out([float(place[1]) for place in places], LABEL_INCHES / height)
    for (x, y), at, (_, _, line) in zip(places, heights, ends, strict=True):
        path = Path([(min(max(x, 0), 1) + 0.01, min(max(y, 0), 1)), (1.02, at), (1.05, at)])
        axes.add_patch(
            PathPatch(
                path,
                transform=axes.transAxes,
                facecolor="none",
                edgecolor=MUTED,
                linewidth=0.6,
                clip_on=False,
                zorder=2.5,
            )
        )
        name = fitted(printable(line.name), MAX_NAME)
        axes.text(1.065, at, name, transform=axes.transAxes, va="center_baseline", fontsize=FONT_POINTS, color=INK)


def spread_out(heights: Sequence[float], least: float) -> list[float]:
    """Return heights (0 to 1) in the same order, moved until any two are so far apart, as far as there is room."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    least = min(least, 1 / max(len(heights) - 1, 1))
    found = [min(max(height, 0.0), 1.0) for height in heights]
    for before, index in itertools.pairwise(order):
        found[index] = max(found[index], found[before] + least)
    limit = 1.0
    for index in reversed(order):
        found[index] = min(found[index], limit)
        limit = found[index] - least
    return found


SUPERSCRIPTS = str.maketrans("-.0123456789", "⁻·⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_two(exponent: float) -> str:
    """Return an exponent as a power of 2: `2⁻²⁴`."""
    return "2" + f"{float(exponent):.4g}".translate(SUPERSCRIPTS)


def percent(share: float) -> str:
    """Return a share of 1 in percent."""
    return f"{100 * share:.3g}%"

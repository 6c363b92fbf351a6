"""How large gradients are, and what FP16 loses of them at each loss scale: figure 3 of Micikevicius et al. 2018."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from perfsuite.analysis.figures.curves import Line, Scales, curves_panel, percent, power_of_two, thinned
from perfsuite.analysis.figures.numerics_formats import format_color
from perfsuite.analysis.figures.panels import Panel, fitted, second_line
from perfsuite.analysis.figures.style import FONT_POINTS, INK, MUTED, PAPER, SEQUENCE, tinted
from perfsuite.formatting import printable
from perfsuite.number_formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.curves import Dash
    from perfsuite.analysis.figures.panels import Marks
    from perfsuite.records.numerics import ExponentHistogram, NumericsRecord

STAGES: dict[str, Dash] = {"early": "solid", "late": "dashed"}

SHOWN_SCALES = (0, 8, 16)
"""Exponents of the loss scales whose windows are drawn."""

MIN_DRAWN_EXPONENT, MAX_DRAWN_EXPONENT = -60, 20
"""Where the axis of exponents ends at most; what lies beyond is counted with the last."""

HISTOGRAM_INCHES = 3.1

MAX_ROWS, MAX_COLUMNS = 22, 24
"""Of a map; of more layers evenly spaced ones are shown, more exponents are added up two by two, three by three ..."""

MAX_LABEL = 18
"""Letters of a layer's name beside a map."""

LOST: dict[str, tuple[str, Literal["o", "D", "^"]]] = {
    "zero": (SEQUENCE[0], "o"),
    "subnormal": (SEQUENCE[4], "D"),
    "overflow": (SEQUENCE[3], "^"),
}
"""Colour and dots of each way in which FP16 loses a gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    """Histograms added up.

    Attributes:
        first: Exponent of the first share.
        shares: Of all values that are not 0, by exponent.
        zero_ratio: Share of 0 among all values.
    """

    first: int
    shares: tuple[float, ...]
    zero_ratio: float


def _spread(histograms: Sequence[ExponentHistogram]) -> _Spread | None:
    """Add histograms up; None where they hold nothing but 0."""
    total = np.zeros(MAX_DRAWN_EXPONENT - MIN_DRAWN_EXPONENT + 1)
    num_zeros = 0.0
    for one in histograms:
        num_zeros += one.num_zeros
        places = np.arange(len(one.counts)) + one.min_exponent - MIN_DRAWN_EXPONENT
        np.add.at(total, np.clip(places, 0, len(total) - 1), np.asarray(one.counts, dtype=float))
    num = float(total.sum())
    if num <= 0:
        return None
    filled = np.flatnonzero(total)
    kept = total[filled[0] : filled[-1] + 1] / num
    return _Spread(
        first=int(filled[0]) + MIN_DRAWN_EXPONENT,
        shares=tuple(kept.tolist()),
        zero_ratio=num_zeros / (num + num_zeros),
    )


def histogram_panel(title: str, record: NumericsRecord, tensors: str) -> Panel | None:
    """Return how gradients of all layers are spread over exponents, above what FP16 holds at several loss scales."""
    found = {
        stage: _spread([one for one in record.histograms if (one.tensors, one.stage) == (tensors, stage)])
        for stage in STAGES
    }
    spreads = {stage: spread for stage, spread in found.items() if spread is not None}
    if not spreads:
        return None
    low = min(spread.first for spread in spreads.values())
    high = max(spread.first + len(spread.shares) for spread in spreads.values())
    limits = (min(low - 1, -26), max(high + 1, 2))
    name = title.replace("\n", ", ")

    def draw(axes: Axes, marks: Marks) -> None:
        highest = max(max(spread.shares) for spread in spreads.values())
        for stage, spread in spreads.items():
            _draw_spread(axes, marks, f"{name}, {stage}", stage, spread)
        _draw_windows(axes, marks, limits, highest)
        _set_exponents(axes, limits)
        axes.set_ylim(-0.75 * highest, 1.12 * highest)
        ticks = [tick for tick in axes.get_yticks() if 0 <= tick <= highest]
        axes.set_yticks(ticks, [f"{100 * tick:.3g}" for tick in ticks])
        axes.set_ylabel("values, %", y=0.7)
        axes.set_xlabel("size of a gradient")

    zeros = [f"{stage} {percent(spread.zero_ratio)}" for stage, spread in spreads.items()]
    medians = [f"{stage} {power_of_two(_median(spread))}" for stage, spread in spreads.items()]
    return Panel(
        title=title,
        finding=f"{name}: median size {', '.join(medians)}; exactly 0: {', '.join(zeros)}",
        draw=draw,
        height=HISTOGRAM_INCHES + second_line(title),
        margins=(0.55, 0.14, 0.46, 0.36 + second_line(title)),
    )


def _median(spread: _Spread) -> int:
    return spread.first + int(np.searchsorted(np.cumsum(spread.shares), 0.5))


def _draw_spread(axes: Axes, marks: Marks, name: str, stage: str, spread: _Spread) -> None:
    """Draw an outline in steps: early in training filled, late dashed."""
    edges = np.arange(spread.first, spread.first + len(spread.shares) + 1)
    steps = [*spread.shares, spread.shares[-1]]
    is_early = stage == "early"
    color = MUTED if is_early else INK
    if is_early:
        axes.fill_between(edges, steps, step="post", color=color, alpha=0.35, linewidth=0, zorder=2)
    outline = np.repeat(edges, 2)
    heights = [0.0, *np.repeat(spread.shares, 2), 0.0]
    axes.plot(outline, heights, color=color, linewidth=1.2, linestyle="-" if is_early else (0, (3.2, 1.6)), zorder=3)
    for exponent, share in zip(edges.tolist(), spread.shares, strict=False):
        (mark,) = axes.plot([exponent + 0.5], [share], "o", color=color, markersize=3, alpha=0.0, zorder=4)
        place = f"{power_of_two(exponent)} to {power_of_two(exponent + 1)}"
        marks.add(mark, f"{name}, {place}: {percent(share)} of the values that are not 0")


def _draw_windows(axes: Axes, marks: Marks, limits: tuple[float, float], highest: float) -> None:
    """Draw below the histogram what FP16 holds at each loss scale: filled with all digits, hatched with fewer."""
    from matplotlib.patches import Rectangle

    fp16 = FORMATS["fp16"]
    normal, largest = 1 - fp16.bias, fp16.bias + 1
    smallest = normal - fp16.num_fraction_bits
    color = format_color("fp16")
    for number, scale in enumerate(SHOWN_SCALES):
        bottom = -highest * (0.17 + 0.22 * (number + 1) - 0.08)
        for start, end, is_normal in ((smallest, normal, False), (normal, largest, True)):
            left, right = (min(max(edge - scale, limits[0]), limits[1]) for edge in (start, end))
            bar = Rectangle(
                (left, bottom),
                right - left,
                0.13 * highest,
                facecolor=tinted(color) if is_normal else PAPER,
                edgecolor=color,
                linewidth=0.6,
                hatch=None if is_normal else "/////",
            )
            axes.add_patch(bar)
            kind = "all digits" if is_normal else "fewer digits (subnormal)"
            holds = f"{power_of_two(start - scale)} to {power_of_two(end - scale)}"
            marks.add(bar, f"loss scale {power_of_two(scale)}: FP16 holds gradients of {holds} with {kind}")
        words = f"FP16, scale {power_of_two(scale)}"
        middle = bottom + 0.06 * highest
        place = min(max(normal - scale + 0.5, limits[0] + 0.5), limits[1] - 1)
        axes.text(place, middle, words, va="center_baseline", fontsize=FONT_POINTS, color=INK)


def _set_exponents(axes: Axes, limits: tuple[float, float]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_xlim(*limits)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, steps=[1, 2, 4, 5, 8, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: power_of_two(value)))


def lost_panel(title: str, record: NumericsRecord, tensors: str) -> Panel | None:
    """Return which share of gradients FP16 loses at each loss scale, and how: to 0, to fewer digits, to infinity."""
    lines = []
    for curve in record.curves:
        parts = curve.name.split(", ")
        if not curve.x or len(parts) != 3 or parts[0] != tensors or parts[1] not in STAGES:  # noqa: PLR2004 - the parts of its name
            continue
        _, stage, kind = parts
        name = kind if stage == "early" else f"{kind}, {stage}"
        color, marker = LOST.get(kind, (MUTED, "o"))
        lines.append(Line(curve=curve, name=name, color=color, dash=STAGES[stage], marker=marker))
    if not lines:
        return None
    kinds = {line.color: line for line in reversed(lines)}  # one of each kind, the first of it
    scales = Scales(
        x_label="loss scale",
        y_label="gradients, %",
        show_x=power_of_two,
        show_y=lambda share: f"{100 * share:.3g}",
    )
    return curves_panel(title, lines, scales, key=list(reversed(kinds.values()))[:3])


def map_panel(title: str, record: NumericsRecord, tensors: str, stage: str) -> Panel | None:
    """Return how the gradients of each layer are spread over exponents, a row per layer and the first one above."""
    histograms = [one for one in record.histograms if (one.tensors, one.stage) == (tensors, stage)]
    by_layer: dict[str, list[ExponentHistogram]] = {}
    for one in histograms:
        by_layer.setdefault(one.layer, []).append(one)
    spreads = _spreads_of_layers(by_layer)
    if len(spreads) < 2:  # noqa: PLR2004 - one layer is what the histogram shows
        return None
    layers = list(spreads)
    low = min(spread.first for spread in spreads.values())
    high = max(spread.first + len(spread.shares) for spread in spreads.values())
    width = max(1, math.ceil((high - low) / MAX_COLUMNS))
    end = low + width * math.ceil((high - low) / width)
    is_cut = len(by_layer) > MAX_ROWS
    name = title.replace("\n", ", ")
    labels = [fitted(printable(layer), MAX_LABEL) for layer in layers]

    def draw(axes: Axes, marks: Marks) -> None:
        for row, (layer, spread) in enumerate(spreads.items()):
            _draw_row(axes, marks, f"{name}, {layer}", row, spread, width)
        axes.set_ylim(len(spreads), 0)
        _set_exponents(axes, (low, end))
        axes.set_yticks(np.arange(len(spreads)) + 0.5, labels)
        axes.axvline(-24, color=format_color("fp16"), linewidth=1.2, linestyle=(0, (2.4, 1.2)))
        axes.tick_params(axis="y", length=0)
        count = f"\n{MAX_ROWS:,} of {len(by_layer):,} layers" if is_cut else ""
        axes.set_xlabel(f"size; dashed: FP16's smallest{count}")

    first, last = power_of_two(_median(spreads[layers[0]])), power_of_two(_median(spreads[layers[-1]]))
    return Panel(
        title=title,
        finding=f"{name}: median size {first} in the first layer, {last} in the last",
        draw=draw,
        height=max(HISTOGRAM_INCHES, 0.123 * len(spreads) + 0.96) + second_line(title),
        margins=(
            0.22 + 0.064 * max(map(len, labels)),
            0.16,
            0.6 if is_cut else 0.46,
            0.36 + second_line(title),
        ),
    )


def _spreads_of_layers(by_layer: Mapping[str, Sequence[ExponentHistogram]]) -> dict[str, _Spread]:
    """Return what is drawn of each layer that holds anything but 0; of many layers evenly spaced ones."""
    layers = list(by_layer)
    found = {}
    for index in thinned(len(layers), MAX_ROWS) if layers else ():
        spread = _spread(by_layer[layers[index]])
        if spread is not None:
            found[layers[index]] = spread
    return found


def _draw_row(axes: Axes, marks: Marks, name: str, row: int, spread: _Spread, width: int) -> None:
    from matplotlib.patches import Rectangle

    for start in range(0, len(spread.shares), width):
        share = sum(spread.shares[start : start + width])
        if share < MIN_SHARE:
            continue
        shade = tinted(SEQUENCE[0], min(0.08 + 0.92 * share / (DARK_SHARE * width), 1.0))
        cell = Rectangle((spread.first + start, row + 0.06), width, 0.88, facecolor=shade, linewidth=0)
        axes.add_patch(cell)
        place = f"{power_of_two(spread.first + start)} to {power_of_two(spread.first + start + width)}"
        marks.add(cell, f"{name}, {place}: {percent(share)}")


DARK_SHARE = 0.14
"""Of a layer's gradients with one exponent: a cell of so many is as dark as can be."""

MIN_SHARE = 0.001
"""Of a layer's gradients that a cell of a map holds at least."""

"""Trainings with weights, updates and loss scales of several kinds: losses, accuracy, what is swallowed, the scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.figures.axis import Axis, spread_limits
from perfsuite.analysis.figures.curves import (
    DASHES,
    Line,
    Scales,
    curves_panel,
    every_nth,
    percent,
    power_of_two,
    thinned,
    with_count,
)
from perfsuite.analysis.figures.numerics_formats import PRECISIONS, format_color
from perfsuite.analysis.figures.panels import Panel, fitted, second_line
from perfsuite.analysis.figures.row_marks import Point
from perfsuite.analysis.figures.row_panel import Row, rows_panels
from perfsuite.analysis.figures.style import FONT_POINTS, INK, MUTED, SEQUENCE, WORSE
from perfsuite.analysis.frames.labels import enumerate_words
from perfsuite.formatting import printable
from perfsuite.records.numerics import BASELINE_SETTING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.curves import Dash
    from perfsuite.analysis.figures.panels import Marks
    from perfsuite.records.numerics import Curve, NumericsRecord

FINAL_LOSS, ACCURACY = "final loss", "accuracy"

FAR_APART = 20.0
"""Losses that differ by more are drawn on a logarithmic axis."""

MAX_LAYERS = 200
"""That are drawn; of a deeper network evenly spaced ones."""

MAX_NAMED_LAYERS = 22
"""That have their name beside them; of more every second, third ..., and marks say that of each."""

LAYER_LETTERS, LAYER_INCHES = 18, 0.123

MAX_ARMS, MAX_ARM_NAME = 8, 30

ARM_DASHES: tuple[Dash, ...] = ("solid", "dashed", "dotted", "dash-dotted")


def layers_panel(title: str, record: NumericsRecord) -> Panel | None:
    """Return the share of updates that each layer's weights swallow, from the first layer to the last."""
    curves = [curve for curve in record.curves if curve.labels and curve.name in PRECISIONS]
    if not curves:
        return None
    labels = curves[0].labels
    curves = [curve for curve in curves if curve.labels == labels]
    kept = thinned(len(labels), MAX_LAYERS)
    name = title.replace("\n", ", ")

    def draw(axes: Axes, marks: Marks) -> None:
        places = np.arange(len(kept))
        for curve in curves:
            color, is_fp16 = format_color(curve.name), curve.name == "fp16"
            shares = np.asarray(curve.y, dtype=float)[kept]
            dash = DASHES["solid" if is_fp16 else "dashed"]
            axes.plot(shares, places, color=color, linewidth=1.0, linestyle=dash, zorder=2)
            for place, share in zip(places, shares, strict=True):
                face = color if is_fp16 else "none"
                (dot,) = axes.plot([share], [place], "o", color=color, markersize=3.6, markerfacecolor=face, zorder=3)
                marks.add(dot, f"{name}, {labels[kept[place]]}: {curve.name} {percent(float(share))}")
        axes.set_ylim(len(kept) - 0.4, -0.6)
        named = every_nth(len(kept), MAX_NAMED_LAYERS)
        words = [fitted(printable(labels[kept[place]]), LAYER_LETTERS) for place in named]
        axes.set_yticks(named, words)
        axes.set_xlabel(with_count("weight updates that change nothing, %", len(kept), len(labels), "layers"))
        _set_shares(axes, [value for curve in curves for value in curve.y])
        axes.grid(visible=True, axis="x")

    num_letters = max(len(fitted(printable(label), LAYER_LETTERS)) for label in labels)
    means = [f"{curve.name} {percent(float(np.mean(curve.y)))}" for curve in curves]
    return Panel(
        title=title,
        finding=f"{name}: mean over {len(labels)} layers {enumerate_words(means)}",
        draw=draw,
        height=max(1.7, LAYER_INCHES * min(len(kept), MAX_NAMED_LAYERS)) + 0.82 + second_line(title),
        margins=(0.3 + 0.064 * num_letters, 0.2, 0.46, 0.36 + second_line(title)),
    )


def _set_shares(axes: Axes, values: Sequence[float]) -> None:
    """Let an axis of shares show all of them, and 0 to 100% where they are such."""
    from matplotlib.ticker import FuncFormatter

    low, high = min([0.0, *values]), max([1.0, *values])
    room = 0.03 * (high - low)
    axes.set_xlim(low - room, high + room)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}"))


def learning_rates_panel(title: str, record: NumericsRecord) -> Panel | None:
    """Return the share of all updates that is swallowed by learning rate."""
    ending = " by learning rate"
    curves = [curve for curve in record.curves if curve.x and curve.name.endswith(ending)]
    if not curves:
        return None
    names = [curve.name.removesuffix(ending) for curve in curves]
    lines = [
        Line(
            curve=curve,
            name=name,
            color=format_color(name),
            dash="solid" if name == "fp16" else "dashed",
        )
        for curve, name in zip(curves, names, strict=True)
    ]
    scales = Scales(
        x_label="learning rate",
        y_label="updates, %",
        x_base=2,
        show_x=lambda rate: f"{rate:.2g}",
        show_y=lambda share: f"{100 * share:.3g}",
    )
    return curves_panel(title, lines, scales)


def losses_panel(title: str, record: NumericsRecord) -> Panel | None:
    """Return the training loss of each arm by step, with its interval; above the baseline, where one is named."""
    curves = [curve for curve in record.curves if curve.x]
    if not curves:
        return None
    lines = [
        Line(curve=curve, name=curve.name, color=_arm_color(curve.name, number), dash=_arm_dash(curve.name, number))
        for number, curve in enumerate(curves)
    ]
    values = [value for curve in curves for value in curve.y]
    y_base = 10 if 0 < FAR_APART * min(values) < max(values) else None
    baseline = record.settings.get(BASELINE_SETTING)
    y_label = "training loss" if baseline is None else f"loss above {fitted(printable(str(baseline)), MAX_ARM_NAME)}"
    return curves_panel(title, lines, Scales(x_label="step", y_label=y_label, y_base=y_base))


def _arm_color(name: str, number: int) -> str:
    return format_color(name) if name.partition(" ")[0] in PRECISIONS else SEQUENCE[number % len(SEQUENCE)]


def _arm_dash(name: str, number: int) -> Dash:
    first, _, kind = name.partition(" ")
    if first in PRECISIONS:
        return "dashed" if kind else "solid"
    return ARM_DASHES[number % len(ARM_DASHES)]


def arms_panel(title: str, record: NumericsRecord) -> Panel | None:
    """Return the accuracy of each arm with its interval; where there is none, the loss at the end."""
    by_name = {curve.name: curve for curve in record.curves if curve.labels}
    curve = by_name.get(ACCURACY) or by_name.get(FINAL_LOSS)
    if curve is None:
        return None
    losses = _by_label(by_name.get(FINAL_LOSS))
    show = _one_decimal if curve.name == ACCURACY else (lambda value: f"{value:.4g}")
    rows = [_arm_row(curve, index, show, losses) for index in range(min(len(curve.y), MAX_ARMS))]
    ends = [value for values in (curve.y, curve.low, curve.high) for value in values[:MAX_ARMS]]
    middle = (min(ends) + max(ends)) / 2
    scale = 100.0 if curve.name == ACCURACY else 1.0
    limits = spread_limits([scale * end for end in ends], scale * middle, max(0.02 * scale * abs(middle), 1e-6))
    label = "accuracy, %" if curve.name == ACCURACY else "training loss at the end"
    label = with_count(label, len(rows), len(curve.y), "arms")
    axis = Axis(label=f"{label}; [95% interval]" if curve.low else label, limits=limits)
    return rows_panels(title, label, rows, axis)[0]


def _by_label(curve: Curve | None) -> dict[str, float]:
    return {} if curve is None else dict(zip(curve.labels, curve.y, strict=True))


def _arm_row(curve: Curve, index: int, show: Any, losses: dict[str, float]) -> Row:
    name, value = curve.labels[index], curve.y[index]
    scale = 100.0 if curve.name == ACCURACY else 1.0
    ends = (curve.low[index], curve.high[index]) if curve.low else None
    words = show(value) if ends is None else f"{show(value)} [{show(ends[0])}, {show(ends[1])}]"
    loss = f", loss at the end {losses[name]:.4g}" if name in losses and curve.name == ACCURACY else ""
    point = Point(
        value=scale * value,
        color=_arm_color(name, index),
        tip=f"{name}: {curve.name} {words}{loss}",
        low=None if ends is None else scale * ends[0],
        high=None if ends is None else scale * ends[1],
    )
    return Row(label=fitted(printable(name), MAX_ARM_NAME), value=words, points=(point,))


def _one_decimal(share: float) -> str:
    return f"{100 * share:.1f}%"


def loss_scale_panel(title: str, record: NumericsRecord) -> Panel | None:
    """Return the loss scale by step, and which steps were skipped for an overflow."""
    by_name = {curve.name: curve for curve in record.curves if curve.x}
    scale, skipped = by_name.get("loss scale"), by_name.get("skipped")
    if scale is None:
        return None
    steps = (
        [] if skipped is None else [step for step, is_skipped in zip(skipped.x, skipped.y, strict=True) if is_skipped]
    )
    name = title.replace("\n", ", ")

    def draw(axes: Axes, marks: Marks) -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        kept = thinned(len(scale.x), 2000)
        xs, ys = np.asarray(scale.x, dtype=float)[kept], np.asarray(scale.y, dtype=float)[kept]
        axes.plot(xs, ys, color=SEQUENCE[0], linewidth=1.5, drawstyle="steps-post", zorder=2)
        low, high = float(ys.min()), float(ys.max())
        room = max(high - low, 1.0, 1e-6 * abs(high))
        axes.set_ylim(low - 0.25 * room, high + 0.1 * room)
        for index in thinned(len(steps), MAX_SKIPPED) if steps else ():
            (mark,) = axes.plot([steps[index]], [low - 0.15 * room], "x", color=WORSE, markersize=4.5, zorder=3)
            marks.add(mark, f"{name}, step {steps[index]:,.0f}: skipped, its gradients overflowed")
        axes.text(
            0.99,
            0.97,
            f"x: {len(steps):,} skipped",
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=FONT_POINTS,
            color=MUTED if not steps else INK,
        )
        axes.margins(x=0.03)
        axes.grid(visible=True, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power_of_two(value)))
        axes.set_xlabel("step")
        axes.set_ylabel("loss scale")

    first, last = power_of_two(scale.y[0]), power_of_two(scale.y[-1])
    return Panel(
        title=title,
        finding=f"{name}: from {first} to {last}, {len(steps):,} of {len(scale.x):,} steps skipped",
        draw=draw,
        height=2.5 + second_line(title),
        margins=(0.6, 0.16, 0.46, 0.36 + second_line(title)),
    )


MAX_SKIPPED = 100
"""Marks of skipped steps; of more, evenly spaced ones are drawn."""

"""Full trainings: losses, accuracy and learning rate by epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from perfsuite.analysis.figures.panels import Drawing, Panel, Swatch, second_line
from perfsuite.analysis.figures.style import GRID, precision_color
from perfsuite.analysis.frames.labels import enumerate_words, span, titled
from perfsuite.analysis.frames.training_groups import family_words, training_groups
from perfsuite.formatting import counted
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Marks
    from perfsuite.analysis.frames.training_groups import Family, TrainingGroup
    from perfsuite.records.training import EpochRecord

LEARNING_RATE = "learning rate"

CURVES: tuple[tuple[str, str, str, Callable[[EpochRecord], float | None]], ...] = (
    ("training loss", "cross-entropy", "loss", lambda epoch: epoch.train_loss),
    ("validation loss", "cross-entropy", "loss", lambda epoch: epoch.validation_loss),
    ("validation accuracy", "correct, %", "", lambda epoch: 100 * epoch.validation_accuracy),
    (LEARNING_RATE, "learning rate", "log", lambda epoch: epoch.learning_rate),
    ("loss scale", "loss scale", "power", lambda epoch: epoch.loss_scale),
)


FAR_APART = 20.0
"""Losses that differ by more are drawn on a logarithmic axis: the first epoch must not hide the others."""


IN_STEPS = {"log", "power"}
"""Scales of what is set once an epoch, and drawn as steps in a small panel."""

CURVE_INCHES, STEPS_INCHES = 2.35, 1.55

MAX_DOTS = 12
MAX_STEPS = 4

BAND_OPACITY = 0.22

Curve = tuple["TrainingGroup", list[list[float]]]
"""A group of seeds and what a curve of each of its trainings shows [trainings, epochs]."""


def epochs_chart(figure_data: FigureData) -> Drawing | None:
    """Draw loss, accuracy, learning rate and loss scale of FP32 and AMP over each other, epoch by epoch.

    Several seeds are a line, their mean, and a band from the lowest to the highest of them.
    """
    groups = training_groups(figure_data.results)
    families: dict[Family, list[TrainingGroup]] = {}
    for group in groups:
        families.setdefault(group.family, []).append(group)
    if not families:
        return None
    family_name = family_words(groups)
    panels = []
    for title, unit, scale, value in CURVES:
        for alike, curves in _drawn_curves(families, title, value):
            heading = _curve_heading(title, alike, len(families), family_name)
            panels.append(_curve_panel(heading, unit, scale, curves))
    seeds = [len(group.members) for group in groups]
    return Drawing(
        kind="epochs",
        title="Full trainings, epoch by epoch",
        finding=_curves_finding(families, family_name),
        panels=tuple(panels),
        legend=tuple(_epochs_legend(groups)),
        notes=(f"n = {_seeds_in_words(seeds)}",),
    )


def _drawn_curves(
    families: dict[Family, list[TrainingGroup]], title: str, value: Callable[[EpochRecord], float | None]
) -> list[tuple[list[Family], list[Curve]]]:
    """Return the curves of each panel, and the families that it is of: one, or all that share a learning rate."""
    drawn: dict[object, tuple[list[Family], list[Curve]]] = {}
    for family, members in families.items():
        curves = _curves(members, value)
        if curves:
            key = _schedule(curves) if title == LEARNING_RATE else family
            alike, _ = drawn.setdefault(key, ([], curves))
            alike.append(family)
    return list(drawn.values())


def _curves(members: Sequence[TrainingGroup], value: Callable[[EpochRecord], float | None]) -> list[Curve]:
    curves = []
    for group in members:
        values = _values(group, value)
        if values:
            curves.append((group, values))
    return curves


def _schedule(curves: Sequence[Curve]) -> tuple[tuple[float, ...], ...]:
    """Return the learning rates of all trainings by epoch."""
    schedule: list[tuple[float, ...]] = []
    for _, trainings in curves:
        schedule += [tuple(values) for values in trainings]
    return tuple(schedule)


def _curve_heading(title: str, alike: Sequence[Family], num_families: int, family_name: Callable[..., str]) -> str:
    if title == LEARNING_RATE and len(alike) == num_families > 1:
        return title
    names = ", ".join(dict.fromkeys(family_name(family, with_place=False) for family in alike))
    place = alike[0].place if len(alike) == 1 else ""
    return titled(f"{names}: {title}", place)


def _epochs_legend(groups: Sequence[TrainingGroup]) -> list[Swatch]:
    legend = []
    for precision in dict.fromkeys(group.precision for group in groups):
        look: Literal["line", "dashed"] = "line" if precision == BASELINE else "dashed"
        legend.append(Swatch(label=precision, color=precision_color(precision), look=look))
    if any(len(group.members) > 1 for group in groups):
        legend.append(Swatch(label="line: mean; band: lowest to highest seed", color=GRID))
    return legend


def _seeds_in_words(counts: Sequence[int]) -> str:
    return counted(span(counts), "seed")


def _values(group: TrainingGroup, value: Callable[[EpochRecord], float | None]) -> list[list[float]]:
    """Return the values of each training up to the last epoch that all have; none where a value is absent."""
    histories = [[value(epoch) for epoch in record.history] for record in group.records]
    num = min(len(history) for history in histories)
    found = [[number for number in history[:num] if number is not None] for history in histories]
    return found if num and all(len(values) == num for values in found) else []


def _curves_finding(families: dict[Family, list[TrainingGroup]], family_name: Callable[[Family], str]) -> str:
    parts = []
    for family, members in families.items():
        ends = []
        for group in members:
            last = [record.history[-1].validation_accuracy for record in group.records if record.history]
            if last:
                mean = f"{100 * sum(last) / len(last):.1f}%"
                between = f" ({100 * min(last):.1f} to {100 * max(last):.1f})" if len(last) > 1 else ""
                ends.append(f"{mean}{between} in {group.precision}")
        parts.append(f"{family_name(family)} {enumerate_words(ends)}")
    return f"Validation accuracy after the last epoch: {'; '.join(parts)}."


def _curve_panel(title: str, unit: str, scale: str, curves: Sequence[Curve]) -> Panel:
    name = title.replace("\n", ", ")

    def draw(axes: Axes, marks: Marks) -> None:
        from matplotlib.ticker import MaxNLocator

        numbers: list[float] = []
        for group, trainings in curves:
            _draw_curve(axes, marks, name, group.precision, trainings, in_steps=scale in IN_STEPS)
            for values in trainings:
                numbers += values
        _set_scale(axes, scale, numbers)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.margins(x=0.04, y=0.12)
        axes.grid(visible=True, axis="y")
        axes.set_xlabel(f"epoch; n = {_seeds_in_words([len(trainings) for _, trainings in curves])}")
        axes.set_ylabel(unit)

    ends = [f"{group.precision} {_spread(trainings, -1)}" for group, trainings in curves]
    return Panel(
        title=title,
        finding=f"{name}, after the last epoch: {enumerate_words(ends[:8])}",
        draw=draw,
        height=(STEPS_INCHES if scale in IN_STEPS else CURVE_INCHES) + second_line(title),
        margins=(0.78, 0.14, 0.46, 0.36 + second_line(title)),
    )


def _draw_curve(
    axes: Axes,
    marks: Marks,
    name: str,
    precision: str,
    trainings: Sequence[Sequence[float]],
    *,
    in_steps: bool,
) -> None:
    values = np.array(trainings)
    epochs, means = range(1, values.shape[1] + 1), values.mean(axis=0)
    color = precision_color(precision)
    style: Any = "-" if precision == BASELINE else (0, (3.2, 1.6))  # not by colour alone
    if len(values) > 1:
        lowest, highest = values.min(axis=0), values.max(axis=0)
        step: Any = "mid" if in_steps else None
        axes.fill_between(epochs, lowest, highest, step=step, color=color, alpha=BAND_OPACITY, linewidth=0, zorder=2)
    drawstyle: Any = "steps-mid" if in_steps else "default"
    axes.plot(epochs, means, color=color, linewidth=1.7, linestyle=style, drawstyle=drawstyle, zorder=3)
    seen = 1.0 if len(means) <= MAX_DOTS else 0.0  # many hide the line; they still say their number
    for index, epoch in enumerate(epochs):
        (mark,) = axes.plot([epoch], [means[index]], "o", color=color, markersize=4, zorder=4, alpha=seen)
        marks.add(mark, f"{name}, {precision}, epoch {epoch}: {_spread(trainings, index)}")


def _spread(trainings: Sequence[Sequence[float]], index: int) -> str:
    """Return the value of an epoch; of several seeds their mean, and the lowest and the highest."""
    values = [training[index] for training in trainings]
    mean = f"{sum(values) / len(values):.4g}"
    return f"{mean} ({min(values):.4g} to {max(values):.4g})" if len(values) > 1 else mean


def _set_scale(axes: Axes, scale: str, numbers: Sequence[float]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, StrMethodFormatter

    if scale == "power":
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_locator(LogLocator(base=2, numticks=6))
        axes.yaxis.set_major_formatter(FuncFormatter(_power_of_two))
    elif scale == "log" or (scale == "loss" and 0 < FAR_APART * min(numbers) < max(numbers)):
        axes.set_yscale("log")
        few = sorted(set(numbers))
        locator = FixedLocator(few) if len(few) <= MAX_STEPS else LogLocator(subs=(1.0, 2.0, 5.0), numticks=8)
        axes.yaxis.set_major_locator(locator)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _power_of_two(value: float, _: object) -> str:
    """Return 65536 as 2 to the 16: loss scales are powers of two, and too long for an axis."""
    return "2" + f"{round(math.log2(value))}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))

"""Full trainings: curves, confusion matrices and their differences, and what the study found beside ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.confusion import CLASSES, confusion_of, likeness
from perfsuite.analysis.figures.drawing import Drawing, Panel, Swatch
from perfsuite.analysis.figures.material import enumerate_words, titled
from perfsuite.analysis.figures.style import INK, MUTED, PAPER, mixed, precision_color
from perfsuite.analysis.speedup import BASELINE
from perfsuite.analysis.training_groups import baseline_of, family_words, training_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.drawing import Marks
    from perfsuite.analysis.figures.material import Material
    from perfsuite.analysis.full_training import FullTraining
    from perfsuite.analysis.training_groups import Family, TrainingGroup
    from perfsuite.training_record import EpochRecord

CURVES: tuple[tuple[str, str, str, Callable[[EpochRecord], float | None]], ...] = (
    ("training loss", "cross-entropy", "loss", lambda epoch: epoch.train_loss),
    ("validation loss", "cross-entropy", "loss", lambda epoch: epoch.validation_loss),
    ("validation accuracy", "correct, %", "", lambda epoch: 100 * epoch.validation_accuracy),
    ("learning rate", "learning rate", "log", lambda epoch: epoch.learning_rate),
    ("loss scale", "loss scale", "power", lambda epoch: epoch.loss_scale),
)


FAR_APART = 20.0
"""Losses that differ by more are drawn on a logarithmic axis: the first epoch must not hide the others."""


MOST_DOTS = 12
MOST_STEPS = 4


def curves_chart(material: Material) -> Drawing | None:
    """Draw loss, accuracy, learning rate and loss scale of FP32 and AMP over each other, epoch by epoch."""
    families: dict[Family, list[FullTraining]] = {}
    groups = training_groups(material.results)
    for group in groups:
        families.setdefault(group.family, []).extend(group.members)
    if not families:
        return None
    family_name = family_words(groups)
    panels, schedules = [], set()
    for title, unit, scale, value in CURVES:
        for family, members in families.items():
            name = family_name(family, with_place=False)
            series = [(training, [value(epoch) for epoch in training.record.history]) for training in members]
            series = [(training, values) for training, values in series if any(number is not None for number in values)]
            if title == "learning rate":
                schedule = tuple(tuple(values) for _, values in series)
                if schedule in schedules:
                    continue  # the same for all networks: once is enough
                schedules.add(schedule)
            if series:
                everywhere = title == "learning rate" and len(families) > 1
                heading = title if everywhere else titled(f"{name}: {title}", family.place)
                panels.append(_curve_panel(heading, unit, scale, series))
    precisions = dict.fromkeys(training.record.workload.precision for training in material.results.trainings)
    seeds = len({training.record.seed for training in material.results.trainings})
    return Drawing(
        kind="curves",
        title="Full trainings, epoch by epoch",
        finding=_curves_finding(families, family_name),
        panels=tuple(panels),
        legend=tuple(
            Swatch(label=name, color=precision_color(name), look="line" if name == BASELINE else "dashed")
            for name in precisions
        ),
        notes=(f"n = {seeds} seed{'' if seeds == 1 else 's'}, a line each",),
    )


def _curves_finding(families: dict[Family, list[FullTraining]], family_name: Callable[[Family], str]) -> str:
    parts = []
    for family, members in families.items():
        ends = {
            training.record.workload.precision: f"{100 * training.record.history[-1].validation_accuracy:.1f}%"
            for training in members
            if training.record.history
        }
        parts.append(f"{family_name(family)} {enumerate_words([f'{value} in {name}' for name, value in ends.items()])}")
    return f"Validation accuracy after the last epoch: {'; '.join(parts)}."


def _curve_panel(title: str, unit: str, scale: str, series: Sequence[tuple[FullTraining, list[float | None]]]) -> Panel:
    def draw(axes: Axes, marks: Marks) -> None:
        from matplotlib.ticker import (
            FixedLocator,
            FuncFormatter,
            LogLocator,
            MaxNLocator,
            NullFormatter,
            StrMethodFormatter,
        )

        for training, values in series:
            precision = training.record.workload.precision
            epochs = [epoch.epoch for epoch in training.record.history]
            known = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None]
            color = precision_color(precision)
            style: Any = "-" if precision == BASELINE else (0, (3.2, 1.6))  # not by colour alone
            axes.plot(*zip(*known, strict=True), color=color, linewidth=1.7, linestyle=style, zorder=3)
            for epoch, value in known:
                seen = 1.0 if len(known) <= MOST_DOTS else 0.0  # many hide the line; they still say their number
                (mark,) = axes.plot([epoch], [value], "o", color=color, markersize=4, zorder=4, alpha=seen)
                seed = f" seed {training.record.seed}" if len({one.record.seed for one, _ in series}) > 1 else ""
                marks.add(mark, f"{name}, {precision}{seed}, epoch {epoch}: {value:.4g}")
        numbers = [value for _, values in series for value in values if value is not None]
        far = min(numbers) > 0 and max(numbers) > FAR_APART * min(numbers)
        if scale == "power":
            axes.set_yscale("log", base=2)
            axes.yaxis.set_major_locator(LogLocator(base=2, numticks=6))
        elif scale == "log" or (scale == "loss" and far):
            axes.set_yscale("log")
            few = sorted(set(numbers))
            locator = FixedLocator(few) if len(few) <= MOST_STEPS else LogLocator(subs=(1.0, 2.0, 5.0), numticks=8)
            axes.yaxis.set_major_locator(locator)
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        if scale == "power":
            axes.yaxis.set_major_formatter(FuncFormatter(_power_of_two))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.margins(x=0.04, y=0.12)
        axes.grid(visible=True, axis="y")
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)

    name = title.replace("\n", ", ")
    ends = [f"{training.record.workload.precision} {_last(values):.4g}" for training, values in series]
    return Panel(
        title=title,
        finding=f"{name}, after the last epoch: {enumerate_words(ends[:8])}",
        draw=draw,
        height=2.35 + _second_line(title),
        margins=(0.62, 0.14, 0.46, 0.36 + _second_line(title)),
    )


def _second_line(title: str) -> float:
    """Return how many inches the second line of a heading takes."""
    return 0.15 if "\n" in title else 0.0


def _power_of_two(value: float, _: object) -> str:
    """Return 65536 as 2 to the 16: loss scales are powers of two, and too long for an axis."""
    return "2" + f"{round(math.log2(value))}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _last(values: Sequence[float | None]) -> float:
    return next((value for value in reversed(values) if value is not None), float("nan"))


def _baselines_first(groups: Sequence[TrainingGroup]) -> list[TrainingGroup]:
    """Return a row of networks in FP32 and then the same networks with AMP, as in the thesis."""
    return sorted(groups, key=lambda group: group.precision != BASELINE)


def confusion_chart(material: Material) -> Drawing | None:
    """Draw the confusion matrices side by side, as the study's figure 5.1."""
    groups = _baselines_first(training_groups(material.results))
    if not groups:
        return None
    family_name = family_words(groups)
    panels, words = [], []
    for group in groups:
        family, total = group.family, confusion_of(group)
        name = f"{family_name(family)} {group.precision}"
        shares = 100 * total / np.maximum(total.sum(axis=1, keepdims=True), 1)
        correct = np.trace(total) / max(total.sum(), 1)
        words.append(f"{name} {correct:.1%}")
        finding = f"Confusion matrix of {name}: {correct:.2%} of {int(total.sum()):,} correct"
        short = f"{family_name(family, with_place=False)} {group.precision} (n = {int(total.sum()):,})"
        panels.append(_matrix_panel(titled(short, family.place), finding, total, shares, _sequential, "{:,d}"))
    return Drawing(
        kind="confusion",
        title="Confusion matrices: true class in the row, taken for the one in the column",
        finding=f"Correct test images: {enumerate_words(words)}.",
        panels=tuple(panels),
        notes=("numbers: test images; shade: share of the true class",),
    )


def differences_chart(material: Material) -> Drawing | None:
    """Draw AMP's confusion matrices less those of FP32."""
    groups = training_groups(material.results)
    family_name = family_words(groups)
    panels, words = [], []
    for group in groups:
        baseline = baseline_of(group, groups)
        if baseline is None:
            continue
        family, total, base = group.family, confusion_of(group), confusion_of(baseline)
        share, base_share = (100 * each / np.maximum(each.sum(axis=1, keepdims=True), 1) for each in (total, base))
        name = f"{family_name(family)}: {group.precision} minus {BASELINE}"
        alike = likeness(base, total)
        words.append(f"{family_name(family)} {group.precision} {alike:.2f}")
        largest = np.abs(share - base_share).max()
        finding = f"{name}: errors alike by {alike:.2f}, the largest difference {largest:.1f} points"
        short = f"{family_name(family, with_place=False)}: {group.precision} minus {BASELINE}"
        panels.append(
            _matrix_panel(
                titled(short, family.place), finding, share - base_share, share - base_share, _diverging, "{:+.0f}"
            )
        )
    if not panels:
        return None
    return Drawing(
        kind="differences",
        title="Confusion of AMP less that of FP32, in points of the true class",
        finding=f"How alike the errors are (1: the same pairs): {enumerate_words(words)}.",
        panels=tuple(panels),
        notes=("orange: AMP takes more images of the row for the column; purple: fewer",),
    )


def _sequential(share: float) -> str:
    """Return white to dark blue for 0 to 100%."""
    return mixed((247, 249, 252), (8, 48, 107), min(max(share / 100, 0.0), 1.0) ** 0.7)


def _diverging(points: float) -> str:
    """Return purple over white to orange for -20 to +20 points. Source: PuOr, ColorBrewer, Brewer (2003)."""
    share = min(abs(points) / 20, 1.0) ** 0.8
    return mixed((247, 247, 247), (179, 88, 6) if points > 0 else (84, 39, 136), share)


def _matrix_panel(
    title: str, finding: str, numbers: Any, shades: Any, color: Callable[[float], str], shown: str
) -> Panel:
    name = title.replace("\n", ", ")

    def draw(axes: Axes, marks: Marks) -> None:
        from matplotlib.patches import Rectangle

        size = len(CLASSES)
        for row in range(size):
            for column in range(size):
                fill = color(float(shades[row, column]))
                cell = Rectangle((column, row), 1, 1, facecolor=fill, edgecolor=PAPER, linewidth=0.5)
                axes.add_patch(cell)
                number = numbers[row, column]
                text = shown.format(number.item())
                marks.add(
                    cell, f"{name}: {CLASSES[row]} taken for {CLASSES[column]}: {text} ({shades[row, column]:.1f}%)"
                )
                if round(abs(float(number))) == 0:
                    continue
                dark = sum(int(fill[index : index + 2], 16) for index in (1, 3, 5)) < 390  # noqa: PLR2004
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    text,
                    ha="center",
                    va="center",
                    fontsize=6.4 if len(text) < 4 else 5.8,  # noqa: PLR2004 - four digits fill a cell
                    color="#fffffe" if dark else "#10151b",
                    clip_on=False,
                )
        axes.set_xlim(0, size)
        axes.set_ylim(size, 0)
        axes.set_xticks(np.arange(size) + 0.5, CLASSES, rotation=90, color=INK)
        axes.set_yticks(np.arange(size) + 0.5, CLASSES, color=INK)
        axes.tick_params(length=0, pad=3, labelcolor=MUTED)
        for spine in axes.spines.values():
            spine.set_visible(False)

    return Panel(
        title=title,
        finding=finding,
        draw=draw,
        height=3.82 + _second_line(title),
        margins=(0.82, 0.06, 0.76, 0.34 + _second_line(title)),
    )

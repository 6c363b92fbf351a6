"""Which classes full trainings confuse, and what AMP changed in that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.figures.panels import Drawing, Panel, fitted, second_line
from perfsuite.analysis.figures.style import FONT_POINTS, INK, MUTED, PAPER, mixed
from perfsuite.analysis.frames.confusion import confusion_of, likeness, with_shown_classes, within_noise
from perfsuite.analysis.frames.labels import enumerate_words, titled
from perfsuite.analysis.frames.training_groups import baseline_of, family_words, training_groups
from perfsuite.precisions import BASELINE
from perfsuite.records.workload import NUM_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Marks
    from perfsuite.analysis.frames.training_groups import TrainingGroup


MARGINS_INCHES = (1.09, 1.34)
CELLS_INCHES = (3.41, 2.7)
"""Width and height of what is around the cells of a matrix, and of the cells of ten classes: one holds four digits."""


def confusion_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the confusion matrices side by side, as the thesis's figure 5.1."""
    groups = _baselines_first(training_groups(figure_data.results))
    family_name = family_words(groups)
    panels, words, notes = [], [], []
    for group, classes in with_shown_classes(groups):
        notes += classes.in_words()
        family, total = group.family, classes.reduced(confusion_of(group))
        name = f"{family_name(family)} {group.precision}"
        shares = 100 * total / np.maximum(total.sum(axis=1, keepdims=True), 1)
        correct = np.trace(confusion_of(group)) / max(total.sum(), 1)
        words.append(f"{name} {correct:.1%}")
        finding = f"Confusion matrix of {name}: {correct:.2%} of {int(total.sum()):,} correct"
        short = f"{family_name(family, with_place=False)} {group.precision} (n = {int(total.sum()):,})"
        matrix = _Matrix(names=classes.names, numbers=total, shades=shares, color=_sequential, shown="{:,d}")
        panels.append(_matrix_panel(titled(short, family.place), finding, matrix))
    if not panels:
        return None
    return Drawing(
        kind="confusion",
        title="Confusion matrices: true class in the row, predicted class in the column",
        finding=f"Correct test images: {enumerate_words(words)}.",
        panels=tuple(panels),
        notes=("numbers: test images; shade: share of the true class", *dict.fromkeys(notes)),
    )


def differences_chart(figure_data: FigureData) -> Drawing | None:
    """Draw AMP's confusion matrices minus those of FP32."""
    groups = training_groups(figure_data.results)
    family_name = family_words(groups)
    panels, words, notes = [], [], []
    num_beyond = num_cells = 0
    for group, classes in with_shown_classes(groups):
        baseline = baseline_of(group, groups)
        if baseline is None:
            continue
        notes += classes.in_words()
        family = group.family
        total, base = (classes.reduced(confusion_of(one)) for one in (group, baseline))
        share, base_share = (100 * each / np.maximum(each.sum(axis=1, keepdims=True), 1) for each in (total, base))
        name = f"{family_name(family)}: {group.precision} minus {BASELINE}"
        alike = likeness(confusion_of(baseline), confusion_of(group))
        words.append(f"{family_name(family)} {group.precision} {alike:.2f}")
        largest = np.abs(share - base_share).max()
        finding = f"{name}: errors alike by {alike:.2f}, the largest difference {largest:.1f} points"
        short = f"{family_name(family, with_place=False)}: {group.precision} minus {BASELINE}"
        change, noise = share - base_share, within_noise(base, total)
        num_beyond += int((~noise).sum())
        num_cells += noise.size
        matrix = _Matrix(
            names=classes.names, numbers=change, shades=change, color=_diverging, shown="{:+.0f}", is_noise=noise
        )
        panels.append(_matrix_panel(titled(short, family.place), finding, matrix))
    if not panels:
        return None
    return Drawing(
        kind="differences",
        title="Confusion of AMP minus that of FP32, in points of the true class",
        finding=f"How alike the errors are (1: the same pairs): {enumerate_words(words)}.",
        panels=tuple(panels),
        notes=(
            "orange: AMP predicts more images of the row as the column; purple: fewer; grey: within binomial noise",
            f"beyond it: {num_beyond} of {num_cells} cells; about {round(num_cells / 20)} would be by chance alone",
            *dict.fromkeys(notes),
        ),
    )


def _sequential(share: float) -> str:
    """Return white to dark blue for 0 to 100%."""
    return mixed((247, 249, 252), (8, 48, 107), min(max(share / 100, 0.0), 1.0) ** 0.7)


def _diverging(points: float) -> str:
    """Return purple over white to orange for -20 to +20 points. Source: PuOr, ColorBrewer, Brewer (2003)."""
    share = min(abs(points) / 20, 1.0) ** 0.8
    return mixed((247, 247, 247), (179, 88, 6) if points > 0 else (84, 39, 136), share)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matrix:
    """What a matrix shows: a number and a shade a cell [K, K], and which of them are only noise."""

    names: tuple[str, ...]
    numbers: Any
    shades: Any
    color: Callable[[float], str]
    shown: str
    is_noise: Any = None


MAX_TICK_CHARACTERS = 12
"""Of the name of a class in the margin; the mark of a cell has all of it."""

NOISE = "#e4e6ea"
"""The shade of a difference that is within noise."""


def _matrix_panel(title: str, finding: str, matrix: _Matrix) -> Panel:
    name = title.replace("\n", ", ")
    scale = max(1.0, len(matrix.names) / NUM_CLASSES)
    ticks = [fitted(class_name, MAX_TICK_CHARACTERS) for class_name in matrix.names]

    def draw(axes: Axes, marks: Marks) -> None:
        from matplotlib.patches import Rectangle

        size = len(matrix.names)
        for row in range(size):
            for column in range(size):
                is_noise = matrix.is_noise is not None and bool(matrix.is_noise[row, column])
                fill = NOISE if is_noise else matrix.color(float(matrix.shades[row, column]))
                cell = Rectangle((column, row), 1, 1, facecolor=fill, edgecolor=PAPER, linewidth=0.5)
                axes.add_patch(cell)
                number = matrix.numbers[row, column]
                text = matrix.shown.format(number.item())
                noise = ", within noise" if is_noise else ""
                share = f"{matrix.shades[row, column]:.1f}%{noise}"
                marks.add(cell, f"{name}: {matrix.names[row]} predicted as {matrix.names[column]}: {text} ({share})")
                if round(abs(float(number))) == 0:
                    continue
                dark = sum(int(fill[index : index + 2], 16) for index in (1, 3, 5)) < 390  # noqa: PLR2004
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    text,
                    ha="center",
                    va="center",
                    fontsize=FONT_POINTS,
                    color="#fffffe" if dark else "#10151b",
                    clip_on=False,
                )
        axes.set_xlim(0, size)
        axes.set_ylim(size, 0)
        axes.set_xticks(np.arange(size) + 0.5, ticks, rotation=90, color=INK)
        axes.set_yticks(np.arange(size) + 0.5, ticks, color=INK)
        axes.tick_params(length=0, pad=3, labelcolor=MUTED)
        axes.set_xlabel("predicted class", labelpad=3)
        axes.set_ylabel("true class", labelpad=3)
        for spine in axes.spines.values():
            spine.set_visible(False)

    return Panel(
        title=title,
        finding=finding,
        draw=draw,
        height=MARGINS_INCHES[1] + scale * CELLS_INCHES[1] + second_line(title),
        margins=(1.03, 0.06, 1.0, 0.34 + second_line(title)),
        width=MARGINS_INCHES[0] + scale * CELLS_INCHES[0],
    )


def _baselines_first(groups: Sequence[TrainingGroup]) -> list[TrainingGroup]:
    """Return a row of networks in FP32 and then the same networks with AMP, as in the thesis."""
    return sorted(groups, key=lambda group: group.precision != BASELINE)

"""A study of hyperparameters as a figure: how the score responds to each, and to two of them together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from perfsuite.analysis.figures.panels import Drawing, Panel, Swatch, second_line
from perfsuite.analysis.figures.style import INK, MUTED, mixed, precision_color
from perfsuite.analysis.frames.tuning import chosen_for, last_error
from perfsuite.formatting import plural
from perfsuite.records.study import NAMES, chosen_trial, final_error, guessing_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.panels import Marks
    from perfsuite.records.study import Study, StudyTrial

RESPONSE_INCHES = 2.5
INTERACTION_INCHES = 2.7

BY_LOGARITHM = {"learning_rate", "weight_decay", "batch_size"}

INTERACTING = ("learning_rate", "batch_size", "momentum", "weight_decay")
"""In the order in which pairs are chosen: of what varies, the first two. The best learning rate grows with the batch.
Source: Goyal et al., Accurate, Large Minibatch SGD (2017), section 2.1."""

GOOD, BAD = (0, 64, 128), (222, 228, 235)
"""Ends of the scale of errors: red, green, blue; the darker the better."""

MARKERS = (("o", 4.0), ("s", 7.0), ("D", 9.0))
"""Of precisions, in their order, with their size: not by colour alone, and each is seen around the one before."""

PALE = 0.45
"""Opacity of what was pruned."""


def tuning_chart(study: Study) -> Drawing | None:
    """Draw a study: a panel for each hyperparameter that varies, and for each precision two of them together."""
    varied = [name for name in NAMES if len({getattr(trial.setting, name) for trial in study.trials}) > 1]
    if not varied:
        return None
    pair = [name for name in INTERACTING if name in varied][:2]
    panels = [_response_panel(study, name) for name in varied]
    if len(pair) > 1:
        panels += [_interaction_panel(study, precision, pair[0], pair[1]) for precision in study.precisions]
    return Drawing(
        kind="tuning",
        title=f"Hyperparameters of {study.model}, recipe {study.recipe.name}: {score_words(study)} of "
        f"{plural(len(study.trials), 'trial')}",
        finding=_finding(study),
        panels=tuple(panels),
        legend=_legend(study),
        notes=_notes(study),
    )


def score_words(study: Study) -> str:
    """Return what is drawn."""
    return "validation loss" if study.score == "loss" else "validation error, %"


def _scaled(study: Study, error: float) -> float:
    return error if study.score == "loss" else 100 * error


def _finding(study: Study) -> str:
    parts = []
    for precision in study.precisions:
        trial = chosen_trial(study, precision)
        if trial is not None:
            parts.append(f"{precision}: {trial.setting.label}")
    return f"Chosen for {'; '.join(parts)}." if parts else "No trial finished."


def _legend(study: Study) -> tuple[Swatch, ...]:
    looks: list[Literal["point", "outline", "diamond"]] = ["point", "outline", "diamond"]
    swatches = [
        Swatch(label=name, color=precision_color(name), look=looks[min(index, len(looks) - 1)])
        for index, name in enumerate(study.precisions)
    ]
    return (*swatches, Swatch(label="ringed: chosen", color=INK, look="process"))


def _notes(study: Study) -> tuple[str, ...]:
    notes = [f"n = {study.num_validation:,} validation images; one seed: differences are of one split and one start"]
    if any(trial.state == "pruned" for trial in study.trials):
        notes.append("pale, or small where two hyperparameters are shown: pruned, with its last epoch")
    if any(_is_off(study, point.error) for name in study.precisions for point in _points(study, name)):
        notes.append("triangles: no better than guessing, drawn there, or diverged")
    return tuple(notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A trial under one precision.

    Attributes:
        trial: Which.
        error: After its last epoch; None where it diverged.
        is_whole: Whether it finished.
        is_chosen: Whether it was chosen for the precision.
    """

    trial: StudyTrial
    error: float | None
    is_whole: bool
    is_chosen: bool


def _points(study: Study, precision: str) -> list[Point]:
    return [
        Point(
            trial=trial,
            error=last_error(study, trial, precision),
            is_whole=final_error(study, trial, precision) is not None,
            is_chosen=precision in chosen_for(study, trial),
        )
        for trial in study.trials
    ]


def _is_off(study: Study, error: float | None) -> bool:
    return error is None or error >= guessing_error(study)


def _ceiling(study: Study) -> float:
    """Return where the axis of errors ends: at what is no better than guessing, if there is any."""
    points = [point for name in study.precisions for point in _points(study, name)]
    if any(_is_off(study, point.error) for point in points):
        return guessing_error(study)
    return max(point.error for point in points if point.error is not None)


def _tip(study: Study, point: Point, precision: str) -> str:
    result = "diverged" if point.error is None else f"{score_words(study)} {_scaled(study, point.error):.4g}"
    state = "" if point.trial.state == "complete" else f" ({point.trial.state})"
    return f"trial {point.trial.number}, {precision}, {point.trial.setting.label}: {result}{state}"


def _response_panel(study: Study, name: str) -> Panel:
    title = name.replace("_", " ")
    ceiling = _ceiling(study)

    def draw(axes: Axes, marks: Marks) -> None:
        for index, precision in enumerate(study.precisions):
            for point in _points(study, precision):
                is_off = _is_off(study, point.error)
                value = ceiling if is_off or point.error is None else point.error
                color = precision_color(precision)
                shape, size = MARKERS[min(index, len(MARKERS) - 1)]
                (mark,) = axes.plot(
                    [getattr(point.trial.setting, name)],
                    [_scaled(study, value)],
                    "^" if is_off else shape,
                    color=color,
                    markerfacecolor="none" if index else color,
                    markersize=size,
                    markeredgewidth=1.0,
                    alpha=1.0 if point.is_whole else PALE,
                    clip_on=False,
                    zorder=3,
                )
                marks.add(mark, _tip(study, point, precision))
                if point.is_chosen:
                    _ring(axes, getattr(point.trial.setting, name), _scaled(study, value))
        _set_value_axis(axes, name, _values(study, name))
        axes.margins(x=0.06, y=0.1)
        axes.grid(visible=True, axis="y")
        axes.set_xlabel(f"{title}; n = {plural(len(study.trials), 'trial')}")
        axes.set_ylabel(score_words(study))

    return Panel(
        title=title,
        finding=f"{score_words(study)} by {title}; {_finding(study)}",
        draw=draw,
        height=RESPONSE_INCHES,
        margins=(0.62, 0.2, 0.5, 0.36),
    )


def _ring(axes: Axes, x: float, y: float) -> None:
    axes.plot([x], [y], "o", color=INK, markerfacecolor="none", markersize=12, markeredgewidth=1.1, zorder=4)


def _values(study: Study, name: str) -> list[float]:
    return sorted({getattr(trial.setting, name) for trial in study.trials})


MAX_TICKS = 5


def _set_value_axis(axes: Axes, name: str, values: Sequence[float], *, vertical: bool = False) -> None:
    """Set scale and ticks of a hyperparameter: its own values where they are few, else round ones."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

    axis: Any = axes.yaxis if vertical else axes.xaxis
    if name in BY_LOGARITHM and min(values) > 0:
        (axes.set_yscale if vertical else axes.set_xscale)("log")
    if len(values) <= MAX_TICKS:
        axis.set_major_locator(FixedLocator(list(values)))
    elif name in BY_LOGARITHM and min(values) > 0:
        axis.set_major_locator(FixedLocator(_round_values(values)))
    else:
        axis.set_major_locator(MaxNLocator(MAX_TICKS))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _round_values(values: Sequence[float]) -> list[float]:
    """Return 1, 2, 5, 10 ... between the values, by tens where they reach far."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    for steps in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        found = [step * 10.0**power for power in range(low, high + 1) for step in steps]
        found = [value for value in found if min(values) / 1.1 <= value <= max(values) * 1.1]
        if len(found) <= MAX_TICKS:
            return found
    return found


def _interaction_panel(study: Study, precision: str, first: str, second: str) -> Panel:
    names = [name.replace("_", " ") for name in (first, second)]
    several = len(study.precisions) > 1
    title = f"{names[0]} and {names[1]}{f', {precision}' if several else ''}\nthe darker the better"
    points = _points(study, precision)
    errors = [point.error for point in points if not _is_off(study, point.error) and point.error is not None]
    best, worst = (min(errors), max(errors)) if errors else (0.0, 1.0)

    def draw(axes: Axes, marks: Marks) -> None:
        for point in points:
            share = 1.0
            if not _is_off(study, point.error) and point.error is not None and worst > best:
                share = (point.error - best) / (worst - best)
            x, y = getattr(point.trial.setting, first), getattr(point.trial.setting, second)
            shape = "^" if _is_off(study, point.error) else "o"
            (mark,) = axes.plot(
                [x],
                [y],
                shape,
                color=MUTED,
                markerfacecolor=mixed(GOOD, BAD, share),
                markersize=7 if point.is_whole else 5,
                markeredgewidth=0.6,
                clip_on=False,
                zorder=3,
            )
            marks.add(mark, _tip(study, point, precision))
            if point.is_chosen:
                axes.plot(
                    [x], [y], "o", color=INK, markerfacecolor="none", markersize=12, markeredgewidth=1.1, zorder=4
                )
        _set_value_axis(axes, first, _values(study, first))
        _set_value_axis(axes, second, _values(study, second), vertical=True)
        axes.margins(x=0.08, y=0.18)
        axes.grid(visible=True)
        scale = f"{_scaled(study, best):.3g} to {_scaled(study, worst):.3g}"
        axes.set_xlabel(f"{names[0]}; {score_words(study)} {scale}")
        axes.set_ylabel(names[1])

    return Panel(
        title=title,
        finding=f"{score_words(study)} in {precision} by {names[0]} and {names[1]}",
        draw=draw,
        height=INTERACTION_INCHES + second_line(title),
        margins=(0.62, 0.2, 0.5, 0.36 + second_line(title)),
    )

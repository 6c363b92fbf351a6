"""Full trainings at a glance: the test accuracy of each network and precision with its interval, and the target."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.figures.axis import Axis, spread_limits
from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.row_marks import Bar, Point
from perfsuite.analysis.figures.row_panel import Row, drawn_panels, rows_panels
from perfsuite.analysis.figures.style import GRID, INK, precision_color
from perfsuite.analysis.frames.labels import span, titled
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.frames.training_groups import family_words, training_groups
from perfsuite.analysis.frames.training_words import (
    TOLERANCE_POINTS,
    accuracies_in_words,
    accuracy_line,
    accuracy_percent,
)
from perfsuite.analysis.frames.trainings import accuracy_frame
from perfsuite.formatting import counted
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Panel
    from perfsuite.analysis.frames.training_groups import TrainingGroup

    _Member = tuple[TrainingGroup, dict[str, Any]]
    """A group of seeds, and its row of `accuracy_frame`."""

MIN_POINTS = 2.0
"""An axis reaches at least as far to both sides of the middle, so that small differences look small."""


def accuracy_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the test accuracy of all groups of seeds with its interval, a panel for each recipe and place."""
    groups = training_groups(figure_data.results)
    if not groups:
        return None
    rows = rows_of(accuracy_frame(figure_data.results))
    panels: dict[tuple[str, str], list[_Member]] = {}
    for group, row in zip(groups, rows, strict=True):
        panels.setdefault((group.recipe, group.family.place), []).append((group, row))
    several = len({recipe for recipe, _ in panels}) > 1
    built: list[Panel] = []
    for (recipe, place), members in panels.items():
        built += _panels(titled(f"test accuracy, {recipe}" if several else "test accuracy", place), members)
    drawn, not_drawn = drawn_panels(built)
    legend = [
        Swatch(label=f"{name}, 95% interval", color=precision_color(name), look="point")
        for name in dict.fromkeys(group.precision for group in groups)
    ]
    targets = [row for row in rows if is_known(row["target_accuracy"])]
    if targets:
        checked = any(row["target_outcome"] != "not checked" for row in targets)
        legend.append(Swatch(label="target" if checked else "target (not checked)", color=INK, look="tick"))
        legend.append(Swatch(label=f"tolerance of {TOLERANCE_POINTS}", color=GRID))
    return Drawing(
        kind="accuracy",
        title="Test accuracy of full trainings, with 95% intervals",
        finding=f"{accuracies_in_words(rows)}.",
        panels=drawn,
        legend=tuple(legend),
        notes=(
            "interval: of the mean over seeds, from the finite number of test images and the variance of seeds",
            *not_drawn,
        ),
    )


def _panels(title: str, members: Sequence[_Member]) -> tuple[Panel, ...]:
    words = family_words([group for group, _ in members])
    families = list(dict.fromkeys(group.family for group, _ in members))
    ordered = sorted(members, key=lambda one: (families.index(one[0].family), one[0].precision != BASELINE))
    rows = [_row(f"{words(group.family, with_place=False)} {group.precision}", row) for group, row in ordered]
    values: list[float] = []
    for row in rows:
        for point in row.points:
            values += [value for value in (point.value, point.low, point.high) if value is not None]
    for row in rows:
        values += [bar.start for bar in row.bars]
    low, high = spread_limits(values, statistics.median(values), MIN_POINTS)
    seeds = span([row["num_seeds"] for _, row in members])
    images = span([row["num_test_images"] for _, row in members])
    axis = Axis(
        label=f"test accuracy, %; n = {counted(seeds, 'seed')}, {images} test images",
        limits=(max(low, 0.0), min(high, 100.0)),
    )
    return rows_panels(title, "Test accuracy", rows, axis)


def _row(label: str, row: Mapping[Any, Any]) -> Row:
    tip = f"{label}: {accuracy_line(row, with_name=False)}"
    low, middle, high = (100 * row[f"test_accuracy{end}"] for end in ("_low", "", "_high"))
    point = Point(value=middle, low=low, high=high, color=precision_color(row["precision"]), tip=tip)
    if not is_known(row["target_accuracy"]):
        return Row(label=label, value=accuracy_percent(row), points=(point,))
    target, tolerance = 100 * row["target_accuracy"], 100 * row["target_tolerance"]
    return Row(
        label=label,
        value=accuracy_percent(row),
        bars=(Bar(start=target - tolerance, width=tolerance, color=GRID, tip=tip),),
        points=(point, Point(value=target, color=INK, tip=tip, look="tick")),
    )

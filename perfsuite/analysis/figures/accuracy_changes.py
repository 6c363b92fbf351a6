"""Baseline and candidate: changes of test accuracy as a forest plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.figures.axis import Axis, spread_limits
from perfsuite.analysis.figures.legend import sample_swatches, verdict_swatches
from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.ratio_marks import drawn_values
from perfsuite.analysis.figures.row_marks import Point
from perfsuite.analysis.figures.row_panel import Row, drawn_panels, rows_panels
from perfsuite.analysis.figures.style import INK, MUTED, VERDICT_COLORS
from perfsuite.analysis.frames.labels import span
from perfsuite.analysis.frames.training_words import points
from perfsuite.analysis.verdicts.ranking import ranked_trainings
from perfsuite.analysis.verdicts.verdict_words import SYMBOLS, counts_in_words
from perfsuite.formatting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.statistics.accuracy import AccuracyChange
    from perfsuite.analysis.verdicts.training_verdicts import TrainingVerdict


def accuracy_changes_chart(figure_data: FigureData) -> Drawing | None:
    """Draw candidate minus baseline in points with 95% intervals, and each seed as a dot; the worst verdicts first."""
    if figure_data.comparison is None:
        return None
    found = figure_data.comparison.trainings
    known = [one for one in ranked_trainings(found) if one.accuracy.change is not None]
    if not known:
        return None
    margin = 100 * found.margin
    rows = [_row(one) for one in known]
    limits = spread_limits([-margin, *drawn_values(rows)], 0.0, 1.2 * margin)
    axis = Axis(
        label=f"points of accuracy, % (below 0: worse); n = {_seeds_words(known)} a side",
        limits=limits,
        reference=0.0,
        dashed=-margin,
    )
    title, what = "test accuracy: candidate - baseline", "Changes of test accuracy"
    drawn, not_drawn = drawn_panels(rows_panels(title, what, rows, axis))
    forest, _ = drawn_panels(rows_panels(title, what, rows, axis, in_columns=True))
    counts = counts_in_words(one.accuracy.verdict for one in known)
    return Drawing(
        kind="accuracy-changes",
        title="Verdicts: change of test accuracy, with 95% intervals",
        finding=f"{counts[:1].upper()}{counts[1:]}.",
        panels=drawn,
        legend=(
            *verdict_swatches(one.accuracy.verdict for one in known),
            *_seed_legend([one.accuracy.details for one in known if one.accuracy.details is not None]),
            Swatch(label=f"margin: {points(found.margin)} lower", color=INK, look="dashed"),
        ),
        notes=(
            "unchanged: the interval excludes a loss of the margin or more (non-inferiority, Holm over all cells)",
            *not_drawn,
        ),
        forest=forest,
    )


def _seeds_words(known: Sequence[TrainingVerdict]) -> str:
    """Return how many seeds a side has: `3 to 5 seeds`."""
    nums: list[int] = []
    for one in known:
        nums += [len(one.cell.seeds(candidate=False)), len(one.cell.seeds(candidate=True))]
    return counted(span(nums), "seed")


def _seed_legend(changes: Sequence[AccuracyChange]) -> list[Swatch]:
    dotted = [one for one in changes if _has_several_seeds(one)]
    legend = []
    if any(one.is_paired for one in dotted):
        legend.append(Swatch(label="a pair of one seed", color=INK, look="process"))
    if not all(one.is_paired for one in dotted):
        legend += sample_swatches("a seed")
    return legend


def _has_several_seeds(change: AccuracyChange) -> bool:
    return max(change.num_baseline, change.num_candidate) > 1


def _row(one: TrainingVerdict) -> Row:
    accuracy = one.accuracy
    change, low, high = (
        None if value is None else 100 * value for value in (accuracy.change, accuracy.change_low, accuracy.change_high)
    )
    assert change is not None  # noqa: S101 - for the type checker: chosen so above
    value = (
        f"{change:+.2f} [no interval]" if low is None or high is None else f"{change:+.2f} [{low:+.2f}, {high:+.2f}]"
    )
    tip = f"{one.cell.label}: accuracy {accuracy.verdict}, {value} points; {accuracy.reason}"
    return Row(
        label=f"{SYMBOLS[accuracy.verdict]} {one.cell.label}",
        value=value,
        points=(
            Point(value=change, low=low, high=high, color=VERDICT_COLORS[accuracy.verdict], tip=tip),
            *_seed_points(one.cell.label, accuracy.details),
        ),
    )


def _seed_points(label: str, change: AccuracyChange | None) -> list[Point]:
    """Return a dot for each pair of seeds; where they are not paired, for each seed, against the baseline's mean."""
    if change is None or not _has_several_seeds(change):
        return []
    baseline, candidate = (100 * np.array(accuracies) for accuracies in change.accuracies)
    if change.is_paired:
        dots = [("a pair of one seed", INK, candidate - baseline)]
    else:
        mean = baseline.mean()
        dots = [
            ("a seed of the candidate, against the baseline's mean", INK, candidate - mean),
            ("a seed of the baseline, against its mean", MUTED, baseline - mean),
        ]
    return [
        Point(value=value, color=color, tip=f"{label}: {what}, {value:+.2f} points", look="process")
        for what, color, values in dots
        for value in values.tolist()
    ]

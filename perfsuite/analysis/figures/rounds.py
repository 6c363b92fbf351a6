"""How rounds are spread around the median of their process."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.figures.axis import Axis, spread_limits
from perfsuite.analysis.figures.legend import precision_swatches
from perfsuite.analysis.figures.panels import Drawing
from perfsuite.analysis.figures.row_labels import group_and_label
from perfsuite.analysis.figures.row_marks import Bar, Point, Shape
from perfsuite.analysis.figures.row_panel import Row, drawn_panels, rows_panels
from perfsuite.analysis.figures.style import INK, precision_color
from perfsuite.analysis.frames.cells import by_phase, n_words
from perfsuite.analysis.frames.labels import PHASE_TITLES
from perfsuite.formatting import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Panel
    from perfsuite.analysis.frames.cells import Cell
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Times

NUM_BINS = 16
"""Of the outline of a spread."""

MIN_FOR_OUTLINE = 40
"""With fewer rounds than this a box stands for it: an outline would show their chance."""

MIN_FOR_QUARTILES = 4
"""A cell with a run of fewer rounds is not drawn."""

MAX_PERCENT = 30.0
"""Where an axis ends: beyond it stand an arrow and the number, so that one cell does not hide the others."""


def rounds_chart(figure_data: FigureData) -> Drawing | None:
    """Draw how the rounds of every cell are spread around their median."""
    phases: dict[str, list[tuple[Cell, Row]]] = {}
    for phase, cells in by_phase(figure_data.cells).items():
        for cell in cells:
            runs = _runs_of(cell, figure_data.results)
            if runs:
                phases.setdefault(phase, []).append((cell, _spread_row(cell, runs)))
    if not phases:
        return None
    all_rows = [row for members in phases.values() for _, row in members]
    precisions = [cell.workload["precision"] for members in phases.values() for cell, _ in members]
    limits = _spread_limits(all_rows)
    widest = max(all_rows, key=lambda row: row.points[0].high or 0)
    panels: list[Panel] = []
    for phase, members in phases.items():
        n = n_words([cell for cell, _ in members])
        axis = Axis(label=f"time of a round against the median, %; {n}", limits=limits, reference=0.0)
        panels += rows_panels(PHASE_TITLES.get(phase, phase), "Spread of rounds", [row for _, row in members], axis)
    drawn, not_drawn = drawn_panels(panels)
    return Drawing(
        kind="rounds",
        title="How rounds are spread around the median of their process",
        finding=f"The widest upper tail: {widest.name}, {widest.value} of its median.",
        panels=drawn,
        legend=tuple(precision_swatches(precisions)),
        notes=(
            "outline: how the rounds are spread (for few of them a box: the middle half)",
            "line: nine of ten; dot: the median",
            *_beyond(all_rows),
            *not_drawn,
        ),
    )


def _runs_of(cell: Cell, results: Results) -> list[Times]:
    """Return the rounds of each process of a cell; none where any has too few of them."""
    runs = [results.times_s[row] for row in cell.rows]
    known = [times for times in runs if times is not None and len(times) >= MIN_FOR_QUARTILES]
    return known if len(known) == len(runs) else []


def _spread_row(cell: Cell, runs: Sequence[Times]) -> Row:
    """Return the row of a cell: its rounds in percent of the median of their run."""
    percents = np.concatenate([100 * (times / np.median(times) - 1) for times in runs])
    low, q1, q3, high = np.percentile(percents, [5, 25, 75, 95])
    counts, edges = np.histogram(percents, bins=NUM_BINS, range=tuple(np.percentile(percents, [1, 99])))
    precision = cell.workload["precision"]
    color = precision_color(precision)
    group, label = group_and_label(cell.label, cell.place, precision)
    name = f"{group} {label}".strip()
    tip = (
        f"{name}: half of {len(percents)} rounds within {q1:+.2f} to {q3:+.2f}% of the median "
        f"({duration(cell.time_s or 0)}), nine of ten within {low:+.2f} to {high:+.2f}%"
    )
    row = Row(
        group=group,
        label=label,
        value=f"90% in [{low:+.1f}, {high:+.1f}]%",
        points=(Point(value=0.0, color=INK, tip=tip, low=low, high=high),),
    )
    if len(percents) >= MIN_FOR_OUTLINE and counts.max() > 0:
        shape = Shape(edges=tuple(edges), shares=tuple(counts / counts.max()), color=color, tip=tip)
        return dataclasses.replace(row, shape=shape)
    box = Bar(start=q1, width=q3 - q1, color=color, tip=tip)
    return dataclasses.replace(row, bars=(box,))


def _spread_limits(rows: Sequence[Row]) -> tuple[float, float]:
    ends = []
    for row in rows:
        for point in row.points:
            ends += [end for end in (point.low, point.high) if end is not None]
    return spread_limits([min(max(end, -MAX_PERCENT), MAX_PERCENT) for end in ends], 0.0, 1.0)


def _beyond(rows: Sequence[Row]) -> list[str]:
    """Return the note on spreads that reach beyond the axis, where there are any."""
    far = [row for row in rows for point in row.points if (point.high or 0) > MAX_PERCENT]
    return [f"arrow: beyond {MAX_PERCENT:g}%, as its number says"] if far else []

"""How rounds are spread, and the medians of benchmarks that are not the suite's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

import numpy as np

from perfsuite.analysis.figures.panels import Drawing, Panel, Swatch
from perfsuite.analysis.figures.row_panel import (
    MAX_ROWS,
    Bar,
    Point,
    Row,
    Shape,
    rows_panel,
    spread_limits,
    upper_limit,
)
from perfsuite.analysis.figures.style import FP32, INK, precision_color
from perfsuite.analysis.frames.cells import by_place_and_phase, n_words
from perfsuite.analysis.frames.labels import name_column, panel_title, place_words, span, titled
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.statistics.intervals import geometric_mean
from perfsuite.formatting import counted, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.frames.cells import Cell
    from perfsuite.analysis.statistics.intervals import Times

NUM_BINS = 16
"""Of the outline of a spread."""

MIN_FOR_OUTLINE = 40
"""With fewer rounds than this a box stands for it: an outline would show their chance."""

MIN_FOR_QUARTILES = 4
"""A cell with a run of fewer rounds is not drawn."""

MAX_PERCENT = 30.0
"""Where an axis ends: beyond it a cell is told in words, so that it does not hide the others."""

MAX_PLACES = 6
"""Panels of medians; more are not read in a figure."""

FAR_APART = 30.0
"""Times that differ by more stand on a logarithmic axis."""


def rounds_chart(figure_data: FigureData) -> Drawing | None:
    """Draw how the rounds of every cell are spread around their median."""
    times_s = figure_data.results.times_s
    groups = []
    all_rows: list[Row] = []
    all_cells: list[Cell] = []
    for (where, phase), cells in by_place_and_phase(figure_data.cells).items():
        rows = []
        for cell in cells:
            runs = [times_s[row] for row in cell.rows]
            known = [times for times in runs if times is not None and len(times) >= MIN_FOR_QUARTILES]
            if len(known) == len(runs):
                rows.append(_spread_row(cell, known))
        if rows:
            groups.append((where, phase, rows, cells))
            all_rows += rows
            all_cells += cells
    if not groups:
        return None
    limits = _spread_limits(all_rows)
    widest = max(all_rows, key=lambda row: row.points[0].high or 0)
    precisions = dict.fromkeys(cell.workload["precision"] for cell in all_cells)
    return Drawing(
        kind="rounds",
        title="How rounds are spread around the median of their process",
        finding=f"The widest upper tail: {widest.label}, {widest.value} of its median.",
        panels=tuple(_rounds_panel(where, phase, rows, cells, limits) for where, phase, rows, cells in groups),
        legend=tuple(Swatch(label=name, color=precision_color(name)) for name in precisions),
        notes=(
            "outline: how the rounds are spread (for few of them a box: the middle half)",
            "line: nine of ten; dot: the median",
        ),
    )


def _spread_row(cell: Cell, runs: Sequence[Times]) -> Row:
    """Return the row of a cell: its rounds in percent of the median of their run."""
    percents = np.concatenate([100 * (times / np.median(times) - 1) for times in runs])
    low, q1, q3, high = np.percentile(percents, [5, 25, 75, 95])
    counts, edges = np.histogram(percents, bins=NUM_BINS, range=tuple(np.percentile(percents, [1, 99])))
    precision = cell.workload["precision"]
    color = precision_color(precision)
    name = f"{cell.label} {precision}"
    tip = (
        f"{name}: half of {len(percents)} rounds within {q1:+.2f} to {q3:+.2f}% of the median "
        f"({duration(cell.time_s or 0)}), nine of ten within {low:+.2f} to {high:+.2f}%"
    )
    row = Row(
        label=name,
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


def _rounds_panel(where: str, phase: str, rows: list[Row], cells: list[Cell], limits: tuple[float, float]) -> Panel:
    return rows_panel(
        panel_title(where, phase),
        "Spread of rounds",
        rows,
        axis=f"time of a round against the median, %; {n_words(cells)}",
        limits=limits,
        reference=0.0,
    )


def plain_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the medians of benchmarks that are not the suite's, the slowest first, a panel per place."""
    frame = figure_data.results.benchmarks
    if frame.empty or "time_median_s" not in frame:
        return None
    foreign = frame[frame["model"].isna() & (frame["time_median_s"] > 0)]
    if foreign.empty:
        return None
    place = place_words(foreign)
    foreign = foreign.assign(place=[place(row) for row in rows_of(foreign)])
    places = list(dict.fromkeys(foreign["place"]))
    slowest = foreign.groupby("fullname", sort=False)["time_median_s"].agg(geometric_mean)
    chosen = slowest.sort_values(ascending=False, kind="stable").head(MAX_ROWS)
    labels = dict(zip(foreign["fullname"], foreign[name_column(foreign)], strict=True))
    drawn = foreign[foreign["fullname"].isin(chosen.index) & foreign["place"].isin(places[:MAX_PLACES])]
    numbers = drawn["time_median_s"].tolist()
    far = max(numbers) > FAR_APART * min(numbers)
    limits = (min(numbers) / 1.5, max(numbers) * 1.5) if far else (0.0, upper_limit(numbers))
    scale: Literal["time", "log time"] = "log time" if far else "time"
    quantity = "median time of an iteration (logarithmic)" if far else "median time of an iteration"
    panels, findings = [], []
    for where in places[:MAX_PLACES]:
        runs = drawn[drawn["place"] == where]
        rows = [_median_row(str(labels[name]), runs[runs["fullname"] == name]) for name in chosen.index]
        num_runs = span([int(count) for count in runs["fullname"].value_counts()])
        axis = f"{quantity}; n = {counted(num_runs, 'run')} of each"
        panels.append(rows_panel(titled("benchmarks", where), "Medians", rows, axis=axis, limits=limits, scale=scale))
        slow = max((row for row in rows if row.points), key=lambda row: row.points[0].value)
        on = f" ({where})" if where else ""
        findings.append(f"The slowest: {slow.label}, {slow.value}{on}.")
    title = "Median times"
    if len(slowest) > len(chosen):
        title += f", the slowest {len(chosen)} of {len(slowest)}"
    notes = []
    if drawn.groupby(["place", "fullname"]).size().max() > 1:
        notes.append("line: from the fastest run to the slowest")
    num_left_out = len(places) - MAX_PLACES
    if num_left_out > 0:
        notes.append(f"{num_left_out} more places are not drawn; the table has them all")
    return Drawing(kind="plain", title=title, finding=findings[0], panels=tuple(panels), notes=tuple(notes))


def _median_row(name: str, runs: pd.DataFrame) -> Row:
    """Return the row of a benchmark by all its runs in one place; rows of one benchmark are level in all panels."""
    if runs.empty:
        return Row(label=name, value="n/a")
    median = geometric_mean(runs["time_median_s"])
    point = Point(value=median, color=FP32, tip=f"{name}: median {duration(median)}")
    if len(runs) > 1:
        low, high = float(runs["time_median_s"].min()), float(runs["time_median_s"].max())
        tip = f"{point.tip}, {duration(low)} to {duration(high)} in {len(runs)} runs"
        point = dataclasses.replace(point, tip=tip, low=low, high=high)
    return Row(label=name, value=duration(median), points=(point,))

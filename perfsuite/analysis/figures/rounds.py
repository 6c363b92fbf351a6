"""How rounds are spread, and the medians of benchmarks that are not the suite's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.figures.drawing import Drawing, Panel, Swatch
from perfsuite.analysis.figures.material import (
    by_place_and_phase,
    n_words,
    panel_title,
    span,
)
from perfsuite.analysis.figures.rows import MOST_ROWS, Bar, Point, Row, Shape, rows_panel, spread_limits, upper_limit
from perfsuite.analysis.figures.style import FP32, INK, precision_color
from perfsuite.analysis.speedup import geometric_mean
from perfsuite.metrics import duration

if TYPE_CHECKING:
    from perfsuite.analysis.figures.material import Cell, Material

NUM_BINS = 16
"""Of the outline of a spread."""

LEAST_FOR_OUTLINE = 40
"""With fewer rounds than this a box stands for it: an outline would show their chance."""

MOST_PERCENT = 30.0
"""Where an axis ends: beyond it a cell is told in words, so that it does not hide the others."""

FAR_APART = 30.0
"""Times that differ by more stand on a logarithmic axis."""


def rounds_chart(material: Material) -> Drawing | None:
    """Draw how the rounds of every cell are spread around their median."""
    results = material.results
    panels = []
    for (where, phase), cells in by_place_and_phase(material.cells).items():
        rows, numbers = [], [0.0]
        for cell in cells:
            times = [results.times_s[row] for row in cell.rows]
            if any(each is None or len(each) < 4 for each in times):  # noqa: PLR2004 - quartiles need four
                continue
            around = np.concatenate([100 * (each / np.median(each) - 1) for each in times if each is not None])
            low, q1, q3, high = np.percentile(around, [5, 25, 75, 95])
            numbers += [low, high]
            color = precision_color(cell.workload["precision"])
            name = f"{cell.label} {cell.workload['precision']}"
            tip = (
                f"{name}: half of {len(around)} rounds within {q1:+.2f} to {q3:+.2f}% of the median "
                f"({duration(cell.time_s or 0)}), nine of ten within {low:+.2f} to {high:+.2f}%"
            )
            counts, edges = np.histogram(around, bins=NUM_BINS, range=tuple(np.percentile(around, [1, 99])))
            several = len(around) >= LEAST_FOR_OUTLINE and counts.max() > 0
            rows.append(
                Row(
                    label=name,
                    value=f"90% in [{low:+.1f}, {high:+.1f}]%",
                    bars=() if several else (Bar(start=q1, width=q3 - q1, color=color, tip=tip),),
                    points=(Point(value=0.0, color=INK, tip=tip, low=low, high=high),),
                    shape=Shape(edges=tuple(edges), shares=tuple(counts / counts.max()), color=color, tip=tip)
                    if several
                    else None,
                )
            )
        if rows:
            panels.append((where, phase, rows, numbers, cells))
    if not panels:
        return None
    numbers = [min(max(number, -MOST_PERCENT), MOST_PERCENT) for panel in panels for number in panel[3]]
    limits = spread_limits(numbers, 0.0, 1.0)
    widest = max((row for panel in panels for row in panel[2]), key=lambda row: row.points[0].high or 0)
    return Drawing(
        kind="rounds",
        title="How rounds are spread around the median of their process",
        finding=f"The widest upper tail: {widest.label}, {widest.value} of its median.",
        panels=tuple(_rounds_panel(where, phase, rows, cells, limits) for where, phase, rows, _, cells in panels),
        legend=tuple(
            Swatch(label=name, color=precision_color(name))
            for name in dict.fromkeys(cell.workload["precision"] for panel in panels for cell in panel[4])
        ),
        notes=(
            "outline: how the rounds are spread (for few of them a box: the middle half)",
            "line: nine of ten; dot: the median",
        ),
    )


def _rounds_panel(where: str, phase: str, rows: list[Row], cells: list[Cell], limits: tuple[float, float]) -> Panel:
    return rows_panel(
        panel_title(where, phase),
        "Spread of rounds",
        rows,
        axis=f"time of a round against the median, %; {n_words(cells)}",
        limits=limits,
        reference=0.0,
    )


def plain_chart(material: Material) -> Drawing | None:
    """Draw the medians of benchmarks that are not the suite's, the slowest first."""
    frame = material.results.benchmarks
    if frame.empty or "time_median_s" not in frame:
        return None
    foreign = frame[frame["model"].isna() & (frame["time_median_s"] > 0)]
    if foreign.empty:
        return None
    medians = foreign.groupby("fullname", sort=False)["time_median_s"].agg(geometric_mean)
    chosen = medians.sort_values(ascending=False, kind="stable").head(MOST_ROWS)
    rows, numbers = [], []
    for name, median in chosen.items():
        runs = foreign[foreign["fullname"] == name]
        least, most = float(runs["time_median_s"].min()), float(runs["time_median_s"].max())
        numbers += [least, most]
        beyond = f", {duration(least)} to {duration(most)} in {len(runs)} runs" if len(runs) > 1 else ""
        point = Point(value=float(median), color=FP32, tip=f"{name}: median {duration(float(median))}{beyond}")
        rows.append(
            Row(
                label=str(name),
                value=duration(float(median)),
                points=(dataclasses.replace(point, low=least, high=most) if len(runs) > 1 else point,),
            )
        )
    far = max(numbers) > FAR_APART * min(numbers)
    runs_words = span([int(count) for count in foreign["fullname"].value_counts()])
    each = "run" if runs_words == "1" else "runs"
    return Drawing(
        kind="plain",
        title=f"Median times, the slowest {len(rows)} of {len(medians)}"
        if len(medians) > len(rows)
        else "Median times",
        finding=f"The slowest: {rows[0].label}, {rows[0].value}.",
        panels=(
            rows_panel(
                "benchmarks",
                "Medians",
                rows,
                axis=f"median time of a pass{' (logarithmic)' if far else ''}; n = {runs_words} {each} of each",
                limits=(min(numbers) / 1.5, max(numbers) * 1.5) if far else (0, upper_limit(numbers)),
                scale="log time" if far else "time",
            ),
        ),
        notes=("line: from the fastest run to the slowest",) if len(foreign) > len(medians) else (),
    )

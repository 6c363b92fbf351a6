"""Machines or versions side by side: the time in each against the first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.panels import Drawing
from perfsuite.analysis.figures.ratio_marks import bracket_legend, bracket_words, processes_of, ratio_point
from perfsuite.analysis.figures.row_panel import MAX_ROWS, Row, rows_panel, spread_limits
from perfsuite.analysis.figures.style import FP32
from perfsuite.analysis.frames.ratio_text import ratio_of_row, ratio_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.statistics.intervals import Ratio

FARTHEST = 4.0
"""Ratios beyond this (and below its inverse) are drawn at the edge: one outlier must not hide the others."""


def across_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the time in every other environment against the first, a panel each."""
    found = figure_data.across
    if found is None:
        return None
    panels: list[tuple[str, list[Row]]] = []
    ratios: list[Ratio] = []
    for environment in found.environments[1:]:
        known = [
            (entry, ratio)
            for entry in found.changes
            if entry["environment"] == environment and (ratio := ratio_of_row(entry, "ratio")) is not None
        ]
        largest = sorted(known, key=lambda pair: -abs(math.log(pair[1].ratio)))[:MAX_ROWS]
        shown = {id(entry) for entry, _ in largest}
        rows = [_row(entry, ratio) for entry, ratio in known if id(entry) in shown]
        ratios += [ratio for _, ratio in known]
        if rows:
            panels.append((environment, rows))
    if not panels:
        return None
    values = [v for _, rows in panels for row in rows for p in row.points for v in (p.value, p.low, p.high) if v]
    limits = spread_limits([min(max(value, 1 / FARTHEST), FARTHEST) for value in values], 1.0, 0.1)
    words = [_range_words(environment, rows) for environment, rows in panels]
    return Drawing(
        kind="across",
        title=f"Time against {found.baseline}{bracket_words(ratios)}",
        finding=f"Against {found.baseline}, time is {'; '.join(words)}.",
        panels=tuple(
            rows_panel(
                environment,
                f"{environment} against {found.baseline}",
                rows,
                axis=f"time / time on the first, x (below 1: faster); {processes_of(ratios)}",
                limits=limits,
                reference=1.0,
            )
            for environment, rows in panels
        ),
        legend=bracket_legend(ratios, FP32),
        notes=("no verdicts: the sides differ in machine or version on purpose",),
    )


def _row(entry: Mapping[str, Any], ratio: Ratio) -> Row:
    label = str(entry["label"]).replace("train_step", "step").rsplit("::", 1)[-1]
    tip = f"{entry['label']} on {entry['environment']}: {ratio_text(ratio, decimals=3)} of the time"
    return Row(
        label=label,
        value=ratio_text(ratio, decimals=3, brief=True),
        points=(ratio_point(ratio, color=FP32, tip=tip, look="dot"),),
    )


def _range_words(environment: str, rows: list[Row]) -> str:
    ends = sorted(rows, key=lambda row: row.points[0].value)
    return f"{ends[0].value} ({ends[0].label}) to {ends[-1].value} ({ends[-1].label}) on {environment}"

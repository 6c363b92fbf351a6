"""Machines or versions side by side: the time in each against the first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.panels import Drawing
from perfsuite.analysis.figures.ratio_marks import (
    bracket_legend,
    bracket_words,
    processes_of,
    ratio_limits,
    ratio_point,
)
from perfsuite.analysis.figures.row_panel import MAX_ROWS, Row, rows_panel
from perfsuite.analysis.figures.style import FP32
from perfsuite.analysis.frames.ratio_text import ratio_of_row, ratio_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.statistics.intervals import Ratio

    Change = tuple[Mapping[str, Any], Ratio]


def across_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the time in every other environment against the first, a panel each."""
    found = figure_data.across
    if found is None:
        return None
    rows_by_environment: list[tuple[str, list[Row]]] = []
    all_rows: list[Row] = []
    ratios: list[Ratio] = []
    for environment in found.environments[1:]:
        entries = [entry for entry in found.changes if entry["environment"] == environment]
        changes = _known_changes(entries)
        ratios += [ratio for _, ratio in changes]
        rows = [_row(entry, ratio) for entry, ratio in _largest(changes)]
        if rows:
            rows_by_environment.append((environment, rows))
            all_rows += rows
    if not rows_by_environment:
        return None
    limits = ratio_limits(all_rows, 0.1)
    ranges = "; ".join(_range_words(environment, rows) for environment, rows in rows_by_environment)
    panels = [
        rows_panel(
            environment,
            f"{environment} against {found.baseline}",
            rows,
            axis=f"time / time on the first, x (below 1: faster); {processes_of(ratios)}",
            limits=limits,
            reference=1.0,
        )
        for environment, rows in rows_by_environment
    ]
    return Drawing(
        kind="across",
        title=f"Time against {found.baseline}{bracket_words(ratios)}",
        finding=f"Against {found.baseline}, time is {ranges}.",
        panels=tuple(panels),
        legend=bracket_legend(ratios, FP32),
        notes=("no verdicts: the sides differ in machine or version on purpose",),
    )


def _known_changes(entries: Sequence[Mapping[str, Any]]) -> list[Change]:
    changes = []
    for entry in entries:
        ratio = ratio_of_row(entry, "ratio")
        if ratio is not None:
            changes.append((entry, ratio))
    return changes


def _largest(changes: Sequence[Change]) -> list[Change]:
    """Return the changes that differ most from 1, in the order in which they stand."""

    def distance(index: int) -> float:
        _, ratio = changes[index]
        return abs(math.log(ratio.ratio))

    by_distance = sorted(range(len(changes)), key=distance, reverse=True)
    return [changes[index] for index in sorted(by_distance[:MAX_ROWS])]


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

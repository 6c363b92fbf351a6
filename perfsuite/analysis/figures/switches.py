"""What to switch on here, as bars with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.figures.axis import Axis, upper_limit
from perfsuite.analysis.figures.legend import precision_swatches
from perfsuite.analysis.figures.panels import Drawing
from perfsuite.analysis.figures.ratio_marks import (
    bracket_legend,
    bracket_words,
    drawn_values,
    processes_of,
    ratio_points,
)
from perfsuite.analysis.figures.row_marks import Bar
from perfsuite.analysis.figures.row_panel import Row, drawn_panels, rows_panels, rows_words
from perfsuite.analysis.figures.style import precision_color
from perfsuite.analysis.frames.labels import place_words, span
from perfsuite.analysis.frames.ratio_text import ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.frames.switches import switches_frame
from perfsuite.formatting import significant

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.statistics.intervals import Ratio


def switches_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the speed of each combination over the eager FP32 step, a group per network."""
    frame = switches_frame(figure_data.results)
    if frame.empty:
        return None
    place = place_words(frame)
    rows: list[Row] = []
    ratios: list[Ratio] = []
    blocks: list[int] = []
    not_measured: dict[str, list[str]] = {}
    for record in rows_of(frame):
        ratio = ratio_of_row(record, "speedup_ratio")
        if ratio is not None:
            ratios.append(ratio)
            blocks.append(int(record["num_blocks"]))
            rows.append(_row(record, ratio, place(record)))
        elif record["reason"]:
            not_measured.setdefault(record["reason"], []).append(record["switched_on"])
    if not rows:
        return None
    n = f"n = {span(blocks)} blocks, {processes_of(ratios).removeprefix('n = ')}"
    label = f"speed over the eager FP32 step (1 = the same), x; {n}"
    axis = Axis(label=label, limits=(0, upper_limit([*drawn_values(rows), 1.0])), reference=1.0)
    drawn, not_drawn = drawn_panels(rows_panels("whole training step", "Speed over eager FP32", rows, axis))
    missing = [f"not measured: {', '.join(dict.fromkeys(names))}: {reason}" for reason, names in not_measured.items()]

    return Drawing(
        kind="switches",
        title=f"What to switch on here{bracket_words(ratios)}",
        finding=f"Speed over the eager FP32 step: {rows_words(rows)}.",
        panels=drawn,
        legend=(*precision_swatches(row["precision"] for row in rows_of(frame)), *bracket_legend(ratios)),
        notes=(*not_drawn, *missing),
    )


def _row(record: Mapping[Any, Any], ratio: Ratio, place: str) -> Row:
    group = " ".join(part for part in (record["subject"], f"({place})" if place else "") if part)
    tip = f"{group}, {record['switched_on']}: {ratio_text(ratio)}"
    if is_known(record["memory_ratio"]):
        tip += f", {record['memory_ratio']:.2f}x the memory"
    if is_known(record["start_s"]):
        tip += f", {significant(record['start_s'], 3)} s to start"
    color = precision_color(record["precision"])
    return Row(
        group=group,
        label=record["switched_on"],
        value=ratio_text(ratio, brief=True),
        bars=(Bar(start=0, width=ratio.ratio, color=color, tip=tip),),
        points=ratio_points(ratio, tip=tip),
    )

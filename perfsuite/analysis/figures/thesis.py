"""What AMP gave the thesis and what it gives here, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.ratio_marks import bracket_legend, ratio_point
from perfsuite.analysis.figures.row_panel import Point, Row, rows_panel, upper_limit
from perfsuite.analysis.figures.style import INK, precision_color
from perfsuite.analysis.frames.labels import place_words, span
from perfsuite.analysis.frames.ratio_text import ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.frames.thesis import thesis_frame
from perfsuite.analysis.frames.thesis_trainings import THESIS_PRECISIONS, comparable_trainings, thesis_trainings_frame
from perfsuite.analysis.frames.training_groups import training_origins
from perfsuite.analysis.statistics.intervals import bare_ratio
from perfsuite.precisions import BASELINE
from perfsuite.thesis import thesis_result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.statistics.intervals import Ratio


def thesis_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the ratios of AMP to FP32, measured and in the thesis."""
    results = figure_data.results
    trainings = comparable_trainings(results)
    if trainings.trainings:
        frame, ours, what = thesis_trainings_frame(results), "time_ratio", "training time"
    else:
        frame, ours, what = thesis_frame(results), "projected_time_ratio", "projected training time"
    if len(frame) == 0:
        return None
    records = rows_of(frame)
    place = place_words(training_origins(trainings) if trainings.trainings else results.benchmarks)
    panels = []
    memory = "memory_ratio"
    ratios: list[Ratio | None] = []
    for title, key, theirs in ((what, ours, "thesis_time_ratio"), ("peak memory", memory, _MEMORY)):
        rows = []
        for record in records:
            value, reference = (
                record.get(key),
                record.get(theirs, _thesis_memory_ratio(record) if theirs == _MEMORY else None),
            )
            if not is_known(value) or not is_known(reference) or record["precision"] == BASELINE:
                continue
            kept = f" gradients {record['gradients']}" if record.get("gradients", "freed") != "freed" else ""
            batch = f" b{record['batch_size']}" if len({other.get("batch_size") for other in records}) > 1 else ""
            label = " ".join(
                part for part in (record["model"] + batch + kept, record["precision"], place(record)) if part
            )
            ratio = ratio_of_row(record, key) if theirs != _MEMORY else None
            ratios.append(ratio)
            rows.append(
                _thesis_row(label, record["precision"], ratio or bare_ratio(float(value or 0)), float(reference or 0))
            )
        if rows:
            panels.append(
                rows_panel(
                    f"{title}, AMP / FP32",
                    f"{title} of AMP over FP32",
                    rows,
                    axis=f"{title} of AMP over that of FP32, x; {_n_words(records)}",
                    limits=(0, upper_limit([1.0, *(point.value for row in rows for point in row.points)])),
                    reference=1.0,
                )
            )
    if not panels:
        return None
    panels_color = precision_color(next(str(r["precision"]) for r in records if r["precision"] != BASELINE))
    return Drawing(
        kind="thesis",
        title="Compared with the thesis (Tesla T4, torch 1.6.0): ratios of AMP to FP32",
        finding=f"{panels[0].finding}.",
        panels=tuple(panels),
        legend=(
            Swatch(label="measured", color=panels_color, look="point"),
            Swatch(label="the thesis's", color=INK, look="diamond"),
            *bracket_legend(ratios, panels_color),
        ),
        notes=("another machine and another torch: ratios are comparable, times are not",),
    )


_MEMORY = "thesis_memory_ratio"


def _thesis_memory_ratio(record: Mapping[Any, Any]) -> float | None:
    precision = THESIS_PRECISIONS.get(record["precision"], record["precision"])
    theirs, base = thesis_result(record["model"], precision), thesis_result(record["model"], BASELINE)
    return theirs.peak_allocated_bytes / base.peak_allocated_bytes if theirs and base else None


def _n_words(records: Sequence[Mapping[Any, Any]]) -> str:
    processes = span([int(record.get("num_processes") or record.get("num_seeds") or 1) for record in records])
    return f"n = {processes} process{'' if processes == '1' else 'es'}"


def _thesis_row(label: str, precision: str, ratio: Ratio, reference: float) -> Row:
    text = f"{ratio.ratio:.2f}x" if ratio.basis is None else ratio_text(ratio, brief=True)
    words = f"{text}, thesis {reference:.2f}x"
    color = precision_color(precision)
    return Row(
        label=label,
        value=words,
        points=(
            Point(value=reference, color=INK, tip=f"{label}: the thesis {reference:.2f}x", look="diamond"),
            ratio_point(ratio, color=color, tip=f"{label}: measured {words}", look="dot"),
        ),
    )

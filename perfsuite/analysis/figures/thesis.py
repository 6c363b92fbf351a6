"""What AMP gave the thesis and what it gives here, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.ratio_marks import bracket_legend, ratio_point
from perfsuite.analysis.figures.row_panel import Point, Row, rows_panel, upper_limit
from perfsuite.analysis.figures.style import INK, precision_color
from perfsuite.analysis.frames.labels import place_words, span
from perfsuite.analysis.frames.ratio_text import ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.thesis import thesis_frame
from perfsuite.analysis.frames.thesis_trainings import THESIS_PRECISIONS, comparable_trainings, thesis_trainings_frame
from perfsuite.analysis.frames.training_groups import training_origins
from perfsuite.analysis.statistics.intervals import bare_ratio
from perfsuite.formatting import counted
from perfsuite.precisions import BASELINE
from perfsuite.thesis import thesis_result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Panel
    from perfsuite.analysis.statistics.intervals import Ratio


def thesis_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the ratios of AMP to FP32, measured and in the thesis."""
    results = figure_data.results
    trainings = comparable_trainings(results)
    if trainings.trainings:
        frame = thesis_trainings_frame(results)
        origins = training_origins(trainings)
        time, time_ratio = "training time", "time_ratio"
    else:
        frame = thesis_frame(results)
        origins = results.benchmarks
        time, time_ratio = "projected training time", "projected_time_ratio"
    if frame.empty:
        return None
    records = rows_of(frame)
    label = _labels(records, place_words(origins))
    ratios = []
    time_rows = []
    memory_rows = []
    amp_records = [record for record in records if record["precision"] != BASELINE]
    for record in amp_records:
        ratio = ratio_of_row(record, time_ratio)
        thesis_ratio = record.get("thesis_time_ratio")
        if ratio is not None and thesis_ratio is not None:
            ratios.append(ratio)
            time_rows.append(_thesis_row(label(record), record["precision"], ratio, float(thesis_ratio)))
        memory_row = _memory_row(record, label(record))
        if memory_row is not None:
            memory_rows.append(memory_row)
    panels = []
    if time_rows:
        panels.append(_ratios_panel(time, time_rows, records))
    if memory_rows:
        panels.append(_ratios_panel("peak memory", memory_rows, records))
    if not panels:
        return None
    color = precision_color(str(amp_records[0]["precision"]))
    return Drawing(
        kind="thesis",
        title="Compared with the thesis (Tesla T4, torch 1.6.0): ratios of AMP to FP32",
        finding=f"{panels[0].finding}.",
        panels=tuple(panels),
        legend=(
            Swatch(label="measured", color=color, look="point"),
            Swatch(label="thesis", color=INK, look="diamond"),
            *bracket_legend(ratios, color),
        ),
        notes=("another machine and another torch: ratios are comparable, times are not",),
    )


def _labels(
    records: Sequence[Mapping[Any, Any]], place: Callable[[Mapping[Any, Any]], str]
) -> Callable[[Mapping[Any, Any]], str]:
    """Return what names a row: network, what else varies, precision, place."""
    batch_sizes = {record.get("batch_size") for record in records}

    def label(record: Mapping[Any, Any]) -> str:
        parts = [record["model"]]
        if len(batch_sizes) > 1:
            parts.append(f"b{record['batch_size']}")
        gradients = record.get("gradients", "freed")
        if gradients != "freed":
            parts.append(f"gradients {gradients}")
        parts += [record["precision"], place(record)]
        return " ".join(part for part in parts if part)

    return label


def _memory_row(record: Mapping[Any, Any], label: str) -> Row | None:
    ratio = record.get("memory_ratio")
    thesis_ratio = record.get("thesis_memory_ratio", _thesis_memory_ratio(record))
    if ratio is None or thesis_ratio is None:
        return None
    return _thesis_row(label, record["precision"], bare_ratio(float(ratio)), float(thesis_ratio))


def _thesis_memory_ratio(record: Mapping[Any, Any]) -> float | None:
    precision = THESIS_PRECISIONS.get(record["precision"], record["precision"])
    result = thesis_result(record["model"], precision)
    baseline = thesis_result(record["model"], BASELINE)
    if result is None or baseline is None:
        return None
    return result.peak_allocated_bytes / baseline.peak_allocated_bytes


def _ratios_panel(quantity: str, rows: Sequence[Row], records: Sequence[Mapping[Any, Any]]) -> Panel:
    values = [1.0]
    for row in rows:
        values += [point.value for point in row.points]
    return rows_panel(
        f"{quantity}, AMP / FP32",
        f"{quantity} of AMP over FP32",
        rows,
        axis=f"{quantity} of AMP over that of FP32, x; {_n_words(records)}",
        limits=(0, upper_limit(values)),
        reference=1.0,
    )


def _n_words(records: Sequence[Mapping[Any, Any]]) -> str:
    processes = span([int(record.get("num_processes") or record.get("num_seeds") or 1) for record in records])
    return f"n = {counted(processes, 'process')}"


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

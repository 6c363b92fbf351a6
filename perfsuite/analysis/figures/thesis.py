"""What AMP gave the thesis and what it gives here, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.figures.axis import Axis, upper_limit
from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.ratio_marks import bracket_legend, drawn_values, ratio_point
from perfsuite.analysis.figures.row_labels import group_and_label
from perfsuite.analysis.figures.row_marks import Point
from perfsuite.analysis.figures.row_panel import Row, drawn_panels, rows_panels
from perfsuite.analysis.figures.style import INK, precision_color
from perfsuite.analysis.frames.labels import enumerate_words, place_words, span
from perfsuite.analysis.frames.ratio_text import ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.thesis import THESIS_PRECISIONS, thesis_frame
from perfsuite.analysis.frames.thesis_trainings import comparable_trainings, thesis_trainings_frame
from perfsuite.analysis.frames.training_groups import training_origins
from perfsuite.analysis.statistics.intervals import bare_ratio
from perfsuite.formatting import counted
from perfsuite.precisions import BASELINE
from perfsuite.thesis import BATCH_SIZE, thesis_result

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
    place, network = place_words(origins), _networks(records)
    ratios = []
    time_rows = []
    memory_rows = []
    amp_records = [record for record in records if record["precision"] != BASELINE]
    networks = list(dict.fromkeys(network(record) for record in amp_records))
    for record in sorted(amp_records, key=lambda record: networks.index(network(record))):
        name = group_and_label(network(record), place(record), record["precision"])
        ratio = ratio_of_row(record, time_ratio)
        thesis_ratio = record.get("thesis_time_ratio")
        if ratio is not None and thesis_ratio is not None:
            ratios.append(ratio)
            time_rows.append(_thesis_row(name, record["precision"], ratio, float(thesis_ratio)))
        memory_row = _memory_row(record, name)
        if memory_row is not None:
            memory_rows.append(memory_row)
    panels: list[Panel] = []
    for quantity, rows in ((time, time_rows), ("peak memory", memory_rows)):
        if rows:
            panels += _ratios_panels(quantity, rows, records)
    if not panels:
        return None
    drawn, not_drawn = drawn_panels(panels)
    color = precision_color(str(amp_records[0]["precision"]))
    return Drawing(
        kind="thesis",
        title="Compared with the thesis (Tesla T4, torch 1.6.0): ratios of AMP to FP32",
        finding=f"{panels[0].finding}.",
        panels=drawn,
        legend=(
            Swatch(label="measured", color=color, look="point"),
            Swatch(label="thesis", color=INK, look="diamond"),
            *bracket_legend(ratios, color),
        ),
        notes=(
            "another machine and another torch: ratios are comparable, times are not",
            *_other_batches(amp_records),
            *not_drawn,
        ),
    )


def _networks(records: Sequence[Mapping[Any, Any]]) -> Callable[[Mapping[Any, Any]], str]:
    """Return what names the network of a row, and what else varies."""
    batch_sizes = {record.get("batch_size") for record in records}

    def network(record: Mapping[Any, Any]) -> str:
        parts = [record["model"]]
        if len(batch_sizes) > 1:
            parts.append(f"b{record['batch_size']}")
        gradients = record.get("gradients", "freed")
        if gradients != "freed":
            parts.append(f"gradients {gradients}")
        return " ".join(parts)

    return network


def _other_batches(records: Sequence[Mapping[Any, Any]]) -> list[str]:
    """Return the note on rows whose memory cannot be compared, where there are any."""
    others = sorted({int(batch) for record in records if (batch := record.get("batch_size")) not in {None, BATCH_SIZE}})
    if not others:
        return []
    sizes = enumerate_words([str(batch) for batch in others])
    consequence = "what AMP gives depends on the batch; peak memory is not compared"
    return [f"measured at batch {sizes}, the thesis at {BATCH_SIZE}: {consequence}"]


def _memory_row(record: Mapping[Any, Any], name: tuple[str, str]) -> Row | None:
    ratio = record.get("memory_ratio")
    thesis_ratio = record.get("thesis_memory_ratio", _thesis_memory_ratio(record))
    if ratio is None or thesis_ratio is None:
        return None
    return _thesis_row(name, record["precision"], bare_ratio(float(ratio)), float(thesis_ratio))


def _thesis_memory_ratio(record: Mapping[Any, Any]) -> float | None:
    precision = THESIS_PRECISIONS.get(record["precision"], record["precision"])
    result = thesis_result(record["model"], precision)
    baseline = thesis_result(record["model"], BASELINE)
    if result is None or baseline is None:
        return None
    return result.peak_allocated_bytes / baseline.peak_allocated_bytes


def _ratios_panels(quantity: str, rows: Sequence[Row], records: Sequence[Mapping[Any, Any]]) -> tuple[Panel, ...]:
    axis = Axis(
        label=f"{quantity} of AMP over that of FP32, x; {_n_words(records)}",
        limits=(0, upper_limit([1.0, *drawn_values(rows)])),
        reference=1.0,
    )
    return rows_panels(f"{quantity}, AMP / FP32", f"{quantity} of AMP over FP32", rows, axis)


def _n_words(records: Sequence[Mapping[Any, Any]]) -> str:
    processes = span([int(record.get("num_processes") or record.get("num_seeds") or 1) for record in records])
    return f"n = {counted(processes, 'process')}"


def _thesis_row(name: tuple[str, str], precision: str, ratio: Ratio, reference: float) -> Row:
    text = f"{ratio.ratio:.2f}x" if ratio.basis is None else ratio_text(ratio, brief=True)
    words = f"{text}, thesis {reference:.2f}x"
    color = precision_color(precision)
    group, label = name
    return Row(
        group=group,
        label=label,
        value=words,
        points=(
            Point(value=reference, color=INK, tip=f"{label}: the thesis {reference:.2f}x", look="diamond"),
            ratio_point(ratio, color=color, tip=f"{label}: measured {words}", look="dot"),
        ),
    )

"""Compared with the thesis's tables 5.1 and 5.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.frames.labels import differs, shared_in_words
from perfsuite.analysis.frames.ratio_text import bracket_notes, ratio_of_row
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.thesis import thesis_frame
from perfsuite.analysis.frames.thesis_trainings import comparable_trainings, left_out_in_words
from perfsuite.analysis.tables.shared_columns import (
    notes_of,
    place_table_columns,
)
from perfsuite.analysis.tables.table import Priority, Table, metric_column, ratio_column, shown, text_column
from perfsuite.analysis.tables.thesis_trainings import thesis_trainings_table

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results


def thesis_table(results: Results) -> Table:
    """Compared with the thesis's tables 5.1 and 5.2: of full trainings where there are any, else what steps project."""
    left_out = left_out_in_words(results)
    frame = thesis_frame(results)
    if comparable_trainings(results).trainings or (left_out and frame.empty):
        return thesis_trainings_table(results)
    if frame.empty:
        needed = "train_step of resnet18, resnet34 or resnet50, 32 pixels, 10 classes"
        note = f"nothing to compare with the thesis: it needs {needed}"
        return Table(title="The thesis's tables 5.1 and 5.2", frame=frame, columns=(), notes=(note, *notes_of(results)))
    return Table(
        title=f"Compared with the thesis (Tesla T4, torch 1.6.0){shared_in_words(results.benchmarks)}",
        frame=frame,
        columns=shown(
            *place_table_columns(results.benchmarks),
            text_column("model"),
            text_column("precision"),
            text_column("gradients", shown_when=differs(frame, "gradients")),
            metric_column("images_per_second", priority=Priority.DETAIL),
            metric_column("projected_training_time_s", priority=Priority.MAIN),
            metric_column("thesis_training_time_s", priority=Priority.MAIN),
            ratio_column("projected_time_ratio", "AMP/FP32 time", priority=Priority.MAIN),
            metric_column("thesis_time_ratio", priority=Priority.MAIN),
            metric_column("peak_allocated_bytes"),
            metric_column("thesis_peak_bytes"),
            metric_column("memory_ratio", heading="AMP/FP32 memory"),
            metric_column("thesis_memory_ratio"),
        ),
        legend=(
            "projected: epochs x 45,000 images / images per second of a train_step, without evaluation and loading",
            *bracket_notes([ratio_of_row(row, "projected_time_ratio") for row in rows_of(frame)]),
            "peak memory is comparable at batch 128 with gradients kept (--perf-gradients kept), as PyTorch 1.6 did",
        ),
        notes=(*left_out, *notes_of(results)),
    )

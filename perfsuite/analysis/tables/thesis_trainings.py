"""Full trainings compared with those of the thesis: only trainings with its recipe, all others named in a note."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.frames.ratio_text import bracket_notes, ratio_of_row
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.thesis_trainings import (
    comparable_trainings,
    left_out_in_words,
    thesis_trainings_frame,
)
from perfsuite.analysis.frames.training_groups import (
    distinguishing_values,
    training_groups,
    training_origins,
)
from perfsuite.analysis.tables.shared_columns import notes_of, place_table_columns, value_columns
from perfsuite.analysis.tables.table import Column, Priority, Table, metric_column, ratio_column, shown, text_column
from perfsuite.analysis.tables.trainings import accuracy_in_words, data_notes
from perfsuite.precisions import POLICIES
from perfsuite.recipes import THESIS

if TYPE_CHECKING:
    import pandas as pd

    from perfsuite.analysis.frames.results import Results


TITLE = "Full trainings compared with the thesis (Tesla T4, torch 1.6.0)"


def thesis_trainings_table(results: Results) -> Table:
    """Return the thesis's tables 5.1 and 5.2 and the trainings that were done by its recipe."""
    left_out = left_out_in_words(results)
    results = comparable_trainings(results)
    frame = thesis_trainings_frame(results)
    if frame.empty:
        return Table(title=TITLE, frame=frame, columns=(), notes=(*left_out, *notes_of(results)))
    return Table(
        title=TITLE,
        frame=frame,
        columns=shown(
            *place_table_columns(training_origins(results)),
            text_column("recipe", shown_when=set(frame["recipe"]) != {THESIS.name}),
            *value_columns(distinguishing_values(training_groups(results))),
            text_column("model"),
            text_column("precision"),
            Column(heading="accuracy %", show=accuracy_in_words, numeric=True),
            Column(heading="thesis's %", show=lambda row: f"{100 * row['thesis_accuracy']:.2f}", numeric=True),
            metric_column("training_time_s", heading="time"),
            metric_column("thesis_training_time_s"),
            ratio_column("time_ratio", "AMP/FP32 time"),
            metric_column("thesis_time_ratio"),
            metric_column("peak_allocated_bytes", priority=Priority.DETAIL),
            metric_column("thesis_peak_bytes", priority=Priority.DETAIL),
        ),
        legend=(
            "peak memory is comparable with gradients kept (--perf-gradients kept), as PyTorch 1.6 did",
            *bracket_notes([ratio_of_row(row, "time_ratio") for row in rows_of(frame)], samples="trainings"),
        ),
        notes=(
            *left_out,
            *(policy.thesis_note for policy in POLICIES.values() if policy.thesis_note and _has(frame, policy.name)),
            *data_notes(results),
            *notes_of(results),
        ),
    )


def _has(frame: pd.DataFrame, precision: str) -> bool:
    return bool((frame["precision"] == precision).any())

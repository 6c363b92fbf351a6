"""What AMP gives a training step."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.columns import PAIRING_COLUMNS
from perfsuite.analysis.frames.consistency import disagreeing_speedups, excessive_parts
from perfsuite.analysis.frames.labels import compared_name, differs, shared_in_words, varying
from perfsuite.analysis.frames.ratio_text import MORE_STEPS, MORE_STEPS_AND_PAIRS, bracket_notes, ratio_of_row
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.speedup import INTERLEAVED, speedup_frame
from perfsuite.analysis.tables.shared_columns import (
    SHORT_HEADINGS,
    notes_of,
    place_table_columns,
    throughput_heading,
    warnings_column,
)
from perfsuite.analysis.tables.steps import ALWAYS_SHOWN, steps_table
from perfsuite.analysis.tables.table import Priority, Table, metric_column, ratio_column, shown, text_column
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    import pandas as pd

    from perfsuite.analysis.frames.results import Results


def speedup_table(results: Results) -> Table:
    """Return the speed-up of every precision over FP32, by network and phase."""
    frame = speedup_frame(results)
    if frame.empty:
        table = steps_table(results)
        note = f"no speed-up to show: it needs {BASELINE} and another precision of the same workload"
        return Table(title=table.title, frame=frame, columns=(), notes=(note, *table.notes), legend=table.legend)
    other = compared_name(frame["precision"], "other")
    rate = throughput_heading(frame)
    columns = shown(
        *place_table_columns(results.benchmarks),
        *(text_column(key, SHORT_HEADINGS.get(key)) for key in varying(frame, PAIRING_COLUMNS, ALWAYS_SHOWN)),
        text_column("precision", shown_when=differs(frame, "precision")),
        metric_column(
            "images_per_second",
            source="baseline_images_per_second",
            heading=f"FP32 {rate}",
            priority=Priority.NORMAL,
        ),
        metric_column("images_per_second", heading=f"{other} {rate}"),
        ratio_column("speedup_ratio", "speed-up", priority=Priority.MAIN),
        metric_column(
            "peak_allocated_bytes",
            source="baseline_peak_allocated_bytes",
            heading="FP32 peak MiB",
            priority=Priority.DETAIL,
        ),
        metric_column("peak_allocated_bytes", heading=f"{other} peak MiB", priority=Priority.DETAIL),
        metric_column("memory_ratio", heading="memory", priority=Priority.MAIN),
        warnings_column(frame),
    )
    names = ", ".join(sorted(frame["precision"].unique()))
    return Table(
        title=f"{names} against {BASELINE}{shared_in_words(results.benchmarks)}",
        frame=frame,
        columns=columns,
        legend=tuple(_speedup_notes(frame)),
        notes=(
            *_left_out_note(frame),
            *disagreeing_speedups(frame),
            *excessive_parts(results.benchmarks),
            *notes_of(results),
        ),
    )


def steps_summary(results: Results) -> Table | None:
    """Return what AMP gives a whole training step, the summary of a table of steps; None where nothing tells."""
    if not results.has_records or results.benchmarks.empty:
        return None
    table = speedup_table(results)
    if not table.columns:
        return None
    assert not isinstance(table.frame, list)  # noqa: S101 - for the type checker: a frame where there are columns
    whole = table.frame[table.frame["phase"] == "train_step"]
    return table if whole.empty else dataclasses.replace(table, frame=whole)


def _speedup_notes(frame: pd.DataFrame) -> list[str]:
    rows = rows_of(frame)
    interleaved = [f"{row['model']} {row['phase']}" for row in rows if row["speedup_source"] == INTERLEAVED]
    spread_of = "rounds, or of its blocks where interleaved" if interleaved else "rounds"
    more = MORE_STEPS_AND_PAIRS if interleaved else MORE_STEPS
    notes = bracket_notes([ratio_of_row(row, "speedup_ratio") for row in rows], spread_of=spread_of, more=more)
    if interleaved:
        names = ", ".join(dict.fromkeys(interleaved))
        rate = throughput_heading(frame)
        notes.append(f"speed-up measured interleaved (-m interleaved): {names}; {rate} are of separate cells")
    return notes


def _left_out_note(frame: pd.DataFrame) -> list[str]:
    num_left_out = int(frame["num_left_out"].sum())
    note = f"{num_left_out} benchmarks are not in this table: their run has no counterpart in the other precision"
    return [note] if num_left_out else []

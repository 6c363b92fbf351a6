"""In which types autocast lets the operators of a training step compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.frames.columns import place_columns
from perfsuite.analysis.frames.labels import differs, shared_in_words
from perfsuite.analysis.frames.numerics import types_frame
from perfsuite.analysis.tables.shared_columns import notes_of, origin_column
from perfsuite.analysis.tables.table import Column, Priority, Table, shown, text_column
from perfsuite.formatting import MIB_BYTES, significant

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results

TITLE = "Which types operators compute in"

NOTHING = "no operators of a step were counted by type: pytest benchmarks -m numerics does that"


def types_table(results: Results) -> Table:
    """Return a row per type and kind of the operators of each training step, what computes most first."""
    frame = types_frame(results)
    if frame.empty:
        return Table(title=TITLE, frame=frame, columns=(), notes=(NOTHING, *notes_of(results)))
    columns = shown(
        *(origin_column(name) for name in place_columns(frame)),
        text_column("model", "network", shown_when=differs(frame, "model"), priority=Priority.KEY),
        text_column("precision", priority=Priority.KEY),
        text_column("batch_size", "batch", shown_when=differs(frame, "batch_size"), priority=Priority.KEY),
        text_column("dtype", "type", priority=Priority.KEY),
        text_column("kind", priority=Priority.KEY),
        Column(heading="operations %", show=lambda row: f"{100 * row['flops_ratio']:.1f}", numeric=True),
        Column(
            heading="bytes %",
            show=lambda row: f"{100 * row['bytes_ratio']:.1f}",
            numeric=True,
            priority=Priority.MAIN,
        ),
        Column(heading="MiB", show=lambda row: significant(row["num_bytes"] / MIB_BYTES, 3), numeric=True),
        Column(heading="calls", show=lambda row: f"{row['num_calls']:,.0f}", numeric=True),
        text_column("operators", foldable=True),
    )
    models = frame["model"].dropna().unique()
    of = f" of {models[0]}" if len(models) == 1 else ""
    return Table(
        title=f"{TITLE}: a training step{of}{shared_in_words(frame)}",
        frame=frame,
        columns=columns,
        legend=("type: of the first input; operations: of products and convolutions; bytes: read and written",),
        notes=notes_of(results),
    )

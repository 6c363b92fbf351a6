"""Which operators of an iteration lose most to memory, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.frames.labels import shared_in_words
from perfsuite.analysis.tables.roofline import identity_columns
from perfsuite.analysis.tables.shared_columns import notes_of, one_of_each_cell, origin_column
from perfsuite.analysis.tables.table import Column, Priority, Table, metric_column, text_column
from perfsuite.formatting import MIB_BYTES, significant

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results

ROOFLINE = "roofline: arithmetic / the faster of two probes, or bytes / the copy probe if that is longer, call by call"
LOST = (
    "lost: the part beyond the arithmetic, in percent of the roofline of the iteration: a fused kernel, a smaller "
    "type or a larger cache can save it"
)

NO_OPERATORS = (
    "these results carry no operators: they are older than the eager roofline, quick, or could not be counted"
)


def operators_table(results: Results) -> Table:
    """Return the operators of each cell that lose most to memory, ten at most."""
    places, cells, _ = one_of_each_cell(results)
    # A file none of whose cells could be counted has a column of None.
    roofline_s = pd.to_numeric(results.benchmarks.get("roofline_s", pd.Series(dtype=float)))
    rows = [
        {
            **cell,
            "operator": one.name,
            "kind": one.kind,
            "num_calls": one.num_calls,
            "step_flops": one.flops,
            "operator_bytes": one.num_bytes,
            "roofline_s": one.roofline_s,
            "lost_s": one.lost_s,
            "lost_ratio": one.lost_s / roofline_s[index],
        }
        for index, cell in cells.items()
        if roofline_s.get(index, 0.0) > 0
        for one in results.operators[index]
    ]
    frame = pd.DataFrame(rows)
    title = f"Operators that lose most to memory{shared_in_words(results.benchmarks)}"
    if frame.empty:
        return Table(title=title, frame=frame, columns=(), notes=(NO_OPERATORS, *notes_of(results)))
    return Table(
        title=title,
        frame=frame,
        columns=(
            *(origin_column(name) for name in places),
            *identity_columns(frame),
            Column(
                heading="lost %",
                show=lambda row: f"{100 * row['lost_ratio']:.1f}",
                numeric=True,
                priority=Priority.MAIN,
            ),
            metric_column("roofline_s"),
            metric_column("step_flops", priority=Priority.DETAIL),
            Column(heading="MiB", show=lambda row: significant(row["operator_bytes"] / MIB_BYTES), numeric=True),
            Column(heading="calls", show=lambda row: str(row["num_calls"]), numeric=True, priority=Priority.DETAIL),
            text_column("kind"),
            text_column("operator", foldable=True),
        ),
        legend=(ROOFLINE, LOST),
        notes=notes_of(results),
    )

"""What was found about mixed precision: every claim with what was measured, what should have been, and if it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.labels import shared_in_words
from perfsuite.analysis.frames.numerics import (
    claim_value,
    claims_frame,
    claims_summary,
    expected_text,
    notes_in_words,
    tolerance_text,
)
from perfsuite.analysis.tables.shared_columns import distinguishing_columns, notes_of
from perfsuite.analysis.tables.table import Column, Priority, Table, shown, text_column

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results

TITLE = "Why mixed precision works"

NOTHING = "no claim was measured: pytest benchmarks -m numerics does that"


def numerics_table(results: Results) -> Table:
    """Return a row per claim, those of one kind together, and below them what all of it shows in words."""
    frame = claims_frame(results)
    if frame.empty:
        return Table(title=TITLE, frame=frame, columns=(), notes=(NOTHING, *notes_of(results)))
    columns = shown(
        *distinguishing_columns(frame),
        Column(heading="of", show=lambda row: f"{row['study']} {row['subject']}".strip(), priority=Priority.KEY),
        Column(heading="holds", show=_holds, style=_style, priority=Priority.MAIN),
        Column(heading="claim", show=lambda row: row["claim"], foldable=True, style=_style, priority=Priority.KEY),
        Column(
            heading="measured",
            show=lambda row: claim_value(row["measured"], row["unit"]),
            numeric=True,
            style=_style,
            priority=Priority.MAIN,
        ),
        Column(
            heading="expected",
            show=lambda row: expected_text(row["expected"], row["unit"], row["relation"]),
            numeric=True,
            priority=Priority.MAIN,
        ),
        Column(
            heading="tolerance",
            show=lambda row: tolerance_text(row["tolerance"], row["unit"]) or "exact",
            numeric=True,
            priority=Priority.MAIN,
        ),
        text_column("source", priority=Priority.DETAIL),
    )
    return Table(
        title=f"{TITLE}{shared_in_words(frame)}",
        frame=frame,
        columns=columns,
        legend=("tolerance: how far measured and expected may be apart; of powers of 2 it is a factor",),
        notes=(*notes_in_words(results), *notes_of(results), claims_summary(results)),
    )


def _holds(row: dict[str, Any]) -> str:
    return "yes" if row["holds"] else "no"


def _style(row: dict[str, Any]) -> str:
    """Return how a claim that does not hold is shown; the word says it too."""
    return "" if row["holds"] else "bold red"

"""Why mixed precision works, in the report: whether all claims hold, what each of the studies shows, the picture."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.numerics import (
    claim_value,
    claims_count,
    claims_summary,
    expected_text,
    failed_claims,
    notes_in_words,
)
from perfsuite.analysis.report.answers import MAX_NAMED, Answer, first_lines, small_table
from perfsuite.analysis.tables.registry import build_table

if TYPE_CHECKING:
    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.tables.table import Table

SECTION = "numerics"

MAX_FAILED = 6
"""Failed claims that the section lists in words; its table has all."""


def numerics_answer(figure_data: FigureData) -> Answer | None:
    """Return the answer of the first screen: whether all claims hold, and which ones do not."""
    results = figure_data.results
    if not results.numerics:
        return None
    failed = failed_claims(results)
    rows = [
        (
            f"{one.subject}: {one.claim.name}",
            claim_value(one.claim.measured, one.claim.unit),
            expected_text(one.claim.expected, one.claim.unit, one.claim.relation),
        )
        for one in failed
    ]
    tables, more = small_table(("does not hold", "measured", "expected"), rows, most=MAX_NAMED)
    return Answer(
        question="Why does mixed precision work here?",
        lead=claims_count(results),
        tables=tables,
        lines=(*more, *(() if failed else first_lines(notes_in_words(results), MAX_NAMED))),
        tone="bad" if failed else "good",
        target=SECTION,
    )


def numerics_words(figure_data: FigureData) -> tuple[str, ...]:
    """Return whether all claims hold, in a sentence; nothing where there are none."""
    results = figure_data.results
    return (f"{claims_count(results)}.",) if results.numerics else ()


def numerics_items(figure_data: FigureData) -> tuple[str, ...]:
    """Return the claims that do not hold, with their numbers, and what each of the studies shows."""
    failed = [f"does not hold: {one.in_words}" for one in failed_claims(figure_data.results)]
    return (*first_lines(failed, MAX_FAILED), *notes_in_words(figure_data.results))


def numerics_tables(figure_data: FigureData) -> tuple[Table, ...]:
    """Return all claims, and the types of operators; without the notes that the section has as its words."""
    results = figure_data.results
    if not results.numerics:
        return ()
    said = {*notes_in_words(results), claims_summary(results)}
    tables = (build_table("numerics", results), build_table("types", results))
    return tuple(
        dataclasses.replace(table, notes=tuple(note for note in table.notes if note not in said))
        for table in tables
        if table.columns
    )

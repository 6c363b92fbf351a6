"""Full trainings in the report: accuracy against target with its interval first, then what AMP changed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.registry import draw
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.training_words import accuracies_in_words, accuracy_line, amp_line
from perfsuite.analysis.frames.trainings import accuracy_frame
from perfsuite.analysis.report.answers import Answer, first_lines
from perfsuite.analysis.tables.trainings import accuracy_table, amp_table

if TYPE_CHECKING:
    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Drawing
    from perfsuite.analysis.tables.table import Table


def trainings_answer(figure_data: FigureData) -> Answer | None:
    """Return the answer of the first screen: every accuracy against its target, and what AMP changed."""
    rows = rows_of(accuracy_frame(figure_data.results))
    if not rows:
        return None
    changes = [line for row in rows if (line := amp_line(row)) is not None]
    outcomes = Counter(row["target_outcome"] for row in rows)
    tone = "plain"
    if outcomes["missed"]:
        tone = "bad"
    elif outcomes["reached"] == len(rows) and all(row.get("non_inferior") is not False for row in rows):
        tone = "good"
    elif outcomes["cannot tell"] or any(row.get("non_inferior") is False for row in rows):
        tone = "unsure"
    accuracies = [accuracy_line(row) for row in rows] if len(rows) > 1 else []
    return Answer(
        question="Full trainings",
        lead=accuracies_in_words(rows),
        lines=(*first_lines(accuracies), *first_lines(changes)),
        tone=tone,
        target="trainings",
    )


def trainings_words(figure_data: FigureData) -> tuple[str, ...]:
    """Return the first line of the section: every accuracy with its interval, its target, and whether it is reached."""
    rows = rows_of(accuracy_frame(figure_data.results))
    return (f"{'; '.join(first_lines([accuracy_line(row) for row in rows]))}.",) if rows else ()


def trainings_drawings(figure_data: FigureData) -> tuple[Drawing, ...]:
    """Return the figures of the section: all cells at a glance, then curves."""
    built = [draw(kind, figure_data) for kind in ("accuracy", "epochs")]
    return tuple(drawing for drawing in built if drawing is not None)


def trainings_tables(figure_data: FigureData) -> tuple[Table, ...]:
    """Return the tables of the section: what AMP changed, and accuracy, time and memory of each cell."""
    results = figure_data.results
    tables = (amp_table(results), accuracy_table(results)) if results.has_records and results.trainings else ()
    return tuple(table for table in tables if table.columns)

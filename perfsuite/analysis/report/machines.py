"""Machines of a fleet on the page: the sentence of the first screen, and what its section holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.report.answers import Answer, small_table
from perfsuite.analysis.tables.nodes import fleet_table, pivot_table
from perfsuite.analysis.verdicts.node_words import change_words, evidence_words, fleet_notes, kind_sentence

if TYPE_CHECKING:
    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.tables.table import Table

SECTION = "nodes"

MAX_OPEN_ROWS = 200
"""Nodes of a table that is open at once; of larger fleets it opens on demand."""


def machines_answer(figure_data: FigureData) -> Answer | None:
    """Return the answer of the first screen, where the files are of a fleet."""
    verdict = figure_data.fleet
    if not verdict.is_fleet:
        return None
    sentences = [kind_sentence(verdict, kind) for kind in verdict.kinds]
    odd = [node for kind in verdict.kinds for node in kind.odd]
    rows = [(node.node, change_words(node), evidence_words(node)) for node in odd]
    tables, more = small_table(("odd node", "time [95%]", "unlike the others"), rows)
    unjudged = any(kind.reason for kind in verdict.kinds)
    tone = "bad" if odd else "good"
    return Answer(
        question="Is one machine unlike the others?",
        lead=f"{sentences[0][:1].upper()}{sentences[0][1:]}",
        tables=tables,
        lines=(*sentences[1:], *more),
        tone="unsure" if unjudged and not odd else tone,
        target=SECTION,
    )


def machines_words(figure_data: FigureData) -> tuple[str, ...]:
    """Return what is said above the tables."""
    verdict = figure_data.fleet
    if not verdict.is_fleet:
        return ()
    return tuple(f"{line[:1].upper()}{line[1:]}." for line in fleet_notes(verdict))


def machines_tables(figure_data: FigureData) -> tuple[tuple[Table, ...], tuple[Table, ...]]:
    """Return the tables that are open, and those that open on demand: kinds by versions, and nodes, odd ones first."""
    verdict = figure_data.fleet
    if not verdict.is_fleet:
        return (), ()
    pivot, nodes = pivot_table(verdict), fleet_table(verdict)
    if len(verdict.nodes) > MAX_OPEN_ROWS:
        return (pivot,), (nodes,)
    return (nodes, pivot), ()

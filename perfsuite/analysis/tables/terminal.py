"""Tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.tables.layout import lay_out
from perfsuite.analysis.tables.rich_table import styled, table_lines
from perfsuite.analysis.tables.wrapping import wrapped
from perfsuite.formatting import printable

if TYPE_CHECKING:
    from perfsuite.analysis.tables.layout import Layout
    from perfsuite.analysis.tables.table import Table

OTHER_WAYS = "-o table.csv or --format json"
"""How the commands that show a table show all columns of it."""


def render_terminal(table: Table, *, width: int | None, color: bool, other_ways: str = OTHER_WAYS) -> str:
    """Return the table for a terminal.

    No line is wider than the terminal, and only a word that is wider than it is broken. Columns for which there is no
    room are named below the table; `layout` says which.

    Args:
        table: What to show.
        width: Of the terminal; None: no terminal, lines are as long as they are.
        color: Whether styles are written.
        other_ways: How a reader gets the columns for which the terminal is too narrow, without widening it.
    """
    lines = [styled(line, "bold" if color else "") for line in _text_lines(table.title, width)]
    notes = [*table.legend, *table.notes]
    if table.columns:
        rows = table.rows()
        texts = [[printable(column.show(row)) for row in rows] for column in table.columns]
        layout = lay_out(table, texts, width=width)
        lines += ["", *table_lines(table, rows, texts, layout=layout, width=width, color=color)]
        if width is not None and layout.left_out:
            notes.insert(0, _left_out_note(table, layout, width, other_ways))
        if notes:
            lines.append("")
    for note in notes:
        lines += _text_lines(note, width)
    return "\n".join(lines) + "\n"


def _text_lines(text: str, width: int | None) -> list[str]:
    line = printable(text)
    return [line] if width is None else wrapped(line, width)


def _left_out_note(table: Table, layout: Layout, width: int, other_ways: str) -> str:
    headings = ", ".join(table.columns[index].heading for index in layout.left_out)
    return (
        f"not shown at a width of {width} characters: {headings}; to see all columns: a terminal of "
        f"{layout.full_width} characters, {other_ways}"
    )

"""Tables as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.analysis.tables.table import Table


def render_markdown(table: Table) -> str:
    """Return the table as GitHub-flavoured Markdown; nothing in a name is read as markup."""
    lines = [f"**{_markdown(table.title)}**"]
    if table.columns:
        lines += [
            "",
            _markdown_row(column.heading for column in table.columns),
            _markdown_row(("---:" if column.numeric else "---" for column in table.columns), escape=False),
            *(_markdown_row(column.show(row) for column in table.columns) for row in table.rows()),
        ]
    if table.notes:
        lines += ["", *(f"- {_markdown(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _markdown(text: str) -> str:
    escaped = printable(text)
    for character in "\\`*_[]<>|~#@":
        escaped = escaped.replace(character, f"\\{character}" if character not in "<>@" else _ENTITIES[character])
    return escaped


_ENTITIES = {"<": "&lt;", ">": "&gt;", "@": "&#64;"}


def _markdown_row(cells: Iterable[str], *, escape: bool = True) -> str:
    return "| " + " | ".join(_markdown(cell) if escape else cell for cell in cells) + " |"

"""Tables as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfsuite.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.analysis.tables.table import Column, Table

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
"""Between the parts of a number and its interval. As a character, not as `&nbsp;`: GitHub keeps the line together with
either, browsers copy either as a plain space, and the text itself stays readable where it is not rendered."""


def render_markdown(table: Table) -> str:
    """Return the table as GitHub-flavoured Markdown; nothing in a name is read as markup.

    What must be known to trust the numbers comes first below it. No number is separated from its interval by the end of
    a line. Commands in backticks, in what is said below the table, stay code.
    """
    lines = [f"**{_escaped(table.title)}**"]
    if table.columns:
        numeric = [column.numeric for column in table.columns]
        lines += [
            "",
            _markdown_row(_escaped(column.heading) for column in table.columns),
            _markdown_row("---:" if is_number else "---" for is_number in numeric),
            *(_markdown_row(_cells(table.columns, row)) for row in table.rows()),
        ]
    if table.notes or table.legend:
        lines += ["", *markdown_list((*table.notes, *table.legend))]
    return "\n".join(lines) + "\n"


def markdown_list(notes: Sequence[str]) -> list[str]:
    """Return what is said below a table as the lines of a list."""
    return [f"- {_with_code(note)}" for note in notes]


def _cells(columns: Sequence[Column], row: dict[str, object]) -> Iterable[str]:
    for column in columns:
        cell = _escaped(column.show(row))
        yield cell.replace(" ", NO_BREAK_SPACE) if column.numeric else cell


_COMMAND = re.compile(r"(?<![`\\])`((?:perfsuite|pytest|python|nvidia-smi|--?[a-z])[\w .,:/=\"'+-]*)`(?!`)")
"""Code in our own words: a command or an option of one. Names from files are no code, whatever they hold, and of a name
that looks like this nothing would be active even outside code."""


def _with_code(text: str) -> str:
    """Return text with its commands as code."""
    parts = _COMMAND.split(printable(text))  # text and commands, alternately
    return "".join(f"`{part}`" if number % 2 else _escaped(part) for number, part in enumerate(parts))


_END = r"[^][()\s]*\d[^][()\s]*"
_INTERVAL = re.compile(rf"(?<=\S) (?:\[{_END}, {_END}\](?: A/A)?|\({_END} to {_END}\))")


def _escaped(text: str) -> str:
    escaped = _INTERVAL.sub(lambda found: found[0].replace(" ", NO_BREAK_SPACE), printable(text))
    for character in "\\`*_[]<>|~#@":
        escaped = escaped.replace(character, f"\\{character}" if character not in "<>@" else _ENTITIES[character])
    return escaped


_ENTITIES = {"<": "&lt;", ">": "&gt;", "@": "&#64;"}


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"

"""Tables for a comment under a pull request: short first, the rest folded, never longer than a comment may be."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from perfsuite.analysis.tables.markdown import markdown_list, render_markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.tables.table import Table

SHORT_ROWS = 12
"""A table of so many rows needs no folding."""

HEAD_ROWS = 10

SHORT_LEGEND = 4
"""As many lines on how to read a table need no folding; notes, which say whether to trust it, are never folded."""

MAX_CHARACTERS = 60_000
"""Source: GitHub refuses a comment of more than 65,536 characters; the rest is for what a workflow writes around it."""


def render_comments(tables: Sequence[tuple[Table, Table | None]], *, what: Sequence[str] = ()) -> str:
    """Return several tables as one comment; the last ones leave as much to the first as they do not need.

    Args:
        tables: All of each, and what is seen first of it, if it is not its first rows.
        what: What the rows of each are, in the plural.
    """
    most, parts = MAX_CHARACTERS, []
    for position in range(len(tables) - 1, -1, -1):
        table, head = tables[position]
        rows = what[position] if what else "rows"
        part = render_comment(table, head=head, what=rows, most=most // (position + 1))
        most -= len(part)
        parts.append(part)
    return "\n".join(reversed(parts))


def render_comment(table: Table, *, head: Table | None = None, what: str = "rows", most: int = MAX_CHARACTERS) -> str:
    """Return a table as Markdown of which a reader sees a summary and every note, and unfolds the rest.

    Args:
        table: All of it.
        head: What is seen first, if it is not the first rows of the table.
        what: What its rows are, in the plural.
        most: Characters that it may take, but for some words on what is left out.
    """
    rows = table.rows()
    if head is None and len(rows) <= SHORT_ROWS:
        head, rows = table, []
    elif head is None:
        head = dataclasses.replace(table, frame=rows[:HEAD_ROWS], title=f"{table.title}: {HEAD_ROWS} of {len(rows)}")
    notes, legend = (
        tuple(dict.fromkeys(lines)) for lines in ([*head.notes, *table.notes], [*head.legend, *table.legend])
    )
    is_long = len(legend) > SHORT_LEGEND
    seen = dataclasses.replace(head, notes=notes, legend=() if is_long else legend)
    parts = [_shortened(render_markdown(seen), most)]
    if is_long:
        parts.append(_folded("How to read this table", "\n".join(markdown_list(legend))))
    if rows:
        num_left = most - sum(len(part) for part in parts)
        whole = render_markdown(dataclasses.replace(table, frame=rows, title=f"All {what}", notes=(), legend=()))
        parts.append(_folded(f"All {len(rows)} {what}", _shortened(whole, num_left)))
    return "\n".join(parts)


def _folded(summary: str, content: str) -> str:
    """Return content behind a line to click on; the blank line makes it Markdown again."""
    return f"<details>\n<summary>{summary}</summary>\n\n{content}\n</details>\n"


def _shortened(text: str, most: int) -> str:
    """Leave out the last lines where there is no room for them, and say so."""
    if len(text) <= most:
        return text
    lines = text.splitlines()
    kept, size = [], 0
    for line in lines:
        size += len(line) + 1
        if size > most:
            break
        kept.append(line)
    left_out = len(lines) - len(kept)
    return "\n".join(
        [*kept, "", f"{left_out} more lines are left out: the length of a comment is limited; --format csv has all", ""]
    )

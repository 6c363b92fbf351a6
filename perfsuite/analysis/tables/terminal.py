"""Tables for a terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.tables.rich_table import FOLDED_WIDTH, table_lines
from perfsuite.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.tables.table import Column, Table

NO_TERMINAL_WIDTH = 10_000
"""Columns where the output is no terminal: nothing is to be folded in a file."""


def render_terminal(table: Table, *, width: int | None, color: bool) -> str:
    """Return the table for a terminal of that width (None: no terminal).

    Nothing is ever cut: where not even folding makes it fit, its lines are longer than the terminal is wide.
    """
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width or NO_TERMINAL_WIDTH,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    console.print(Text(printable(table.title), style="bold"), soft_wrap=width is None)
    rows = table.rows() if table.columns else []
    for columns in _parts(table, rows, console.width) if table.columns else []:
        texts = [[printable(column.show(row)) for row in rows] for column in columns]
        lines = table_lines(columns, rows, texts, width=console.width, color=color)
        stream.write("".join(f"{line}\n" for line in ("", *lines)))
    if table.columns and table.notes:
        console.print()
    for note in table.notes:
        console.print(Text(printable(note)), soft_wrap=width is None)
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip().splitlines()) + "\n"


def _parts(table: Table, rows: list[dict[str, Any]], width: int) -> list[list[Column]]:
    """Return the columns of each part that the table is shown in: as many as fit, after those that identify a row."""
    keys, others = list(table.columns[: table.num_key_columns]), table.columns[table.num_key_columns :]
    least = [_least_width(column, rows) + 1 for column in table.columns]
    if not keys or sum(least) <= width:
        return [list(table.columns)]
    of_keys, widths = sum(least[: len(keys)]), least[len(keys) :]
    fewest = len(_filled(widths, width - of_keys))  # parts; the narrowest ones of as many are about equally wide
    even = next(space for space in range(width + 1) if len(_filled(widths, space)) <= fewest)
    parts, start = [], 0
    for num in _filled(widths, even):
        parts.append([*keys, *others[start : start + num]])
        start += num
    return parts


def _filled(widths: Sequence[int], space: int) -> list[int]:
    """Return how many columns each part takes, from the first on, where a part has that much space; at least one."""
    counts: list[int] = []
    left = 0
    for width in widths:
        if not counts or width > left:
            counts.append(0)
            left = space
        counts[-1] += 1
        left -= width
    return counts


def _least_width(column: Column, rows: list[dict[str, Any]]) -> int:
    """Return how wide a column is where everything that may be folded is."""
    from rich.cells import cell_len

    texts = [printable(column.show(row)) for row in rows]
    width = max(cell_len(line) for line in [*_heading_lines(column), *texts])
    return min(width, FOLDED_WIDTH) if column.foldable else width


def _heading_lines(column: Column) -> list[str]:
    return column.heading.split(" ") if column.numeric else [column.heading]

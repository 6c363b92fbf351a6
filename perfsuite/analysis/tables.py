"""Data frames -> tables for a terminal, Markdown, LaTeX, CSV and JSON. Only renders: all has been computed before."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames import plain, rows_of
from perfsuite.analysis.ratio_text import ratio_of_row, ratio_text
from perfsuite.analysis.terminal_table import FOLDED_WIDTH, table_lines
from perfsuite.formatting import printable, printable_json
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd

NO_TERMINAL_WIDTH = 10_000
"""Columns where the output is no terminal: nothing is to be folded in a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column for people.

    Attributes:
        heading: What stands above it, unit included.
        show: Turns a row of the frame (a dict) into text.
        numeric: Whether to align to the right.
        foldable: Whether its text may go on in the next line of a terminal that is too narrow.
        style: Gives rich's style for a row, for terminals with colour; the text must say it too.
    """

    heading: str
    show: Callable[[dict[str, Any]], str]
    numeric: bool = False
    foldable: bool = False
    style: Callable[[dict[str, Any]], str] = lambda _row: ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table, computed and not yet rendered.

    Attributes:
        title: One line.
        frame: All values in base units, as a data frame or as one dict per row; CSV and JSON have every column of it.
        columns: What people are shown.
        notes: What is listed below it, in words.
        num_key_columns: How many of the first columns identify a row. With any, a terminal that is too narrow shows the
            other columns in several parts, each with these; without, its lines are longer than the terminal is wide.
    """

    title: str
    frame: pd.DataFrame | list[dict[str, Any]]
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()
    num_key_columns: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether it has no rows."""
        return len(self.frame) == 0

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as dicts of plain values, absent ones None."""
        if isinstance(self.frame, list):
            return [{name: plain(value) for name, value in row.items()} for row in self.frame]
        return rows_of(self.frame)


def text_column(key: str, heading: str | None = None, *, foldable: bool = False) -> Column:
    """Show a column as it is; a dash where it is absent."""

    def show(row: dict[str, Any]) -> str:
        return "-" if row[key] is None else str(row[key])

    return Column(heading=heading or key.replace("_", " "), show=show, foldable=foldable)


def metric_column(key: str, *, source: str | None = None, heading: str | None = None) -> Column:
    """Show a registered metric in its unit for people.

    Args:
        key: The metric.
        source: The frame's column, if it is named otherwise.
        heading: Another heading than the metric's own.
    """
    metric = METRICS[key]
    return Column(heading=heading or metric.heading, show=lambda row: metric.show(row.get(source or key)), numeric=True)


def ratio_column(name: str, heading: str, *, decimals: int = 2) -> Column:
    """Show a ratio that `ratio_columns` wrote, with its interval or its spread; that it has neither is said."""

    def show(row: dict[str, Any]) -> str:
        ratio = ratio_of_row(row, name)
        return "-" if ratio is None else ratio_text(ratio, decimals=decimals, brief=True)

    return Column(heading=heading, show=show, numeric=True)


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


def render_latex(table: Table) -> str:
    """Return the table as a LaTeX `tabular` for the package booktabs; nothing in a name is read as a command."""
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        f"% {_latex(table.title)}",
        f"\\begin{{tabular}}{{{alignment}}}",
        "\\toprule",
        " & ".join(_latex(column.heading) for column in table.columns) + " \\\\",
        "\\midrule",
        *(" & ".join(_latex(column.show(row)) for column in table.columns) + " \\\\" for row in table.rows()),
        "\\bottomrule",
        "\\end{tabular}",
        *(f"% {_latex(note)}" for note in table.notes),
    ]
    return "\n".join(lines) + "\n"


_LATEX = {
    "\\": "\\textbackslash{}",
    "{": "\\{",
    "}": "\\}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    # A row that begins with a bracket would give its own line break an argument.
    "[": "{[}",
    "]": "{]}",
    **{character: f"\\{character}" for character in "&%$#_"},
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(text))


def render_csv(table: Table) -> str:
    """Return every column of the frame in base units, one line per row; absent values are empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    rows = table.rows()
    headings = (rows[0] if rows else {}) if isinstance(table.frame, list) else table.frame.columns
    writer.writerow(_csv_cell(str(heading)) for heading in headings)
    writer.writerows([_csv_cell(value) for value in row.values()] for row in rows)
    return stream.getvalue()


FORMULA_STARTS = ("=", "+", "-", "@")

_NUMBERS = {float, int, bool, type(None)}


def _csv_cell(value: Any) -> Any:
    """Return a cell that neither a terminal nor a spreadsheet acts on; numbers stay numbers.

    A spreadsheet computes a text that begins like a formula, and shows one behind an apostrophe as it is.
    """
    if type(value) in _NUMBERS:
        return value
    text = str(value)
    if not text.isprintable():
        text = printable(text)
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) else text


def render_json(table: Table) -> str:
    """Return a list of objects, one per row, every column in base units; absent values are null."""
    return printable_json(json.dumps(table.rows(), indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def _markdown(text: str) -> str:
    escaped = printable(text)
    for character in "\\`*_[]<>|~#@":
        escaped = escaped.replace(character, f"\\{character}" if character not in "<>@" else _ENTITIES[character])
    return escaped


_ENTITIES = {"<": "&lt;", ">": "&gt;", "@": "&#64;"}


def _markdown_row(cells: Iterable[str], *, escape: bool = True) -> str:
    return "| " + " | ".join(_markdown(cell) if escape else cell for cell in cells) + " |"

"""The body of a table for a terminal: aligned columns, texts that may be folded folded, nothing ever cut.

rich's own tables hold an object for every character run of every cell: with 100,000 rows they took most of the time
and more than a gigabyte. Here a cell is one string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.tables.table import Column

FOLDED_WIDTH = 28
"""Columns that a text which may be folded keeps at least."""

RULE = "\N{BOX DRAWINGS LIGHT HORIZONTAL}"


def table_lines(
    columns: Sequence[Column],
    rows: Sequence[dict[str, Any]],
    texts: Sequence[Sequence[str]],
    *,
    width: int,
    color: bool,
) -> list[str]:
    """Return headings, a rule and the rows.

    Args:
        columns: What is shown.
        rows: What the styles are computed from.
        texts: Of each column, one a row, printable.
        width: Of the terminal; lines are longer only where not even folding makes them fit.
        color: Whether styles are written.
    """
    headings = _headings(columns)
    natural = [max(map(_cells, [*heading, *column])) for heading, column in zip(headings, texts, strict=True)]
    foldable = [column.foldable for column in columns]
    least = sum(min(one, FOLDED_WIDTH) if folds else one for one, folds in zip(natural, foldable, strict=True))
    num_gaps = len(natural) - 1
    gap = "  " if least + 2 * num_gaps <= width else " "
    widths = _folded_widths(natural, foldable, width - len(gap) * num_gaps)
    pads: list[Callable[[str, int], str]] = [_pad_left if column.numeric else _pad_right for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = [pad(cell, size) for pad, cell, size in zip(pads, cells, widths, strict=True)]
        return gap.join(padded).rstrip()

    lines = [line(cells) for cells in zip(*headings, strict=True)]
    if color:
        lines = [_styled(text, "bold") for text in lines]
    lines.append(RULE * (sum(widths) + len(gap) * num_gaps))
    is_plain = not color and widths == natural
    for row, cells in zip(rows, zip(*texts, strict=True), strict=True):
        if is_plain:
            lines.append(line(cells))
        else:
            styles = [column.style(row) if color else "" for column in columns]
            lines += _row_lines(cells, widths, styles, line)
    return lines


def _headings(columns: Sequence[Column]) -> list[list[str]]:
    """Return the lines of each heading, all of the same number: numbers stand under one word a line."""
    words = [column.heading.split(" ") if column.numeric else [column.heading] for column in columns]
    num_lines = max(map(len, words))
    return [[""] * (num_lines - len(lines)) + lines for lines in words]


def _folded_widths(natural: Sequence[int], foldable: Sequence[bool], width: int) -> list[int]:
    """Return how wide each column is: the widest of those that may be folded are folded first."""
    widths = list(natural)
    indices = [index for index, folds in enumerate(foldable) if folds]
    while indices and sum(widths) > width:
        widest = max(indices, key=widths.__getitem__)
        others = [widths[index] for index in indices if widths[index] < widths[widest]]
        next_width = max([*others, FOLDED_WIDTH])
        if widths[widest] <= next_width:
            break
        widths[widest] = max(next_width, widths[widest] - (sum(widths) - width))
    return widths


def _row_lines(
    cells: Sequence[str], widths: Sequence[int], styles: Sequence[str], line: Callable[[Sequence[str]], str]
) -> list[str]:
    """Return the lines of a row, one where nothing has to be folded."""
    parts: list[list[str]] = [
        [_styled(part, style) for part in _folded(cell, size)]
        for cell, size, style in zip(cells, widths, styles, strict=True)
    ]
    num_lines = max(map(len, parts))
    return [line(one) for one in zip(*(part + [""] * (num_lines - len(part)) for part in parts), strict=True)]


def _folded(text: str, width: int) -> list[str]:
    if _cells(text) <= width:
        return [text]
    from rich.console import Console
    from rich.text import Text

    return [part.plain.rstrip() for part in Text(text).wrap(Console(width=width), width, overflow="fold")]


def _styled(text: str, style: str) -> str:
    if not style or not text:
        return text
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD)


def _cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _shown_cells(text: str) -> int:
    """Return the same of a text that may be styled."""
    if "\x1b" not in text:
        return _cells(text)
    from rich.text import Text

    return Text.from_ansi(text).cell_len


def _pad_right(text: str, width: int) -> str:
    return text + " " * (width - _shown_cells(text))


def _pad_left(text: str, width: int) -> str:
    return " " * (width - _shown_cells(text)) + text

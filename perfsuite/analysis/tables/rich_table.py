"""The body of a table for a terminal: aligned columns, long texts folded between words, nothing ever cut.

rich's own tables hold an object for every character run of every cell: with 100,000 rows they took most of the time
and more than a gigabyte. Here a cell is one string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.tables.wrapping import num_cells, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from perfsuite.analysis.tables.layout import Layout
    from perfsuite.analysis.tables.table import Column

RULE = "\N{BOX DRAWINGS LIGHT HORIZONTAL}"
INDENT = 2
"""Of a text below its row."""

ABSENT = {"", "-"}
"""Texts that say nothing: they are not shown above or below a row."""


def table_lines(
    columns: Sequence[Column],
    rows: Sequence[dict[str, Any]],
    texts: Sequence[Sequence[str]],
    *,
    layout: Layout,
    width: int | None,
    color: bool,
) -> list[str]:
    """Return headings, a rule and the rows; every cell of a row begins in its first line.

    Args:
        columns: Of the table.
        rows: What the styles are computed from.
        texts: Of each column, one a row, printable.
        layout: Where the columns are shown.
        width: Of the terminal; None where there is none.
        color: Whether styles are written.
    """
    shown = [columns[index] for index in layout.side_by_side]
    widths, gap = layout.widths, " " * layout.gap
    pads: list[Callable[[str, int], str]] = [_pad_left if column.numeric else _pad_right for column in shown]

    def line(cells: Sequence[str]) -> str:
        padded = [pad(cell, size) for pad, cell, size in zip(pads, cells, widths, strict=True)]
        return gap.join(padded).rstrip()

    def row_lines(cells: Sequence[str], styles: Sequence[str]) -> list[str]:
        parts = [
            [styled(part, style) for part in wrapped(cell, size)]
            for cell, size, style in zip(cells, widths, styles, strict=True)
        ]
        num_lines = max(map(len, parts), default=0)
        return [line(one) for one in zip(*(part + [""] * (num_lines - len(part)) for part in parts), strict=True)]

    lines = row_lines([column.heading for column in shown], ["bold" if color else ""] * len(shown))
    if shown:
        lines.append(RULE * (sum(widths) + layout.gap * (len(shown) - 1)))
    cells_of_rows: Iterator[tuple[str, ...]] = zip(*(texts[index] for index in layout.side_by_side), strict=True)
    if not shown:
        cells_of_rows = iter([()] * len(rows))
    folded = [
        place
        for place, index in enumerate(layout.side_by_side)
        if columns[index].foldable and max(map(num_cells, texts[index]), default=0) > widths[place]
    ]
    before: list[str] = []
    for number, (row, cells) in enumerate(zip(rows, cells_of_rows, strict=True)):
        if layout.above:
            above = _labelled(columns, texts, layout.above, number)
            if above != before:
                lines += _above_lines(above, width or 1)
                before = above
        if not color and all(num_cells(cells[place]) <= widths[place] for place in folded):
            lines.append(line(cells))
        else:
            lines += row_lines(cells, [column.style(row) if color else "" for column in shown])
        for text in _labelled(columns, texts, layout.below, number):
            lines += wrapped(text, width or 1, indent=INDENT)
    return lines


def _above_lines(parts: Sequence[str], width: int) -> list[str]:
    """Return keys in as few lines as they fit into; one that is wider than a line is wrapped."""
    lines: list[str] = []
    for part in parts:
        together = f"{lines[-1]}, {part}" if lines else part
        if lines and num_cells(together) <= width:
            lines[-1] = together
        else:
            lines += wrapped(part, width)
    return lines


def _labelled(
    columns: Sequence[Column], texts: Sequence[Sequence[str]], indices: Sequence[int], number: int
) -> list[str]:
    """Return the cells of a row with their headings, without those that say nothing."""
    return [
        f"{columns[index].heading}: {texts[index][number]}" for index in indices if texts[index][number] not in ABSENT
    ]


def styled(text: str, style: str) -> str:
    """Return a text in one of rich's styles; as it is without a style."""
    if not style or not text:
        return text
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD)


def _shown_cells(text: str) -> int:
    """Return how many columns a text takes that may be styled."""
    if "\x1b" not in text:
        return num_cells(text)
    from rich.text import Text

    return Text.from_ansi(text).cell_len


def _pad_right(text: str, width: int) -> str:
    return text + " " * (width - _shown_cells(text))


def _pad_left(text: str, width: int) -> str:
    return " " * (width - _shown_cells(text)) + text

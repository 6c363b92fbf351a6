"""The body of a table for a terminal: aligned columns, long texts folded between words, nothing ever cut.

rich's own tables hold an object for every character run of every cell: with 100,000 rows they took most of the time
and more than a gigabyte. Here a cell is one string, and of most rows the line is made in one go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.tables.wrapping import longest_word, num_cells, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from perfsuite.analysis.tables.layout import Layout
    from perfsuite.analysis.tables.table import Column, Table

RULE = "\N{BOX DRAWINGS LIGHT HORIZONTAL}"
INDENT = 2
"""Of a text below its row."""

ABSENT = {"", "-"}
"""Texts that say nothing: they are not shown above or below a row."""


def table_lines(
    table: Table,
    rows: Sequence[dict[str, Any]],
    texts: Sequence[Sequence[str]],
    *,
    layout: Layout,
    width: int | None,
    color: bool,
) -> list[str]:
    """Return headings, a rule and the rows; every cell of a row begins in its first line.

    Args:
        table: With at least one column.
        rows: What the styles are computed from.
        texts: Of each column, one a row, printable.
        layout: Where the columns are shown.
        width: Of the terminal; None where there is none.
        color: Whether styles are written.
    """
    columns, places = table.columns, layout.side_by_side
    shown = [columns[index] for index in places]
    body = _Body(shown, layout, width=width)
    headings = [column.heading for column in shown]
    lines = body.folded_lines(headings, ["bold" if color else ""] * len(shown))
    # Where no key is left in the lines of the rows, what is above them is a name of its row and needs no label.
    is_labelled = len(layout.above) > 1 or any(table.is_key(index) for index in places)
    if layout.above and not is_labelled:
        lines.insert(0, styled(columns[layout.above[0]].heading, "bold" if color else ""))
    rule = RULE * (sum(layout.widths) + layout.gap * (len(shown) - 1))
    lines += [rule] if rule else []
    cells_of_rows: Iterator[tuple[str, ...]] = zip(*(texts[index] for index in places), strict=True)
    if not shown:
        cells_of_rows = iter([()] * len(rows))
    narrowed = [
        place
        for place, index in enumerate(places)
        if max(map(num_cells, texts[index]), default=0) > layout.widths[place]
    ]
    before: list[str] = []
    for number, (row, cells) in enumerate(zip(rows, cells_of_rows, strict=True)):
        if layout.above:
            above = _texts_of(columns, texts, layout.above, number, is_labelled=is_labelled)
            if above != before:
                lines += _above_lines(above, width or 1)
                before = above
        if not color and all(num_cells(cells[place]) <= layout.widths[place] for place in narrowed):
            lines.append(body.line(cells))
        else:
            lines += body.row_lines(cells, [column.style(row) if color else "" for column in shown])
        for text in _texts_of(columns, texts, layout.below, number, is_labelled=True):
            lines += wrapped(text, width or 1, indent=INDENT)
    return lines


class _Body:
    """The lines of a row, its columns side by side."""

    def __init__(self, columns: Sequence[Column], layout: Layout, *, width: int | None) -> None:
        self._foldable = [column.foldable for column in columns]
        self._pads: list[Callable[[str, int], str]] = [_pad_left if one.numeric else _pad_right for one in columns]
        self._widths, self._gap, self._width = layout.widths, " " * layout.gap, width

    def line(self, cells: Sequence[str]) -> str:
        """Return cells that fit into their columns as a line."""
        padded = [pad(cell, size) for pad, cell, size in zip(self._pads, cells, self._widths, strict=True)]
        return self._gap.join(padded).rstrip()

    def row_lines(self, cells: Sequence[str], styles: Sequence[str]) -> list[str]:
        """Return the lines of a row; behind a key for which its column is too narrow begins another line."""
        unbroken = [longest_word if folds else num_cells for folds in self._foldable]
        sizes = [size(cell) for size, cell in zip(unbroken, cells, strict=True)]
        too_long = [place for place, size in enumerate(sizes) if size > self._widths[place]]
        if not too_long:
            return self.folded_lines(cells, styles)
        num_first = too_long[-1] + 1
        first = self._gap.join(filter(None, cells[:num_first]))
        rest = self.folded_lines([""] * num_first + list(cells[num_first:]), styles)
        styled_first = [styled(line, styles[num_first - 1]) for line in wrapped(first, self._width or len(first))]
        return [*styled_first, *filter(None, rest)]

    def folded_lines(self, cells: Sequence[str], styles: Sequence[str]) -> list[str]:
        """Return cells as lines in which they are folded between words."""
        parts = [
            [styled(part, style) for part in wrapped(cell, size)]
            for cell, size, style in zip(cells, self._widths, styles, strict=True)
        ]
        num_lines = max(map(len, parts), default=0)
        return [self.line(one) for one in zip(*(part + [""] * (num_lines - len(part)) for part in parts), strict=True)]


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


def _texts_of(
    columns: Sequence[Column],
    texts: Sequence[Sequence[str]],
    indices: Sequence[int],
    number: int,
    *,
    is_labelled: bool,
) -> list[str]:
    """Return the cells of a row with their headings, if they are labelled, and without those that say nothing."""
    return [
        f"{columns[index].heading}: {texts[index][number]}" if is_labelled else texts[index][number]
        for index in indices
        if texts[index][number] not in ABSENT
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

"""The body of a table for a terminal: aligned columns, long texts folded between words, nothing ever cut.

rich's own tables hold an object for every character run of every cell: with 100,000 rows they took most of the time
and more than a gigabyte. Here a cell is one string, and of most rows the line is made in one go.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.tables.wrapping import longest_word, num_cells, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.tables.layout import Layout
    from perfsuite.analysis.tables.table import Table

RULE = "\N{BOX DRAWINGS LIGHT HORIZONTAL}"
INDENT = 2
"""Of a text below its row."""

ABSENT = {"", "-"}
"""Texts that say nothing: they are not shown below a row."""


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
    body = _Body(table, texts, layout, width=width, color=color)
    lines = body.head_lines()
    before: list[str] = []
    for number, row in enumerate(rows):
        above = body.above(number)
        lines += body.above_lines(_changed(before, above), row)
        lines += body.side_by_side_lines(number, row)
        lines += body.below_lines(number)
        before = above
    return lines


class _Body:
    """The lines of a table: above a row what it shares with others, its columns side by side, long texts below it."""

    def __init__(
        self, table: Table, texts: Sequence[Sequence[str]], layout: Layout, *, width: int | None, color: bool
    ) -> None:
        self._columns, self._texts, self._layout = table.columns, texts, layout
        self._widths, self._gap = layout.widths, " " * layout.gap
        self._width, self._color = width, color
        self._shown = [table.columns[index] for index in layout.side_by_side]
        self._shown_texts = [texts[index] for index in layout.side_by_side]
        self._pads: list[Callable[[str, int], str]] = [
            _pad_left if column.numeric else _pad_right for column in self._shown
        ]
        # Where no key is left in the lines of the rows, what is above them is a name of its row and needs no label.
        self._is_labelled = len(layout.above) > 1 or any(table.is_key(index) for index in layout.side_by_side)
        # Of most rows all cells fit: only columns that are narrower than one of their texts are looked at.
        self._narrowed = [
            place
            for place, cells in enumerate(self._shown_texts)
            if max(map(num_cells, cells), default=0) > self._widths[place]
        ]

    def head_lines(self) -> list[str]:
        """Return the headings and the rule below them."""
        lines: list[str] = []
        bold = "bold" if self._color else ""
        if self._layout.above and not self._is_labelled:
            heading = self._columns[self._layout.above[0]].heading
            lines += [styled(line, bold) for line in wrapped(heading, self._width or 1)]
        lines += self._folded_lines([column.heading for column in self._shown], [bold] * len(self._shown))
        rule = RULE * (sum(self._widths) + len(self._gap) * (len(self._shown) - 1))
        if rule:
            lines.append(rule)
        return lines

    def above(self, number: int) -> list[str]:
        """Return the texts of a row that go above it."""
        return [self._text(index, number, is_labelled=self._is_labelled) for index in self._layout.above]

    def above_lines(self, texts: Sequence[str], row: dict[str, Any]) -> list[str]:
        """Return those that are not as those of the row before."""
        above = self._layout.above
        style = self._columns[above[0]].style(row) if self._color and len(above) == 1 else ""
        return [styled(line, style) for line in _joined_lines(texts, self._width or 1)]

    def side_by_side_lines(self, number: int, row: dict[str, Any]) -> list[str]:
        """Return the columns of a row side by side."""
        cells = [texts[number] for texts in self._shown_texts]
        if self._color:
            return self._row_lines(cells, [column.style(row) for column in self._shown])
        if all(num_cells(cells[place]) <= self._widths[place] for place in self._narrowed):
            return [self._line(cells)] if cells else []
        return self._row_lines(cells, [""] * len(cells))

    def below_lines(self, number: int) -> list[str]:
        """Return the texts of a row that go below it."""
        lines = []
        for index in self._layout.below:
            if self._texts[index][number] not in ABSENT:
                lines += wrapped(self._text(index, number, is_labelled=True), self._width or 1, indent=INDENT)
        return lines

    def _text(self, index: int, number: int, *, is_labelled: bool) -> str:
        text = self._texts[index][number]
        return f"{self._columns[index].heading}: {text}" if is_labelled else text

    def _line(self, cells: Sequence[str]) -> str:
        """Return cells that fit into their columns as a line."""
        padded = [pad(cell, size) for pad, cell, size in zip(self._pads, cells, self._widths, strict=True)]
        return self._gap.join(padded).rstrip()

    def _row_lines(self, cells: Sequence[str], styles: Sequence[str]) -> list[str]:
        """Return the lines of a row; behind a key for which its column is too narrow begins another line."""
        unbroken = [longest_word if column.foldable else num_cells for column in self._shown]
        sizes = [size(cell) for size, cell in zip(unbroken, cells, strict=True)]
        too_long = [place for place, size in enumerate(sizes) if size > self._widths[place]]
        if not too_long:
            return self._folded_lines(cells, styles)
        num_first = too_long[-1] + 1
        first = self._gap.join(filter(None, cells[:num_first]))
        rest = self._folded_lines([""] * num_first + list(cells[num_first:]), styles)
        styled_first = [styled(line, styles[num_first - 1]) for line in wrapped(first, self._width or len(first))]
        return [*styled_first, *filter(None, rest)]

    def _folded_lines(self, cells: Sequence[str], styles: Sequence[str]) -> list[str]:
        """Return cells as lines in which they are folded between words."""
        parts: list[list[str]] = []
        for cell, size, style in zip(cells, self._widths, styles, strict=True):
            parts.append([styled(part, style) for part in wrapped(cell, size)])
        return [self._line(one) for one in itertools.zip_longest(*parts, fillvalue="")]


def _changed(before: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """Return the keys from the first on that is not that of the row before: those before it hold on."""
    num_same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, now, strict=False)))
    return now[num_same:]


def _joined_lines(parts: Sequence[str], width: int) -> list[str]:
    """Return keys in as few lines as they fit into; one that is wider than a line is wrapped."""
    lines: list[str] = []
    for part in parts:
        together = f"{lines[-1]}, {part}" if lines else part
        if lines and num_cells(together) <= width:
            lines[-1] = together
        else:
            lines += wrapped(part, width)
    return lines


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

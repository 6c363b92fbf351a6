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
    from perfsuite.analysis.tables.table import Column, Table

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
    columns, places = table.columns, layout.side_by_side
    shown = [columns[index] for index in places]
    body = _Body(shown, layout, width=width)
    line_width = width or 1
    # Where no key is left in the lines of the rows, what is above them is a name of its row and needs no label.
    is_labelled = len(layout.above) > 1 or any(table.is_key(index) for index in places)
    lines: list[str] = []
    bold = "bold" if color else ""
    if layout.above and not is_labelled:
        lines += [styled(line, bold) for line in wrapped(columns[layout.above[0]].heading, line_width)]
    lines += body.folded_lines([column.heading for column in shown], [bold] * len(shown))
    rule = RULE * (sum(layout.widths) + layout.gap * (len(shown) - 1))
    if rule:
        lines.append(rule)
    cells_of_rows = zip(*(texts[index] for index in places), strict=True) if places else itertools.repeat(())
    narrowed = body.narrowed([texts[index] for index in places])
    before: list[str] = []
    for number, (row, cells) in enumerate(zip(rows, cells_of_rows, strict=False)):
        if layout.above:
            above = [_text_of(columns[index], texts[index][number], is_labelled=is_labelled) for index in layout.above]
            style = columns[layout.above[0]].style(row) if color and len(above) == 1 else ""
            lines += [styled(line, style) for line in _above_lines(_changed(before, above), line_width)]
            before = above
        if color:
            lines += body.row_lines(cells, [column.style(row) for column in shown])
        elif not body.fit(cells, narrowed):
            lines += body.row_lines(cells, [""] * len(shown))
        elif cells:
            lines.append(body.line(cells))
        for index in layout.below:
            if texts[index][number] not in ABSENT:
                text = _text_of(columns[index], texts[index][number], is_labelled=True)
                lines += wrapped(text, line_width, indent=INDENT)
    return lines


class _Body:
    """The lines of a row, its columns side by side."""

    def __init__(self, columns: Sequence[Column], layout: Layout, *, width: int | None) -> None:
        self._foldable = [column.foldable for column in columns]
        self._pads: list[Callable[[str, int], str]] = [_pad_left if one.numeric else _pad_right for one in columns]
        self._widths, self._gap, self._width = layout.widths, " " * layout.gap, width

    def narrowed(self, texts: Sequence[Sequence[str]]) -> list[int]:
        """Return which columns are narrower than one of their texts."""
        return [
            place for place, cells in enumerate(texts) if max(map(num_cells, cells), default=0) > self._widths[place]
        ]

    def fit(self, cells: Sequence[str], narrowed: Sequence[int]) -> bool:
        """Whether the cells of a row fit into their columns; only the narrowed columns are looked at."""
        return all(num_cells(cells[place]) <= self._widths[place] for place in narrowed)

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
        parts: list[list[str]] = []
        for cell, size, style in zip(cells, self._widths, styles, strict=True):
            parts.append([styled(part, style) for part in wrapped(cell, size)])
        return [self.line(one) for one in itertools.zip_longest(*parts, fillvalue="")]


def _changed(before: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """Return the keys from the first on that is not that of the row before: those before it hold on."""
    num_same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, now, strict=False)))
    return now[num_same:]


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


def _text_of(column: Column, text: str, *, is_labelled: bool) -> str:
    return f"{column.heading}: {text}" if is_labelled else text


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

"""Which columns of a table a terminal shows side by side, and what becomes of those for which it is too narrow."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.tables.table import Priority
from perfsuite.analysis.tables.wrapping import longest_word, num_cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.analysis.tables.table import Column, Table

FOLDED_WIDTH = 28
"""Columns of a terminal that a text which may be folded keeps at least."""

MAX_FOLDED_LINES = 3
"""A text that would take more lines in its column is shown below its row instead."""

FITTING_RATIO = 0.9
"""Share of the rows whose keys fit into their column; the rest of a row with a longer one is in the line below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the columns of a table are shown; each is named by its position in the table.

    Attributes:
        side_by_side: Columns of the lines of a row, in their order.
        widths: Of each of those.
        gap: Spaces between two of them.
        above: Keys for which there is no room in the line of a row: above the first of the rows that share them.
        below: Long texts, below their row.
        left_out: Columns that are not shown, in their order.
        full_width: The narrowest terminal that leaves none out, where this one leaves any out.
    """

    side_by_side: tuple[int, ...]
    widths: tuple[int, ...]
    gap: int
    above: tuple[int, ...] = ()
    below: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    full_width: int = 0


def lay_out(table: Table, texts: Sequence[Sequence[str]], *, width: int | None) -> Layout:
    """Choose where the columns are shown.

    In this order, until the others fit: texts that may be folded are, at spaces, and columns of keys become narrower
    than the few longest keys; the first keys, if many rows share them, go above their rows; long texts go below their
    row; other keys go above their rows where most other columns would be left out; the least important columns are left
    out, of equally important ones the last first.

    Args:
        table: With at least one column.
        texts: Of each column, one a row, printable.
        width: Of the terminal; None is as wide as it takes.
    """
    columns, priorities = table.columns, table.priorities
    natural = [_natural_width(column, cells) for column, cells in zip(columns, texts, strict=True)]
    everything = list(range(len(columns)))
    if width is None:
        return Layout(side_by_side=tuple(everything), widths=tuple(natural), gap=_GAP)
    sizes = _Sizes(table, texts, natural, width)
    keys = [index for index in everything if priorities[index] == Priority.KEY]
    prose = [index for index in everything if columns[index].foldable and index not in keys]
    num_shared = _num_shared([texts[index] for index in keys])
    for num_prose, num_above in itertools.product(range(len(prose), -1, -1), range(num_shared + 1)):
        above, below = keys[:num_above], prose[num_prose:]
        line = _without(everything, above, below)
        if sizes.fit(line) and sizes.fold_well(line, prose[:num_prose]):
            return sizes.layout(line, above=above, below=below)
    above = keys[:num_shared]
    line = _without(everything, above, prose)
    full_width = sizes.least_width(line)
    for key in keys[num_shared:]:
        if _says_enough(sizes.most_important(line), line, priorities):
            break
        above.append(key)
        line.remove(key)
    kept = sizes.most_important(line)
    return sizes.layout(kept, above=above, below=prose, left_out=_without(line, kept), full_width=full_width)


def _without(columns: Sequence[int], *others: Sequence[int]) -> list[int]:
    """Return the columns that are in none of the others."""
    return [index for index in columns if all(index not in left for left in others)]


_GAP = 2
_MIN_GAP = 1
_MANY_ROWS = 5
_MIN_SHARE = 1 / 4


def _num_shared(keys: Sequence[Sequence[str]]) -> int:
    """Return of how many of the first keys many rows in succession have the same values, on average."""
    for number in range(len(keys)):
        values = list(zip(*keys[: number + 1], strict=True))
        num_groups = 1 + sum(one != next_one for one, next_one in itertools.pairwise(values))
        if num_groups * _MANY_ROWS > len(values):
            return number
    return len(keys)


def _says_enough(kept: Sequence[int], line: Sequence[int], priorities: Sequence[Priority]) -> bool:
    """Whether all the main columns of a line are kept, and of those that are no keys a quarter at least."""
    lost = [index for index in line if index not in kept]
    others = [index for index in line if priorities[index] != Priority.KEY]
    lost_main = any(priorities[index] <= Priority.MAIN for index in lost)
    return not lost_main and len(others) - len(lost) >= _MIN_SHARE * len(others)


def _natural_width(column: Column, cells: Sequence[str]) -> int:
    return max(longest_word(column.heading), max(map(num_cells, cells), default=0))


class _Sizes:
    """How wide columns are, and whether they fit into a line."""

    def __init__(self, table: Table, texts: Sequence[Sequence[str]], natural: Sequence[int], width: int) -> None:
        self._natural, self._width, self._priorities = natural, width, table.priorities
        self._least = list(natural)
        for index, (column, priority) in enumerate(zip(table.columns, table.priorities, strict=True)):
            if natural[index] > FOLDED_WIDTH and (column.foldable or priority == Priority.KEY):
                needed = sorted(map(longest_word if column.foldable else num_cells, texts[index]))
                num_fitting = math.ceil(len(needed) * (FITTING_RATIO if priority == Priority.KEY else 1))
                self._least[index] = max([*needed[:num_fitting][-1:], longest_word(column.heading), FOLDED_WIDTH])

    def layout(
        self,
        line: Sequence[int],
        *,
        above: Sequence[int],
        below: Sequence[int],
        left_out: Sequence[int] = (),
        full_width: int = 0,
    ) -> Layout:
        """Return the layout with these columns side by side, which fit."""
        return Layout(
            side_by_side=tuple(line),
            widths=tuple(self.folded(line)),
            gap=self.gap(line),
            above=tuple(above),
            below=tuple(below),
            left_out=tuple(left_out),
            full_width=full_width,
        )

    def least_width(self, line: Iterable[int]) -> int:
        """Return how wide a line is where everything that may be folded is."""
        least = [self._least[index] for index in line]
        return sum(least) + _MIN_GAP * max(len(least) - 1, 0)

    def fit(self, line: Iterable[int]) -> bool:
        """Whether the columns fit into a line."""
        return self.least_width(line) <= self._width

    def most_important(self, line: Sequence[int]) -> list[int]:
        """Return the columns of a line that are left when the least important ones are left out until they fit."""
        kept = list(line)
        while kept and not self.fit(kept):
            kept.remove(max(kept, key=lambda index: (self._priorities[index], index)))
        return kept

    def gap(self, line: Sequence[int]) -> int:
        """Return how many spaces are between the columns of a line."""
        num_gaps = len(line) - 1
        return _GAP if sum(self._least[index] for index in line) + _GAP * num_gaps <= self._width else _MIN_GAP

    def folded(self, line: Sequence[int]) -> list[int]:
        """Return the widths of the columns of a line that they fit into: the widest that may be folded are first."""
        widths = {index: self._natural[index] for index in line}
        width = self._width - self.gap(line) * (len(line) - 1)
        while (excess := sum(widths.values()) - width) > 0:
            foldable = [index for index in line if widths[index] > self._least[index]]
            widest = max(foldable, key=widths.__getitem__)
            narrower = [widths[index] for index in foldable if widths[index] < widths[widest]]
            widths[widest] = max([widths[widest] - excess, self._least[widest], *narrower])
        return list(widths.values())

    def fold_well(self, line: Sequence[int], prose: Sequence[int]) -> bool:
        """Whether none of these texts would take very many lines; the columns fit into a line."""
        widths = dict(zip(line, self.folded(line), strict=True))
        return all(self._natural[index] <= MAX_FOLDED_LINES * widths[index] for index in prose)

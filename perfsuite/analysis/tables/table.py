"""Data frames -> tables for a terminal, Markdown, LaTeX, CSV and JSON. Only renders: all has been computed before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.ratio_text import percent_ratio_text, ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import plain, rows_of
from perfsuite.formatting import printable
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd


class Priority(IntEnum):
    """How important a column is where a terminal is too narrow for all: the highest number is left out first."""

    KEY = 0
    """It identifies a row, and is always shown."""
    MAIN = 1
    """It is what the table is about."""
    NORMAL = 2
    DETAIL = 3
    """It is for a closer look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column for people.

    Attributes:
        heading: What stands above it, unit included; printable, and one line.
        show: Turns a row of the frame (a dict) into text.
        numeric: Whether to align to the right.
        foldable: Whether its text may go on in the next line of a terminal that is too narrow, and if it is no key,
            below its row.
        style: Gives rich's style for a row, for terminals with colour; the text must say it too.
        shown_when: Whether it is shown: `shown` leaves out the others.
        priority: How important it is where not all columns fit; None: see `Table.priorities`.
    """

    heading: str
    show: Callable[[dict[str, Any]], str]
    numeric: bool = False
    foldable: bool = False
    style: Callable[[dict[str, Any]], str] = lambda _row: ""
    shown_when: bool = True
    priority: Priority | None = None

    def __post_init__(self) -> None:
        """Make a heading printable that is made of a name in a file."""
        object.__setattr__(self, "heading", printable(self.heading))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table, computed and not yet rendered.

    Attributes:
        title: One line.
        frame: All values in base units, as a data frame or as one dict per row; CSV and JSON have every column of it.
        columns: What people are shown.
        notes: What a reader must know to trust its numbers, in words: never folded away.
        legend: How to read its columns, in words; where room is short, it may be folded.
    """

    title: str
    frame: pd.DataFrame | list[dict[str, Any]]
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()
    legend: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it has no rows."""
        return len(self.frame) == 0

    @property
    def priorities(self) -> list[Priority]:
        """The priority of each column.

        Where a column has none of its own, columns before the first number are keys, and that number is what the table
        is about.
        """
        found: list[Priority] = []
        usual = Priority.KEY
        for column in self.columns:
            own = column.priority
            if column.numeric and usual == Priority.KEY:
                found.append(Priority.MAIN if own is None else own)
                usual = Priority.NORMAL
            else:
                found.append(usual if own is None else own)
        return found

    def is_key(self, index: int) -> bool:
        """Whether the column at that position identifies a row."""
        return self.priorities[index] == Priority.KEY

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as dicts of plain values, absent ones None."""
        if isinstance(self.frame, list):
            return [{name: plain(value) for name, value in row.items()} for row in self.frame]
        return rows_of(self.frame)


def shown(*columns: Column) -> tuple[Column, ...]:
    """Return the columns that are shown."""
    return tuple(column for column in columns if column.shown_when)


def text_column(
    key: str,
    heading: str | None = None,
    *,
    foldable: bool = False,
    shown_when: bool = True,
    priority: Priority | None = None,
) -> Column:
    """Show a column as it is; a dash where it is absent."""

    def show(row: dict[str, Any]) -> str:
        return "-" if row[key] is None else str(row[key])

    return Column(
        heading=heading or key.replace("_", " "),
        show=show,
        foldable=foldable,
        shown_when=shown_when,
        priority=priority,
    )


def metric_column(
    key: str,
    *,
    source: str | None = None,
    heading: str | None = None,
    shown_when: bool = True,
    priority: Priority | None = None,
) -> Column:
    """Show a registered metric in its unit for people.

    Args:
        key: The metric.
        source: The frame's column, if it is named otherwise.
        heading: Another heading than the metric's own.
        shown_when: Whether it is shown.
        priority: How important it is where not all columns fit.
    """
    metric = METRICS[key]
    name = source or key
    return Column(
        heading=heading or metric.heading,
        show=lambda row: metric.show(row.get(name)),
        numeric=True,
        shown_when=shown_when,
        priority=priority,
    )


def ratio_column(
    name: str, heading: str, *, decimals: int = 2, shown_when: bool = True, priority: Priority | None = None
) -> Column:
    """Show a ratio that `ratio_columns` wrote, with its interval or its spread; that it has neither is said."""

    def show(row: dict[str, Any]) -> str:
        ratio = ratio_of_row(row, name)
        return "-" if ratio is None else ratio_text(ratio, decimals=decimals, brief=True)

    return Column(heading=heading, show=show, numeric=True, shown_when=shown_when, priority=priority)


def percent_column(name: str, heading: str, *, shown_when: bool = True, priority: Priority | None = None) -> Column:
    """Show a ratio that `ratio_columns` wrote and that is a share of a whole, in percent."""

    def show(row: dict[str, Any]) -> str:
        ratio = ratio_of_row(row, name)
        return "-" if ratio is None else percent_ratio_text(ratio, brief=True)

    return Column(heading=heading, show=show, numeric=True, shown_when=shown_when, priority=priority)

"""Which rows of tables are shown, and in which order."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.selection import in_natural_order, row_names
from perfsuite.errors import InvalidChoiceError
from perfsuite.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.selection import Expression
    from perfsuite.analysis.tables.table import Table

SORTS = ("name", "time")

TIME_COLUMNS = ("time_median_s", "time_s", "training_time_s", "step_slowest_s", "time_mean_s", "time_min_s")
"""What `--sort time` sorts by, the first of these that a table has; of several versions the slowest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChoice:
    """Which rows are shown, all of them by default.

    Attributes:
        select: An expression over names and workloads, or None.
        sort: Of `SORTS`; None for the order of the files.
    """

    select: Expression | None = None
    sort: str | None = None


def choose_rows(tables: Sequence[Table], choice: TableChoice) -> list[Table]:
    """Return the tables with the rows that are shown, each with a note on how many those are; empty ones are left out.

    Args:
        tables: All that would be shown.
        choice: Which rows of them.

    Raises:
        InvalidChoiceError: No row is selected, or no table has what it is to be sorted by.
    """
    if all(table.is_empty for table in tables):  # they say why
        return list(tables)
    if choice.sort == "time" and not any(_time_column(table) for table in tables):
        raise InvalidChoiceError("--sort time: there are no times in this table; choose name")
    if choice.select is None:
        return [_sorted(table, choice.sort) for table in tables]
    kept = [_selected(table, choice.select) for table in tables]
    if all(table.is_empty for table in kept):
        num_rows = sum(len(table.frame) for table in tables)
        raise InvalidChoiceError(
            f"--select: {choice.select.text[:100]!r} matches none of {num_rows:,} rows{_some_names(tables)}"
        )
    return [_sorted(table, choice.sort) for table in kept if not table.is_empty]


def _some_names(tables: Sequence[Table]) -> str:
    """Return the names of the first rows, as the end of a message."""
    names = [name for table in tables for row in table.rows() for name in row_names(row)[:1]]
    if not names:
        return ""
    return f"; there are {', '.join(dict.fromkeys(map(printable, names[:3])))}, ..."


def selection_notes(tables: Sequence[Table]) -> list[str]:
    """Return the notes on how many rows are shown, for formats whose tables have none."""
    return [note for table in tables for note in table.notes[:1] if note.startswith("shown: ")]


def _selected(table: Table, select: Expression) -> Table:
    rows = [index for index, row in enumerate(table.rows()) if select.matches(row_names(row))]
    note = f"shown: {len(rows):,} of {len(table.frame):,} rows (--select {select.text!r})"
    return dataclasses.replace(table, frame=_taken(table, rows), notes=(note, *table.notes))


def _sorted(table: Table, sort: str | None) -> Table:
    if sort is None:
        return table
    rows = table.rows()
    time = _time_column(table)
    if sort == "name":
        order = sorted(range(len(rows)), key=lambda index: [in_natural_order(name) for name in row_names(rows[index])])
    elif time is not None:
        order = sorted(range(len(rows)), key=lambda index: -_seconds(rows[index][time]))
    else:
        return table
    return dataclasses.replace(table, frame=_taken(table, order))


def _taken(table: Table, rows: Sequence[int]) -> Any:
    if isinstance(table.frame, list):
        return [table.frame[index] for index in rows]
    return table.frame.iloc[list(rows)]


def _time_column(table: Table) -> str | None:
    names: Any = ()
    if not isinstance(table.frame, list):
        names = table.frame.columns
    elif table.frame:
        names = table.rows()[0]
    return next((name for name in TIME_COLUMNS if name in names), None)


def _seconds(value: Any) -> float:
    """Return a time for sorting; of several versions the longest, of none 0."""
    if isinstance(value, list):
        return max(map(_seconds, value), default=0.0)
    return float(value) if isinstance(value, int | float) else 0.0  # a saved table may hold anything

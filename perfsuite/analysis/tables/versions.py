"""Benchmarks of other projects in several versions as tables: a column per version, the fastest marked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.extra_info import PREFIX, SHORT_CHARACTERS, extra_text
from perfsuite.analysis.frames.version_pivot import version_pivots
from perfsuite.analysis.tables.shared_columns import notes_of
from perfsuite.analysis.tables.steps import plain_table
from perfsuite.analysis.tables.table import Column, Priority, Table
from perfsuite.formatting import duration, plural, significant

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.frames.version_pivot import VersionPivot

FASTEST = " *"

MARK_NOTE = "* the fastest of a row, by one number of each: perfsuite compare says which differences are significant"

ALL_ROWS_NOTE = "--table steps has a row per benchmark and file, --format csv and json all statistics"

_UNITS = (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9))


def version_tables(results: Results) -> list[Table]:
    """Return a table per suite that several files measured, and one of the other benchmarks; none without the first."""
    pivots, left = version_pivots(results)
    if not pivots:
        return []
    tables = [_versions_table(pivot) for pivot in pivots]
    if len(left.benchmarks):
        tables.append(dataclasses.replace(plain_table(left), notes=()))  # the first table has those of all files
    first = tables[0]
    tables[0] = dataclasses.replace(
        first, notes=(*first.notes, *notes_of(results)), legend=(*first.legend, ALL_ROWS_NOTE)
    )
    return tables


def _versions_table(pivot: VersionPivot) -> Table:
    several = [
        f"{name} ({plural(num, 'file')})" for name, num in zip(pivot.versions, pivot.num_files, strict=True) if num > 1
    ]
    legend = ["ratio: slowest / fastest of a row", MARK_NOTE]
    if several:
        legend.append(f"geometric means over files: {', '.join(several)}")
    notes = [f"{plural(pivot.num_zero, 'time')} of 0 not shown: nothing takes none"] if pivot.num_zero else []
    return Table(
        title=f"{plural(len(pivot.rows), 'benchmark')} in {plural(len(pivot.versions), 'version')}: {pivot.statistic}",
        frame=list(pivot.rows),
        columns=(
            Column(heading="benchmark", show=lambda row: row["name"], foldable=True),
            *(_version_column(index, name) for index, name in enumerate(pivot.versions)),
            Column(heading="ratio", show=_range, numeric=True, priority=Priority.NORMAL),
            *(_extra_column(name, pivot) for name in pivot.rows[0]["extra"]),
        ),
        legend=tuple(legend),
        notes=tuple(notes),
    )


def _version_column(index: int, name: str) -> Column:
    def show(row: dict[str, Any]) -> str:
        seconds = row["time_s"][index]
        if seconds is None:
            return f"-{' ' * len(FASTEST)}"
        known = [one for one in row["time_s"] if one is not None]
        is_fastest = len(known) > 1 and seconds == min(known)
        return f"{_in_unit_of(min(known), seconds)}{FASTEST if is_fastest else ' ' * len(FASTEST)}"

    return Column(heading=name, show=show, numeric=True, priority=Priority.MAIN)


def _in_unit_of(fastest_s: float, seconds: float) -> str:
    """Return a time in the unit that suits the fastest of its row: numbers of one unit can be compared."""
    unit = duration(fastest_s).rpartition(" ")[2]
    return f"{significant(seconds * dict(_UNITS)[unit])} {unit}"


def _range(row: dict[str, Any]) -> str:
    known = [one for one in row["time_s"] if one is not None]
    return f"{significant(max(known) / min(known), 3)}x" if len(known) > 1 else "-"


def _extra_column(name: str, pivot: VersionPivot) -> Column:
    """Show what was asked for of `extra_info`: one value where it is the same in all versions, else each."""

    def show(row: dict[str, Any]) -> str:
        values = dict.fromkeys(extra_text(value) for value in row["extra"].get(name, ()) if value is not None)
        return ", ".join(values) or "-"

    is_short = all(len(show(row)) <= SHORT_CHARACTERS for row in pivot.rows)
    heading = name.removeprefix(PREFIX)
    return Column(heading=heading, show=show, foldable=not is_short, priority=Priority.NORMAL)

"""A table that was written as JSON before, shown again."""

from __future__ import annotations

import json
from typing import Any

from perfsuite.analysis.tables.table import Column, Table, metric_column, text_column
from perfsuite.formatting import plural, significant
from perfsuite.metrics import METRICS

NAMES = ("fullname", "benchmark")
"""Columns that are left out where others distinguish the rows: they are long."""


def saved_table(rows: list[dict[str, Any]], name: str) -> Table:
    """Return rows as a table: people are shown what differs between them, CSV and JSON have everything.

    Args:
        rows: As `read_saved_table` returns them.
        name: Of their file.
    """
    texts, numbers = _shown_keys(rows)
    keys = [key for key in texts if key not in NAMES]
    if _num_distinguished(rows, keys) < len(rows):
        keys = texts
    notes = ["notes are not saved with a table"]
    if len(rows) > 1:
        notes.insert(0, "shown: what differs between the rows; --format csv and json have every column")
    return Table(
        title=f"{plural(len(rows), 'row')} of {name}",
        frame=rows,
        columns=(*(text_column(key, foldable=key in NAMES) for key in keys), *_number_columns(numbers)),
        legend=tuple(notes),
    )


def _shown_keys(rows: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Return which keys of the rows are shown: texts, and numbers."""
    texts, numbers = [], []
    for key in rows[0] if rows else ():
        values = [row[key] for row in rows]
        if not _is_shown(values):
            continue
        if all(map(_is_number_or_none, values)):
            numbers.append(key)
        else:
            texts.append(key)
    return texts, numbers


def _num_distinguished(rows: list[dict[str, Any]], keys: list[str]) -> int:
    return len({tuple(str(row[key]) for key in keys) for row in rows})


def _is_shown(values: list[Any]) -> bool:
    """Whether a column says something: of several rows where they differ, of one row where there is a value."""
    if len(values) == 1:
        return values[0] is not None
    return len({json.dumps(value) for value in values}) > 1


def _number_columns(keys: list[str]) -> list[Column]:
    """Return columns of numbers, metrics in their units; headings that two metrics share name the metric instead."""
    headings = [METRICS[key].heading for key in keys if key in METRICS]
    columns = []
    for key in keys:
        if key not in METRICS:
            columns.append(_plain_column(key))
        elif headings.count(METRICS[key].heading) > 1:
            columns.append(metric_column(key, heading=f"{METRICS[key].heading} ({key})"))
        else:
            columns.append(metric_column(key))
    return columns


def _plain_column(key: str) -> Column:
    def show(row: dict[str, Any]) -> str:
        value = row[key]
        if value is None:
            return "-"
        return f"{value:,}" if isinstance(value, int) else significant(value)

    return Column(heading=key.replace("_", " "), show=show, numeric=True)


def _is_number_or_none(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))

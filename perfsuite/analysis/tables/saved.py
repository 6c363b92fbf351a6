"""A table that was written as JSON before, shown again."""

from __future__ import annotations

from typing import Any

from perfsuite.analysis.tables.table import Column, Table, metric_column, shown, text_column
from perfsuite.metrics import METRICS

NAMES = ("fullname", "benchmark")
"""Columns that are left out where others tell the rows apart: they are long."""


def saved_table(rows: list[dict[str, Any]], name: str) -> Table:
    """Return rows as a table: people are shown what differs between them, CSV and JSON have everything.

    Args:
        rows: As `read_saved_table` returns them.
        name: Of their file.
    """
    metrics, texts = [], []
    for key in rows[0]:
        values = [row[key] for row in rows]
        if len(rows) > 1 and len(set(values)) == 1:
            continue
        if key in METRICS and all(map(_is_number_or_none, values)):
            metrics.append(key)
        elif all(map(_is_text_or_none, values)):
            texts.append(key)
    keys = [key for key in texts if key not in NAMES]
    distinguished = {tuple(row[key] for key in keys) for row in rows}
    if len(distinguished) < len(rows):
        keys = texts
    return Table(
        title=f"{len(rows)} rows of {name}",
        frame=rows,
        columns=shown(*(_key_column(key) for key in keys), *(metric_column(key) for key in metrics)),
        notes=("shown: what differs between the rows; --format csv and json have every column",),
        num_key_columns=len(keys),
    )


def _key_column(key: str) -> Column:
    return text_column(key, foldable=key in NAMES)


def _is_number_or_none(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str | int)  # a boolean is an int

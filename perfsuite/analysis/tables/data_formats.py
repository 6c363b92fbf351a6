"""Tables as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.rows import columns_of
from perfsuite.formatting import printable, printable_json

if TYPE_CHECKING:
    from perfsuite.analysis.tables.table import Table


def render_csv(table: Table) -> str:
    """Return every column of the frame in base units, one line per row; absent values are empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    if isinstance(table.frame, list):
        rows = table.rows()
        writer.writerow(_csv_cell(heading) for heading in (rows[0] if rows else {}))
        writer.writerows([_csv_cell(value) for value in row.values()] for row in rows)
    else:
        writer.writerow(_csv_cell(str(heading)) for heading in table.frame.columns)
        writer.writerows(zip(*map(_csv_cells, columns_of(table.frame)), strict=True))
    return stream.getvalue()


FORMULA_STARTS = ("=", "+", "-", "@")

_NUMBERS = {float, int, bool, type(None)}


def _csv_cells(values: list[Any]) -> list[Any]:
    """Return a column of cells; a text that many rows share is looked at once."""
    types = set(map(type, values))
    if types <= _NUMBERS:
        return values
    if types <= {str, type(None)}:
        cells = {value: _csv_cell(value) for value in set(values)}
        return [cells[value] for value in values]
    return [_csv_cell(value) for value in values]


def _csv_cell(value: Any) -> Any:
    """Return a cell that neither a terminal nor a spreadsheet acts on; numbers stay numbers.

    A spreadsheet computes a text that begins like a formula, and shows one behind an apostrophe as it is.
    """
    if type(value) in _NUMBERS:
        return value
    text = str(value)
    if not text.isprintable():
        text = printable(text)
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) else text


def render_json(table: Table) -> str:
    """Return a list of objects, one per row, every column in base units; absent values are null."""
    return printable_json(json.dumps(table.rows(), indent=1, allow_nan=False, ensure_ascii=False)) + "\n"

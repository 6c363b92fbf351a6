"""Tables as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from perfsuite.formatting import printable, printable_json

if TYPE_CHECKING:
    from perfsuite.analysis.tables.table import Table


def render_csv(table: Table) -> str:
    """Return every column of the frame in base units, one line per row; absent values are empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    rows = table.rows()
    headings = (rows[0] if rows else {}) if isinstance(table.frame, list) else table.frame.columns
    writer.writerow(_csv_cell(str(heading)) for heading in headings)
    writer.writerows([_csv_cell(value) for value in row.values()] for row in rows)
    return stream.getvalue()


FORMULA_STARTS = ("=", "+", "-", "@")


_NUMBERS = {float, int, bool, type(None)}


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

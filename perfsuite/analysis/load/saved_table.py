"""A table that perfsuite wrote as JSON, read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.load.json_file import read_json_file
from perfsuite.atomic_write import open_ordinary
from perfsuite.errors import RecordError, ResultFileError
from perfsuite.records.strict_json import check_length, is_number, kind_of

if TYPE_CHECKING:
    from pathlib import Path

NUM_FIRST_BYTES = 64


def is_saved_table(path: Path) -> bool:
    """Whether a file begins as a list does; one that cannot be read is told where it is read."""
    try:
        with open_ordinary(path) as stream:
            start = stream.read(NUM_FIRST_BYTES)
    except (OSError, ValueError):
        return False
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def read_saved_table(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table: objects with the same keys, whose values are texts, numbers, booleans or null.

    Raises:
        ResultFileError: It cannot be read, or is another list.
    """
    rows: list[dict[str, Any]] = read_json_file(path)
    if not rows:
        raise ResultFileError(f"{path}: a table without rows; there is nothing to show")
    try:
        for number, row in enumerate(rows):
            _check_row(row, rows[0], f"row {number}")
    except RecordError as error:
        raise ResultFileError(f"{path}: {error}; no table that perfsuite wrote") from None
    return rows


def _check_row(row: object, first: object, where: str) -> None:
    if not isinstance(row, dict) or not isinstance(first, dict):
        raise RecordError(f"{where} is {kind_of(row)}, an object is needed")
    if not row or list(row) != list(first):
        raise RecordError(f"{where} has other keys than the first row")
    for key, value in row.items():
        check_length(key, f"a key of {where}")
        if isinstance(value, str):
            check_length(value, where)
        elif not (value is None or isinstance(value, bool) or is_number(value)):
            raise RecordError(f"{where} has {kind_of(value)} in it, a text or a number is needed")

"""A table that perfsuite wrote as JSON, read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.load.json_file import read_json_file
from perfsuite.atomic_write import open_ordinary
from perfsuite.errors import RecordError, ResultFileError
from perfsuite.records.strict_json import check_length, is_number, kind_of, shown

if TYPE_CHECKING:
    from pathlib import Path


def is_saved_table(path: Path) -> bool:
    """Whether a file begins as a list does; one that cannot be read is reported where it is read."""
    try:
        with open_ordinary(path) as stream:
            start = stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
            while not start and (more := stream.read(1 << 16)):
                start = more.lstrip()
    except (OSError, ValueError):
        return False
    return start.startswith(b"[")


def read_saved_table(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table: objects with the same keys, whose values are texts, numbers, booleans or null.

    Raises:
        ResultFileError: It cannot be read, or is another list.
    """
    rows: list[dict[str, Any]] = read_json_file(path)
    try:
        for number, row in enumerate(rows):
            _check_row(row, rows[0], f"row {number}")
    except RecordError as error:
        raise ResultFileError(f"{path}: not a table written by perfsuite: {error}") from None
    return [{key: row[key] for key in rows[0]} for row in rows]


def _check_row(row: object, first: object, where: str) -> None:
    if not isinstance(row, dict) or not isinstance(first, dict):
        raise RecordError(f"{where} is {kind_of(row)}, an object is needed")
    if not row or row.keys() != first.keys():
        raise RecordError(f"{where} has other keys than the first row, or none")
    for key, value in row.items():
        check_length(key, f"a key of {where}")
        if not (value is None or isinstance(value, str | bool) or is_number(value)):
            raise RecordError(
                f"{where}: {shown(key)} is {kind_of(value)}, a text, a boolean or a number below 2**63 is needed"
            )

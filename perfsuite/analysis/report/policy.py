"""What the page may do: nothing but show itself and run the one script that was written into it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfsuite.analysis.tables.table import Table

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a text must not begin with in a spreadsheet. Source: OWASP, CSV Injection."""


def content_policy(script: str, sheet: str) -> str:
    """Return the content security policy of a page with one script and one style sheet.

    Source: W3C, Content Security Policy Level 3: hashes of inline blocks; neither `unsafe-inline` nor `unsafe-eval`.
    """
    return (
        f"default-src 'none'; script-src '{_hashed(script)}'; style-src '{_hashed(sheet)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hashed(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def safe_csv(table: Table) -> str:
    """Return every column that has a value, in base units; no text in it is taken for a formula."""
    rows = table.rows()
    names = [
        name
        for name in (rows[0] if rows else {})
        if any(row.get(name) is not None and row.get(name) != "" for row in rows)
    ]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([_safe(name) for name in names])
    writer.writerows([_safe(row.get(name)) for name in names] for row in rows)
    return stream.getvalue()


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def csv_address(table: Table) -> str:
    """Return an address that holds the table as CSV: it downloads without a script and without a network."""
    content = safe_csv(table).encode("utf-8", "replace")
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(content).decode()}"

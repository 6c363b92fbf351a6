"""The one reader of small JSON and TOML files: settings and states, which may have been written by anybody.

Whatever is wrong with one is a `ResultFileError` of one line: size, depth and lengths are bounded before anything else
looks at the content.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from perfsuite.atomic_write import open_ordinary
from perfsuite.errors import ResultFileError
from perfsuite.records.strict_json import MAX_TEXT_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_DEPTH = 20
"""Tables within tables; what perfsuite reads has at most four."""


def read_json(path: Path, *, max_bytes: int) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        max_bytes: A larger one is not read.

    Raises:
        FileNotFoundError: There is none.
        ResultFileError: It cannot be read, or is not JSON within the limits.
    """
    return _parsed(path, max_bytes, "JSON", json.loads)


def read_toml(path: Path, *, max_bytes: int = 1_000_000) -> dict[str, Any]:
    """Read a TOML file; as `read_json`, and a missing file is a `ResultFileError` too."""
    try:
        content: dict[str, Any] = _parsed(path, max_bytes, "TOML", tomllib.loads)
    except FileNotFoundError:
        raise ResultFileError(f"{path}: cannot be read: no such file") from None
    return content


def _parsed(path: Path, max_bytes: int, kind: str, parse: Callable[[str], Any]) -> Any:
    text = _read_text(path, max_bytes, kind)
    try:
        content = parse(text)
    except RecursionError:
        raise ResultFileError(f"{path}: not {kind}: nested too deeply") from None
    except ValueError as error:
        raise ResultFileError(f"{path}: not {kind}: {str(error)[:200]}") from None
    problem = _beyond_limits(content)
    if problem is not None:
        raise ResultFileError(f"{path}: {problem}")
    return content


def _read_text(path: Path, max_bytes: int, kind: str) -> str:
    try:
        with open_ordinary(path) as stream:
            data = stream.read(max_bytes + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ResultFileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > max_bytes:
        raise ResultFileError(f"{path}: cannot be read: more than {max_bytes:,} bytes, which no such file has")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ResultFileError(f"{path}: not {kind} (not UTF-8 text)") from None


def _beyond_limits(content: Any) -> str | None:
    """Return what exceeds a limit, or None; without recursion, which depth itself would exhaust."""
    level = [content]
    for _ in range(MAX_DEPTH):
        next_level: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                next_level += value.values()
            elif isinstance(value, list):
                next_level += value
            texts = value if isinstance(value, dict) else [value]
            if any(isinstance(text, str) and len(text) > MAX_TEXT_CHARACTERS for text in texts):
                return f"holds a text of more than {MAX_TEXT_CHARACTERS:,} characters"
        if not next_level:
            return None
        level = next_level
    return f"nested more than {MAX_DEPTH} levels deep"

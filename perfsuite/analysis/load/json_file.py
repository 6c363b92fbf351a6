"""A JSON file from anywhere: read whole, and refused in one line where it cannot be used."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from typing import TYPE_CHECKING, Any, NoReturn

from perfsuite.atomic_write import open_ordinary
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO


COMPRESSED = ".gz"
"""The ending of a file that gzip compressed."""

MAX_UNCOMPRESSED_BYTES = 2_000_000_000
"""Of a compressed file: a few kilobytes can be made to hold more than any memory."""


_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of one half of a character beyond U+FFFF. Source: RFC 8259, section 8.2: JSON can hold one half alone."""


def read_json_file(path: Path) -> Any:
    """Return what a JSON file holds; one whose name ends in `.gz` is decompressed.

    A half of a character, which JSON can hold and UTF-8 cannot, is replaced by a question mark.

    Raises:
        ResultFileError: Missing, empty, cut off, not JSON, or NaN in it; one line naming file and reason.
    """
    return _parse(path, _read_text(path))


def _read_text(path: Path) -> str:
    try:
        with open_ordinary(path) as stream:
            content = _decompressed(path, stream) if path.suffix == COMPRESSED else stream.read()
            text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise ResultFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ResultFileError(f"{path}: a folder; name the files in it, {path}/*.json for instance") from None
    except UnicodeDecodeError:
        raise ResultFileError(f"{path}: not JSON (not UTF-8 text)") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ResultFileError(f"{path}: not a file that gzip compressed, or cut off: {error}") from None
    except (OSError, ValueError) as error:
        raise ResultFileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not text.strip():
        raise ResultFileError(f"{path}: empty")
    return text


def _decompressed(path: Path, stream: BinaryIO) -> bytes:
    with gzip.GzipFile(fileobj=stream) as decompressed:
        content = decompressed.read(MAX_UNCOMPRESSED_BYTES + 1)
    if len(content) > MAX_UNCOMPRESSED_BYTES:
        raise ResultFileError(f"{path}: contains more than {MAX_UNCOMPRESSED_BYTES:,} bytes, which no result file has")
    return content


def _parse(path: Path, text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ResultFileError(
            f"{path}: {constant} in it, which is not a number; nothing can be concluded from this file"
        )

    try:
        return _in_whole_characters(text, json.loads(text, parse_constant=refuse))
    except json.JSONDecodeError as error:
        at_end = error.pos >= len(text.rstrip())
        reason = "cut off" if at_end or error.msg.startswith("Unterminated string") else "not JSON"
        raise ResultFileError(f"{path}: {reason} (line {error.lineno}, column {error.colno}: {error.msg})") from None
    except (RecursionError, ValueError) as error:
        raise ResultFileError(f"{path}: not readable JSON ({type(error).__name__}: {str(error)[:80]})") from None


def _in_whole_characters(text: str, content: Any) -> Any:
    """Return the content of a text without halves of characters.

    They cannot be written in UTF-8, nor stand in a data frame where pyarrow is installed.
    """
    if not _HALF_CHARACTER.search(text):
        return content
    return json.loads(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))

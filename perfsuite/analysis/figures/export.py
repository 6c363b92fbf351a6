"""Computed results -> figures. Only draws: all has been computed before."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.figures.style import in_style
from perfsuite.atomic_write import write_atomically
from perfsuite.errors import InvalidChoiceError, ResultFileError

if TYPE_CHECKING:
    from pathlib import Path


FORMATS = (".svg", ".png", ".pdf")

UNDATED: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""The same files give the same figure, byte for byte: a picture in a repository changes only with what it shows."""


def check_chart_path(path: Path, *, option: str = "-o") -> None:
    """Check that a file's name ends in a format that figures are written in.

    Raises:
        InvalidChoiceError: It does not.
    """
    if path.suffix.lower() not in FORMATS:
        raise InvalidChoiceError(f"{option} {path}: a figure is written as {', '.join(FORMATS)}; name such a file")


def save_chart(figure: Any, path: Path) -> None:
    """Write a figure in the format that the file's name ends in.

    Raises:
        InvalidChoiceError: Another ending.
        ResultFileError: It cannot be written.
    """
    check_chart_path(path)
    stream = io.BytesIO()
    suffix = path.suffix.lower()
    with in_style(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name in letters that the font lacks is drawn as boxes
        figure.savefig(stream, format=suffix[1:], dpi=160, metadata=UNDATED.get(suffix))
    try:
        write_atomically(path, stream.getvalue())
    except OSError as error:
        raise ResultFileError(f"{path}: cannot be written: {error.strerror}") from None

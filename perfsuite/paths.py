"""Paths as users write them; a wrong one is one line that names its option or variable."""

from __future__ import annotations

import os
from pathlib import Path

from perfsuite.errors import InvalidChoiceError


def expanded(where: str, path: str | Path) -> Path:
    """Return a path with `~` and `~user` replaced by a home folder.

    Args:
        where: The option or environment variable that it was given by.
        path: The path.

    Raises:
        InvalidChoiceError: That user, or the home folder, is not known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InvalidChoiceError(f"{where} {path}: no such home folder is known; write the whole path") from None


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same place, which need not exist."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other)

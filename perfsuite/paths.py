"""Paths as users write them; a wrong one is one line that names its option or variable."""

from __future__ import annotations

import contextlib
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
    with contextlib.suppress(ValueError):  # no path at all
        try:
            return one.samefile(other)
        except OSError:
            return os.path.realpath(one) == os.path.realpath(other)
    return False


def require_current_folder() -> None:
    """Check that there is a current folder, which every library takes for granted.

    Raises:
        InvalidChoiceError: It was deleted, or may not be read.
    """
    try:
        Path.cwd()
    except OSError:
        raise InvalidChoiceError("the current folder does not exist any more; change to another") from None

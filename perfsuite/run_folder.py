"""The folder of a long run (A/B run, bisection, fleet, study): whether it is one, and whether it is the same run's.

Each kind of run has a file that makes a folder its own, its state. Whoever names a wrong folder loses nothing: it is
checked before anything in it is written.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from perfsuite.errors import ResultFileError
from perfsuite.folder_lock import NAME as LOCK
from perfsuite.folder_lock import is_lock
from perfsuite.small_files import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from perfsuite.errors import PerfsuiteError


def check_folder(folder: Path, state: str, unusable: type[PerfsuiteError], *, option: str = "--run-dir") -> None:
    """Check that a folder is new, empty or a run's own, before anything is written to it.

    Args:
        folder: It need not exist.
        state: Name of the file that makes it a run's own.
        unusable: The caller's kind of error.
        option: Which names another folder.

    Raises:
        PerfsuiteError: Of the kind `unusable`: the folder belongs to the user, or cannot be read.
    """
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise unusable(f"{folder}: cannot be used: {getattr(error, 'strerror', None) or error}") from None
    if LOCK in names and not is_lock(folder / LOCK):  # it would be emptied
        raise unusable(
            f"{folder}: contains a file {LOCK} that perfsuite did not write; name another folder with {option}"
        )
    if state in names:
        return
    # A run that was killed while it wrote its first state leaves a file that begins with a dot and the name of it.
    others = sorted(name for name in names if name != LOCK and not name.startswith(f".{state}"))
    if others:
        raise unusable(
            f"{folder}: contains files ({others[0][:60]}), but no {state}; name another folder with {option}"
        )


def read_state(path: Path, schema: str, unusable: type[PerfsuiteError], *, max_bytes: int) -> dict[str, Any] | None:
    """Return what the state of a run holds, or None where there is none.

    Args:
        path: Of the state.
        schema: Which it must have.
        unusable: The caller's kind of error.
        max_bytes: A larger file is not read.

    Raises:
        PerfsuiteError: Of the kind `unusable`: the file is damaged, or not one of this version.
    """
    try:
        content = read_json(path, max_bytes=max_bytes)
    except FileNotFoundError:
        return None
    except ResultFileError as error:
        raise unusable(f"{error}; name another folder, or delete this one") from None
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise unusable(f"{path}: not written by this perfsuite; name another folder")
    return content


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return in words the first value that distinguishes two runs, or None: `recipe.epochs was 3 and is 4`.

    Args:
        before: What must be the same, by name, as it was read from a file.
        now: The same, as plain values of JSON.
    """
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            inner = difference(old, new)
            if inner is not None:
                return f"{name}.{inner}"
        elif old != new:
            return f"{name} was {_in_words(old)} and is {_in_words(new)}"
    return None


def _in_words(value: object) -> str:
    return "not given" if value is None else json.dumps(value)[:150]

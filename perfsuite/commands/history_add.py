"""`perfsuite history add`: result files are kept in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.history.index import NAME, open_index
from perfsuite.analysis.history.store import add_file
from perfsuite.commands.streams import say
from perfsuite.errors import InvalidChoiceError, ResultFileError
from perfsuite.formatting import plural
from perfsuite.paths import expanded

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from perfsuite.analysis.history.store import Added


def run(options: argparse.Namespace) -> int:
    """Keep the files; the exit status."""
    store = expanded("--store", options.store)
    added: list[Added] = []
    damaged: list[str] = []
    with open_index(_made(store)) as index:
        for path in options.files:
            try:
                found = add_file(path, store, index)
            except ResultFileError as error:
                damaged.append(str(error))
                say(f"left out: {error}")
                continue
            added.append(found)
            say(f"{path}: {_added_in_words(found)}")
    kept = [one for one in added if one.name is not None]
    say(f"{store}: {plural(sum(one.is_new for one in kept), 'new run')}")
    if damaged or not kept:
        reason = f"{plural(len(damaged), 'file')} of {len(options.files)} could not be used" if damaged else NOTHING
        raise ResultFileError(f"{reason}; the others are kept" if kept else reason)
    return 0


NOTHING = "the files contain nothing that has a history: times, peak memory, energy, accuracy"


def _added_in_words(added: Added) -> str:
    if added.name is None:
        return "left out: nothing in it has a history (interleaved pairs, studies and quick results have none)"
    return f"{'added' if added.is_new else 'already stored'}, {plural(len(added.run.values), 'value')}: {added.name}"


def _made(store: Path) -> Path:
    """Make the folder of a store, and return the path of its index.

    Raises:
        InvalidChoiceError: It cannot be made.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidChoiceError(f"--store {store}: cannot be made: {reason}") from None
    return store / NAME

"""A store of results: a folder of result files, compressed, with an index that can always be made again from them.

Any folder of pytest-benchmark JSON is a store: its files are read where they lie.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.history.index import NAME, FileState, Index
from perfsuite.analysis.history.run_values import values_of
from perfsuite.analysis.load.json_file import COMPRESSED
from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.atomic_write import open_ordinary, write_atomically
from perfsuite.errors import ResultFileError
from perfsuite.formatting import utc_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfsuite.analysis.history.run_values import RunValues

DIGEST_DIGITS = 16
"""Of a file's name: no two of any number of results have the same."""

NO_RESULTS = ("campaign.json", "noise.json", "finished.json", "study.json", "fleet.json")
"""Files of perfsuite's own that are stored next to results and are none."""

ENDINGS = (".json", f".json{COMPRESSED}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of a file that was added.

    Attributes:
        path: The file that was given.
        name: Of the file in the store; None where it holds nothing that has a history.
        is_new: Whether the store did not have it before.
        run: What it holds.
    """

    path: Path
    name: str | None
    is_new: bool
    run: RunValues


def add_file(path: Path, store: Path, index: Index) -> Added:
    """Keep a result file: its bytes are compressed and written in one step, then the index is told.

    Whatever interrupts this, the store is sound: a file that the index does not know is found by the next query.

    Raises:
        ResultFileError: The file cannot be used, or the store cannot be written.
    """
    run = values_of(read_result_file(path))
    if not run.values:
        return Added(path=path, name=None, is_new=False, run=run)
    content = content_of(path)
    digest = hashlib.sha256(content).hexdigest()
    known = index.name_of(digest)
    if known is not None and (store / known).exists():
        return Added(path=path, name=known, is_new=False, run=run)
    target = store / _slug(run.machine) / f"{_moment(run.started_s)}-{digest[:DIGEST_DIGITS]}{ENDINGS[1]}"
    name = target.relative_to(store).as_posix()
    is_new = not target.exists()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_new:
            write_atomically(target, gzip.compress(content, mtime=0))
        state = _state(name, target.stat())
    except OSError as error:
        raise ResultFileError(f"{store}: cannot be written: {error.strerror}") from None
    index.put(state, digest, run)
    return Added(path=path, name=name, is_new=is_new, run=run)


def index_path(store: Path, option: str = "--store") -> Path:
    """Return where the index of a store lies: in it where `perfsuite history add` made it, else in the user's cache.

    A folder that something else wrote is only read.

    Args:
        store: The folder.
        option: How it was given, for messages.

    Raises:
        ResultFileError: There is no such folder.
    """
    if not store.is_dir():
        raise ResultFileError(
            f"{option} {store}: no such folder; `perfsuite history add FILE --store {store}` makes one"
        )
    inside = store / NAME
    if inside.exists():
        return inside
    digest = hashlib.sha256(str(store.resolve()).encode("utf-8", "surrogatepass")).hexdigest()
    return _cache() / f"history-{digest[:DIGEST_DIGITS]}.sqlite"


def _cache() -> Path:
    """Return the user's folder for what can be made again. Source: XDG Base Directory Specification 0.8."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(named) if named else Path.home() / ".cache") / "perfsuite"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # read-only, or a user without a home: the index is kept in memory
        return Path(os.devnull)
    return folder


def name_in_store(path: Path, index: Index) -> str | None:
    """Return under which name a store has a result file, or None."""
    return index.name_of(hashlib.sha256(content_of(path)).hexdigest())


def update_index(store: Path, index: Index, tell: Callable[[int, int], None]) -> None:
    """Bring the index up to date with the files: new and changed ones are read, those that are gone are forgotten.

    Args:
        store: The folder.
        index: Its index.
        tell: Called with how many of how many files are read.

    Raises:
        ResultFileError: The folder cannot be read.
    """
    known = index.states()
    found = {state.name: state for state in _files(store)}
    index.remove(name for name in known if name not in found)
    changed = [state for name, state in found.items() if known.get(name) != state]
    for number, state in enumerate(changed):
        tell(number, len(changed))
        path = store / state.name
        try:
            run = values_of(read_result_file(path))
            digest = hashlib.sha256(content_of(path)).hexdigest()
        except ResultFileError as error:
            index.put_problem(state, str(error))
            continue
        if run.values:
            index.put(state, digest, run)
        else:
            index.put_problem(state, f"{path}: contains nothing that has a history")


def _files(store: Path) -> Iterator[FileState]:
    """Yield the result files of a folder and of the folders in it."""
    try:
        yield from _files_in(str(store), "")
    except OSError as error:
        raise ResultFileError(f"{error.filename or store}: cannot be read: {error.strerror}") from None


def _files_in(folder: str, inside: str) -> Iterator[FileState]:
    """Yield the result files of one folder of a store; `inside` is its name relative to the store, ending in /."""
    with os.scandir(folder) as entries:  # a path object for each of 10,000 files takes longer than looking at them
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith("."):
                    yield from _files_in(entry.path, f"{inside}{entry.name}/")
            elif _is_result(entry.name):
                with contextlib.suppress(FileNotFoundError):  # a link to nothing, or gone meanwhile
                    yield _state(f"{inside}{entry.name}", entry.stat())


def _is_result(name: str) -> bool:
    return name.endswith(ENDINGS) and name not in NO_RESULTS and not name.endswith(".part.json")


def _state(name: str, found: os.stat_result) -> FileState:
    return FileState(name=name, size=found.st_size, modified_ns=found.st_mtime_ns)


def content_of(path: Path) -> bytes:
    """Return the bytes of a result file, uncompressed: what identifies it.

    Raises:
        ResultFileError: It cannot be read.
    """
    try:
        with open_ordinary(path) as stream:
            content = stream.read()
        return gzip.decompress(content) if path.suffix == COMPRESSED else content
    except (OSError, EOFError) as error:
        raise ResultFileError(f"{path}: cannot be read: {error}") from None


def _slug(machine: str) -> str:
    """Return a name that every file system takes; two machines of one name differ in a part of a hash."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", machine).strip("-")[:60]
    return f"{words or 'machine'}-{hashlib.sha256(machine.encode('utf-8', 'replace')).hexdigest()[:6]}"


def _moment(started_s: float) -> str:
    return utc_text(started_s, "%Y%m%dT%H%M%S") or "undated"

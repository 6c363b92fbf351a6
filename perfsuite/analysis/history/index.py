"""The index of a store: which files it holds, and their values; a cache that can always be made again from the files.

SQLite, which Python brings, rather than Parquet: a run is appended in one transaction, two processes may do so at once,
and a query reads the rows of one machine. Parquet was not measured.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from perfsuite.analysis.history.run_values import RunValues

NAME = "index.sqlite"

VERSION = 1
"""Of the tables; an index of another version is made again."""

WAIT_S = 30.0
"""For another process that writes the index."""

_TABLES = """
CREATE TABLE file (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    digest TEXT NOT NULL, started_s REAL, machine TEXT, place TEXT, problem TEXT);
CREATE INDEX file_machine ON file (machine, started_s);
CREATE INDEX file_digest ON file (digest);
CREATE TABLE series (id INTEGER PRIMARY KEY, benchmark TEXT NOT NULL, metric TEXT NOT NULL, UNIQUE (benchmark, metric));
CREATE TABLE value (
    file INTEGER NOT NULL REFERENCES file ON DELETE CASCADE, series INTEGER NOT NULL REFERENCES series,
    value REAL NOT NULL,
    PRIMARY KEY (file, series)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What identifies a version of a file without reading it.

    Attributes:
        name: Relative to the store, with `/`.
        size: In bytes.
        modified_ns: When it was written last.
    """

    name: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedRun:
    """A run as the index has it.

    Attributes:
        id: In the index.
        name: Of its file.
        started_s: Seconds since 1970.
        machine: See `RunValues`.
        place: See `RunValues`.
    """

    id: int
    name: str
    started_s: float
    machine: str
    place: dict[str, str]


class Index:
    """An index that is open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take a connection whose tables are those of this version."""
        self._connection = connection

    def states(self) -> dict[str, FileState]:
        """Return the files that it knows, by name."""
        rows = self._connection.execute("SELECT name, size, modified_ns FROM file")
        return {name: FileState(name=name, size=size, modified_ns=modified_ns) for name, size, modified_ns in rows}

    def problems(self) -> list[str]:
        """Return what was wrong with the files that are left out, a line each."""
        rows = self._connection.execute("SELECT problem FROM file WHERE problem IS NOT NULL ORDER BY name")
        return [str(problem) for (problem,) in rows]

    def name_of(self, digest: str) -> str | None:
        """Return the file that has these bytes, or None."""
        row = self._connection.execute("SELECT name FROM file WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, state: FileState, digest: str, run: RunValues) -> None:
        """Take a file up, or up again."""
        with self._connection:
            self._remove(state.name)
            cursor = self._connection.execute(
                "INSERT INTO file (name, size, modified_ns, digest, started_s, machine, place) VALUES (?,?,?,?,?,?,?)",
                (
                    state.name,
                    state.size,
                    state.modified_ns,
                    digest,
                    None if math.isnan(run.started_s) else run.started_s,
                    run.machine,
                    json.dumps(run.place),
                ),
            )
            keys = [(value.benchmark, value.metric) for value in run.values]
            self._connection.executemany("INSERT OR IGNORE INTO series (benchmark, metric) VALUES (?,?)", keys)
            self._connection.executemany(
                "INSERT INTO value (file, series, value) "
                "SELECT ?, id, ? FROM series WHERE benchmark = ? AND metric = ?",
                [(cursor.lastrowid, value.value, value.benchmark, value.metric) for value in run.values],
            )

    def put_problem(self, state: FileState, problem: str) -> None:
        """Note that a file cannot be used, and why."""
        with self._connection:
            self._remove(state.name)
            self._connection.execute(
                "INSERT INTO file (name, size, modified_ns, digest, problem) VALUES (?,?,?,'',?)",
                (state.name, state.size, state.modified_ns, problem),
            )

    def remove(self, names: Iterable[str]) -> None:
        """Forget files that are not there any more."""
        with self._connection:
            for name in names:
                self._remove(name)

    def _remove(self, name: str) -> None:
        self._connection.execute("DELETE FROM file WHERE name = ?", (name,))

    def machines(self) -> dict[str, int]:
        """Return the machines with their numbers of dated runs, the one with the most first."""
        rows = self._connection.execute(
            "SELECT machine, COUNT(*) FROM file WHERE problem IS NULL AND started_s IS NOT NULL "
            "GROUP BY machine ORDER BY COUNT(*) DESC, machine"
        )
        return {str(machine): int(number) for machine, number in rows}

    def runs(self, machine: str, num_last: int) -> list[IndexedRun]:
        """Return the newest runs of a machine that say when they were measured, the oldest of them first."""
        rows = self._connection.execute(
            "SELECT id, name, started_s, machine, place FROM file "
            "WHERE machine = ? AND problem IS NULL AND started_s IS NOT NULL "
            "ORDER BY started_s DESC, name DESC LIMIT ?",
            (machine, num_last),
        ).fetchall()
        return [
            IndexedRun(id=number, name=name, started_s=started_s, machine=machine, place=json.loads(place))
            for number, name, started_s, machine, place in reversed(rows)
        ]

    def num_undated(self) -> int:
        """Return how many runs do not say when they were measured."""
        query = "SELECT COUNT(*) FROM file WHERE problem IS NULL AND started_s IS NULL"
        return int(self._connection.execute(query).fetchone()[0])

    def values(self, machine: str, since_s: float) -> Iterator[tuple[str, str, int, float]]:
        """Yield benchmark, metric, run and value of everything that one machine measured since then."""
        yield from self._connection.execute(
            "SELECT benchmark, metric, value.file, value.value FROM file "
            "JOIN value ON value.file = file.id JOIN series ON series.id = value.series "
            "WHERE machine = ? AND started_s >= ?",
            (machine, since_s),
        )


@contextlib.contextmanager
def open_index(path: Path) -> Iterator[Index]:
    """Open an index, or make a new one where there is none, or none that can be used.

    Args:
        path: Its file. Where it cannot be written, the index is kept in memory, and made again the next time.
    """
    connection = _connected(path)
    try:
        yield Index(connection)
    finally:
        connection.close()


def _connected(path: Path) -> sqlite3.Connection:
    for attempt in range(2):
        try:
            return _with_tables(sqlite3.connect(path, timeout=WAIT_S))
        except sqlite3.OperationalError:  # a folder that may only be read, or a file system without locks
            break
        except sqlite3.DatabaseError:  # damaged: it is only a cache
            if attempt == 0:
                _delete(path)
    return _with_tables(sqlite3.connect(":memory:"))


def _delete(path: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink()


def _with_tables(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Make the tables where they are missing or of another version.

    Raises:
        sqlite3.DatabaseError: It is no database, or is damaged.
    """
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # A cache need not outlive the loss of power: it is made again.
        connection.execute("PRAGMA synchronous = OFF")
        # Two processes may come here at once: the second waits, and finds the tables of the first.
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            _make_tables(connection)
        connection.commit()
        (is_sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError:
        connection.close()
        raise
    if is_sound != "ok":
        connection.close()
        raise sqlite3.DatabaseError(is_sound)
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    for table in ("value", "series", "file"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in _TABLES.split(";"):
        if statement.strip():
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")

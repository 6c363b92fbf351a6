"""One result file: any pytest-benchmark JSON, checked field by field, since it may come from anywhere."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from perfsuite.atomic_write import open_ordinary
from perfsuite.errors import RecordError, ResultFileError
from perfsuite.records.cell import Record
from perfsuite.records.environment import Environment
from perfsuite.records.outcome import Outcome
from perfsuite.records.pair import PairedRecord
from perfsuite.records.reading import read_record
from perfsuite.records.schema import KEY, SCHEMA_VERSION
from perfsuite.records.strict_json import check_length, is_number
from perfsuite.records.training import TrainingRecord

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

STATS_FIELDS = {
    "min": "time_min_s",
    "max": "time_max_s",
    "mean": "time_mean_s",
    "median": "time_median_s",
    "stddev": "time_stddev_s",
    "q1": "time_q1_s",
    "q3": "time_q3_s",
}
"""pytest-benchmark's statistics by our names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One entry of a result file.

    Attributes:
        fullname: pytest's node id.
        name: The last part of it.
        group: pytest-benchmark's group, or None.
        stats: Values in seconds by our metric names; those that the file does not have are missing.
        num_rounds: How many rounds.
        num_iterations: Passes in a round.
        times_s: Every round's time per pass in seconds [num_rounds] float64, or None where the file has no raw data.
        record: The record of a cell, or None in a file that perfsuite did not write.
        pair: Our record of two things interleaved; `record` is None then.
        training: Our record of a full training; `record` is None then.
    """

    fullname: str
    name: str
    group: str | None
    stats: dict[str, float]
    num_rounds: int | None
    num_iterations: int | None
    times_s: np.ndarray[Any, np.dtype[np.float64]] | None
    record: Record | None
    pair: PairedRecord | None
    training: TrainingRecord | None = None

    @property
    def run_id(self) -> str | None:
        """Which process measured, or None in a file that perfsuite did not write."""
        ours = self.record or self.pair or self.training
        return None if ours is None else ours.process.run_id

    @property
    def replayed(self) -> bool:
        """Whether it was measured by another run, and only copied into this file."""
        return self.training is not None and self.training.replayed


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A result file as read.

    Attributes:
        path: Where it was read.
        written: pytest-benchmark's `datetime`, as it stands there.
        version: Version of pytest-benchmark that wrote it.
        machine: `machine_info` as it stands there.
        commit: Commit id, or None; with `+dirty` if the working tree had changes that were not committed.
        environment: The recorded environment, or None in a file that perfsuite did not write.
        benchmarks: What was measured.
        outcomes: What failed, was skipped or not run.
        complete: Whether the run came to its end before the file was written.
    """

    path: Path
    written: str | None
    version: str | None
    machine: dict[str, Any]
    commit: str | None
    environment: Environment | None
    benchmarks: tuple[Benchmark, ...]
    outcomes: tuple[Outcome, ...]
    complete: bool


_COMMIT_ID = re.compile(r"([0-9a-f]{10})[0-9a-f]{30}((?:\+dirty)?)$")

MAX_TIME_S = 1e9
"""Thirty years: longer than any run, and far from where arithmetic overflows."""

MIN_TIME_S = 1e-9
"""Of a pass of a network, which takes more than a nanosecond on any machine to come."""


def read_result_file(path: Path) -> ResultFile:
    """Read one file.

    Raises:
        ResultFileError: Missing, empty, cut off, not JSON, NaN in it, not a pytest-benchmark file, of a newer schema,
            or a field of the wrong type; one line naming file and reason.
    """
    content = _parse(path, _read_text(path))
    if isinstance(content, list):
        raise ResultFileError(f"{path}: a list, such as a table in JSON, no result file; pandas.read_json reads tables")
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        raise ResultFileError(f"{path}: JSON, but not of pytest-benchmark (no list 'benchmarks')")
    try:
        return _read_content(path, content)
    except RecordError as error:
        raise ResultFileError(f"{path}: {error}") from None


def read_result_files(paths: Iterable[Path]) -> tuple[ResultFile, ...]:
    """Read files, each once: what is computed from them takes these values.

    Raises:
        ResultFileError: A file cannot be used.
    """
    return tuple(read_result_file(path) for path in paths)


def _read_text(path: Path) -> str:
    try:
        with open_ordinary(path) as stream:
            text = stream.read().decode("utf-8-sig")
    except FileNotFoundError:
        raise ResultFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ResultFileError(f"{path}: a folder; name the files in it, {path}/*.json for instance") from None
    except UnicodeDecodeError:
        raise ResultFileError(f"{path}: not JSON (not UTF-8 text)") from None
    except (OSError, ValueError) as error:
        raise ResultFileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not text.strip():
        raise ResultFileError(f"{path}: empty")
    return text


def _parse(path: Path, text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ResultFileError(
            f"{path}: {constant} in it, which is not a number; nothing can be concluded from this file"
        )

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        at_end = error.pos >= len(text.rstrip())
        reason = "cut off" if at_end or error.msg.startswith("Unterminated string") else "not JSON"
        raise ResultFileError(f"{path}: {reason} (line {error.lineno}, column {error.colno}: {error.msg})") from None
    except (RecursionError, ValueError) as error:
        raise ResultFileError(f"{path}: not readable JSON ({type(error).__name__}: {str(error)[:80]})") from None


def _read_content(path: Path, content: dict[str, Any]) -> ResultFile:
    machine = content.get("machine_info")
    machine = machine if isinstance(machine, dict) else {}
    ours = content.get(KEY, {})
    if not isinstance(ours, dict):
        raise RecordError(f"{KEY} is not an object")
    _check_schema(ours)
    outcomes = ours.get("outcomes", [])
    if not isinstance(outcomes, list):
        raise RecordError(f"{KEY}.outcomes is not a list")
    return ResultFile(
        path=path,
        written=_text_or_none(content.get("datetime"), "datetime"),
        version=_text_or_none(content.get("version"), "version"),
        machine=machine,
        commit=_commit(content.get("commit_info")),
        environment=Environment.from_json(machine[KEY], f"machine_info.{KEY}") if KEY in machine else None,
        benchmarks=tuple(_benchmark(entry, f"benchmarks[{i}]") for i, entry in enumerate(content["benchmarks"])),
        outcomes=tuple(Outcome.from_json(entry, f"{KEY}.outcomes[{i}]") for i, entry in enumerate(outcomes)),
        complete=ours.get("complete", True) is not False,
    )


NO_COMMIT = {"", "unversioned", "unknown"}
"""What pytest-benchmark writes where there is no commit."""


def _commit(info: object) -> str | None:
    commit = info.get("id") if isinstance(info, dict) else None
    if not isinstance(info, dict) or not isinstance(commit, str) or commit in NO_COMMIT:
        return None
    check_length(commit, "commit_info.id")
    return f"{commit}+dirty" if info.get("dirty") is True else commit


def commit_of(file: ResultFile) -> str | None:
    """Return which commit was measured, with `+dirty` if the working tree had changes that were not committed."""
    return file.commit if file.environment is None else commit_in_words(file.environment)


def commit_in_words(environment: Environment) -> str | None:
    """Return the commit of an environment, with `+dirty` as above."""
    dirty = environment.commit is not None and environment.commit_dirty
    return f"{environment.commit}+dirty" if dirty else environment.commit


def short_commit(commit: str | None) -> str | None:
    """Return the first ten digits of a commit, with `+dirty` where it has that."""
    found = _COMMIT_ID.match(commit or "")
    return commit if found is None else found[1] + found[2]


def fingerprint(benchmarks: Iterable[Benchmark], written: str | None) -> str:
    """Return what identifies a run in a foreign file: time of writing, names, rounds; copies have the same."""
    digest = hashlib.sha256((written or "").encode("utf-8", "surrogatepass"))
    for benchmark in benchmarks:
        digest.update(benchmark.fullname.encode("utf-8", "surrogatepass"))
        if benchmark.times_s is None:
            digest.update(repr(sorted(benchmark.stats.items())).encode())
        else:
            digest.update(benchmark.times_s.tobytes())
    return digest.hexdigest()


def _check_schema(ours: dict[str, Any]) -> None:
    version = ours.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, bool) or not isinstance(version, int):
        raise RecordError(f"{KEY}.schema_version is {_shown(version)}, a whole number is needed")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{KEY} has schema version {version}, this perfsuite reads up to {SCHEMA_VERSION}: upgrade perfsuite"
        )


def _benchmark(entry: object, where: str) -> Benchmark:
    if not isinstance(entry, dict):
        raise RecordError(f"{where} is not an object")
    stats = entry.get("stats")
    if not isinstance(stats, dict):
        raise RecordError(f"{where}.stats is not an object")
    fullname = entry.get("fullname") or entry.get("name")
    if not isinstance(fullname, str):
        raise RecordError(f"{where} has no fullname")
    check_length(fullname, f"{where}.fullname")
    name = _text_or_none(entry.get("name"), f"{where}.name")
    record = _record(entry, stats, where)
    least_s = 0.0 if record is None else MIN_TIME_S
    return Benchmark(
        fullname=fullname,
        name=fullname if name is None else name,
        group=_text_or_none(entry.get("group"), f"{where}.group"),
        stats=_stats(stats, f"{where}.stats"),
        num_rounds=_count(stats.get("rounds"), f"{where}.stats.rounds"),
        num_iterations=_count(stats.get("iterations"), f"{where}.stats.iterations"),
        times_s=_times(stats.get("data"), f"{where}.stats.data", least=least_s),
        record=record if isinstance(record, Record) else None,
        pair=record if isinstance(record, PairedRecord) else None,
        training=record if isinstance(record, TrainingRecord) else None,
    )


def _record(entry: dict[str, Any], stats: dict[str, Any], where: str) -> Record | PairedRecord | TrainingRecord | None:
    """Return our record of an entry, or None where it is not ours."""
    extra = entry.get("extra_info")
    content = extra.get(KEY) if isinstance(extra, dict) else None
    if content is None:
        return None
    median = stats.get("median")
    if not _is_time_of_ours(median):
        raise RecordError(f"{where}.stats.median is {_shown(median)}, a time in seconds above 0 is needed")
    return read_record(content, f"{where}.extra_info.{KEY}")


def _stats(stats: dict[str, Any], where: str) -> dict[str, float]:
    found = {}
    for theirs, ours in STATS_FIELDS.items():
        value = stats.get(theirs)
        if type(value) is float and 0 <= value <= MAX_TIME_S:  # nearly always, and there may be a million of them
            found[ours] = value
        elif theirs in stats:
            found[ours] = _seconds(value, f"{where}.{theirs}")
    return found


def _shown(value: object) -> str:
    """Return the value in few characters; a whole number of thousands of digits cannot even be printed."""
    try:
        return repr(str(value)[:40])
    except ValueError:
        return "a very large number"


def _is_time_of_ours(value: object) -> bool:
    return isinstance(value, int | float) and _is_time(value) and value >= MIN_TIME_S


def _seconds(value: object, where: str) -> float:
    if not isinstance(value, int | float) or not _is_time(value):
        raise RecordError(f"{where} is {_shown(value)}, a time in seconds is needed")
    return float(value)


def _is_time(value: float) -> bool:
    return is_number(value) and 0 <= value <= MAX_TIME_S


MAX_PLAIN_COUNT = 2**53
"""Whole numbers up to here are the same as a float."""


def _count(value: object, where: str) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= MAX_PLAIN_COUNT):  # nearly always
        return value
    if not isinstance(value, int | float) or not is_number(value) or value < 0 or value != int(value):
        raise RecordError(f"{where} is {_shown(value)}, a whole number is needed")
    return int(value)


def _times(value: object, where: str, *, least: float) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    if value is None or value == []:
        return None
    if not isinstance(value, list):
        raise RecordError(f"{where} is not a list")
    if not set(map(type, value)) <= {float, int}:
        raise RecordError(f"{where} holds something that is not a number")
    try:
        times = np.asarray(value, dtype=np.float64)
    except OverflowError:
        raise RecordError(f"{where} holds a number that is no time in seconds") from None
    if not ((times >= least) & (times <= MAX_TIME_S)).all():
        raise RecordError(f"{where} holds a number that is no time in seconds")
    return times


def _text_or_none(value: object, where: str) -> str | None:
    return check_length(value, where) if isinstance(value, str) else None

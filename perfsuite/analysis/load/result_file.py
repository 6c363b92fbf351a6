"""One result file: any pytest-benchmark JSON, checked field by field, since it may come from anywhere."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.load.benchmark_entry import Benchmark, read_benchmark, shown_value, text_or_none
from perfsuite.analysis.load.brief import without_details
from perfsuite.analysis.load.fleet_place import FleetPlace, fleet_place
from perfsuite.analysis.load.json_file import read_json_file
from perfsuite.errors import RecordError, ResultFileError
from perfsuite.records.environment import Environment
from perfsuite.records.outcome import Outcome
from perfsuite.records.schema import KEY, SCHEMA_VERSION
from perfsuite.records.strict_json import check_length

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


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
        complete: Whether the run finished before the file was written.
        fleet: Which node of a fleet wrote it, or None.
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
    fleet: FleetPlace | None = None


_COMMIT_ID = re.compile(r"([0-9a-f]{10})[0-9a-f]{30}((?:\+dirty)?)$")


def read_result_file(path: Path, *, brief: bool = False) -> ResultFile:
    """Read one file.

    Args:
        path: Where.
        brief: Whether to leave out rounds, and all of a cell but its workload, process, findings and telemetry.

    Raises:
        ResultFileError: Missing, empty, cut off, not JSON, NaN in it, not a pytest-benchmark file, of a newer schema,
            or a field of the wrong type; one line naming file and reason.
    """
    content = read_json_file(path)
    if isinstance(content, list):
        raise ResultFileError(
            f"{path}: a list, such as a table in JSON, not a result file; `perfsuite collect` shows one"
        )
    if isinstance(content, dict) and str(content.get("schema", "")).startswith(f"{KEY}-"):
        raise ResultFileError(f"{path}: JSON of `perfsuite compare` ({content['schema']!r:.40}), not a result file")
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        raise ResultFileError(f"{path}: JSON, but not of pytest-benchmark (no list 'benchmarks')")
    try:
        return _read_content(path, without_details(content) if brief else content)
    except RecordError as error:
        raise ResultFileError(f"{path}: {error}") from None


def read_result_files(paths: Iterable[Path]) -> tuple[ResultFile, ...]:
    """Read files, each once: what is computed from them takes these values.

    Raises:
        ResultFileError: A file cannot be used.
    """
    return tuple(read_result_file(path) for path in paths)


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
        written=text_or_none(content.get("datetime"), "datetime"),
        version=text_or_none(content.get("version"), "version"),
        machine=machine,
        commit=_commit(content.get("commit_info")),
        environment=Environment.from_json(machine[KEY], f"machine_info.{KEY}") if KEY in machine else None,
        benchmarks=tuple(read_benchmark(entry, f"benchmarks[{i}]") for i, entry in enumerate(content["benchmarks"])),
        outcomes=tuple(Outcome.from_json(entry, f"{KEY}.outcomes[{i}]") for i, entry in enumerate(outcomes)),
        complete=ours.get("complete", True) is not False,
        fleet=fleet_place(machine),
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


def is_dirty(commit: str | None) -> bool:
    """Whether a commit, as above, was measured with changes that were not committed."""
    return commit is not None and commit.endswith("+dirty")


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
        raise RecordError(f"{KEY}.schema_version is {shown_value(version)}, a whole number is needed")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{KEY} has schema version {version}, this perfsuite reads up to {SCHEMA_VERSION}: upgrade perfsuite"
        )

"""pytest-benchmark JSON files -> data frames: a row per benchmark, a row per round, a row per cell without a result."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.frames.benchmark_rows import add_round_statistics, benchmark_row, benchmarks_frame
from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS
from perfsuite.analysis.frames.fleet import without_copied_runs
from perfsuite.analysis.frames.fleet_runs import NodeRun, read_runs, reduce_run
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.load.environment_columns import (
    file_environment,
    is_environment_unknown,
    unknown_environments_in_words,
)
from perfsuite.analysis.load.file_series import series_name
from perfsuite.analysis.load.full_training import full_trainings, without_replays
from perfsuite.analysis.load.kept_files import file_labels, kept_files
from perfsuite.analysis.load.machine_info import machine_key, machine_of
from perfsuite.analysis.load.read_entry import ReadEntry
from perfsuite.analysis.load.result_file import read_result_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from perfsuite.analysis.load.benchmark_entry import Benchmark
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.records.numerics import NumericsRecord
    from perfsuite.records.operators import OperatorCost
    from perfsuite.records.outcome import Outcome
    from perfsuite.records.pair import PairedRecord
    from perfsuite.records.profile import Profile
    from perfsuite.records.scaling import ScalingRecord
    from perfsuite.records.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair(ReadEntry):
    """Two things measured interleaved, as read from a file."""

    record: PairedRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericsResult(ReadEntry):
    """A study of mixed precision, as read from a file."""

    record: NumericsRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingResult(ReadEntry):
    """A step on several devices, as read from a file.

    Attributes:
        fullname: pytest's node id of it.
        machine: Key of the machine, as noise floors are kept by.
        record: What was measured.
    """

    fullname: str
    machine: str
    record: ScalingRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOrigin:
    """Where a file was written.

    Attributes:
        label: Of the file, as in the column `file`.
        series: What the file's name says; see `series_name`.
        environment: Values of `ENVIRONMENT_COLUMNS`.
        gpu_memory_bytes: All memory that torch sees on the GPU; None without one, and in files that are not ours.
    """

    label: str
    series: str
    environment: dict[str, Any]
    gpu_memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Results:
    """What a set of files holds; never changed, so that a frame made of it once (`made_once`) holds for as long.

    Attributes:
        benchmarks: A row per benchmark: workload, metrics in base units, environment, file. In files that are not
            ours the workload and environment columns are None.
        times_s: The raw rounds of each row [num_rounds] float64 seconds, or None; in the order of `benchmarks`.
        outcomes: A row per cell that failed, was skipped or not run: file, nodeid, outcome, reason, and its workload in
            `WORKLOAD_COLUMNS`, None where it did not come to be known.
        has_records: Whether every benchmark has a perfsuite record.
        notes: What a reader should know of the files, in words.
        trainings: Full trainings; never among `benchmarks`, whose time is that of one iteration.
        profiles: Where the time of each row's iteration went, or None; in the order of `benchmarks`.
        operators: What each row's operators take at the eager roofline; in the same order.
        extra_info: What else the suite wrote of each row, as it stands in its file; in the order of `benchmarks`.
        pairs: What was measured interleaved; never among `benchmarks`, for its rounds are blocks of two workloads.
        numerics: Studies of mixed precision; never among `benchmarks`, whose time is that of one iteration.
        scaling: Steps on several devices; never among `benchmarks`, which are of one (`with_scaling_steps` adds them).
        files: Where the files were written, in their order.
        telemetry: What the hardware did during each row's rounds, or None; in the order of `benchmarks`.
        cut_short: Labels of the files whose run ended early.
        node_runs: What each file says of the machine that wrote it, for comparing machines.
    """

    benchmarks: pd.DataFrame
    times_s: list[np.ndarray[Any, np.dtype[np.float64]] | None]
    outcomes: pd.DataFrame
    has_records: bool
    notes: tuple[str, ...]
    pairs: tuple[Pair, ...] = ()
    trainings: tuple[FullTraining, ...] = ()
    numerics: tuple[NumericsResult, ...] = ()
    scaling: tuple[ScalingResult, ...] = ()
    profiles: list[Profile | None] = field(default_factory=list)
    operators: list[tuple[OperatorCost, ...]] = field(default_factory=list)
    extra_info: list[dict[str, Any]] = field(default_factory=list)
    files: tuple[FileOrigin, ...] = ()
    telemetry: list[Telemetry | None] = field(default_factory=list)
    cut_short: tuple[str, ...] = ()
    node_runs: tuple[NodeRun, ...] = ()

    @property
    def entries(self) -> tuple[Pair | FullTraining | NumericsResult | ScalingResult, ...]:
        """All that is not among `benchmarks`: pairs, full trainings, studies, steps on several devices."""
        return (*self.pairs, *self.trainings, *self.numerics, *self.scaling)

    def rounds(self) -> pd.DataFrame:
        """Return a row per round: `row` (of `benchmarks`), `round` from 0, `time_s`."""
        kept = [(row, times) for row, times in enumerate(self.times_s) if times is not None]
        return pd.DataFrame(
            {
                "row": np.concatenate([np.full(len(times), row) for row, times in kept]) if kept else np.array([], int),
                "round": np.concatenate([np.arange(len(times)) for _, times in kept]) if kept else np.array([], int),
                "time_s": np.concatenate([times for _, times in kept]) if kept else np.array([], float),
            }
        )

    def outcomes_in_words(self) -> list[str]:
        """Return a line for each cell that failed, was skipped or not run."""
        rows = rows_of(self.outcomes)
        return [f"{row['outcome'].replace('_', ' ')}: {row['nodeid']}: {row['reason']}" for row in rows]


def collect(paths: Iterable[Path]) -> Results:
    """Read any pytest-benchmark JSON files, perfsuite's or others; see `results_of`.

    Raises:
        ResultFileError: A file cannot be used.
    """
    return results_of(read_result_files(paths))


def results_of(given: Sequence[ResultFile]) -> Results:
    """Return what files hold.

    A file that holds the same process as one before it is left out with a note: a copy is not a second run.
    """
    files, notes = kept_files(given)
    origins: list[FileOrigin] = []
    trainings: list[FullTraining] = []
    outcomes: list[dict[str, Any]] = []
    cut_short: list[str] = []
    entries: list[tuple[Benchmark, _Place]] = []
    for file, label in zip(files, file_labels(files), strict=True):
        place = _place_of(file, label)
        origins.append(place.origin)
        trainings += full_trainings(file, label)
        outcomes += [_outcome_row(outcome, label) for outcome in file.outcomes]
        entries += [(benchmark, place) for benchmark in file.benchmarks]
        notes += _notes_on_file(file, label)
        if not file.complete:
            cut_short.append(label)
    steps = [(benchmark, place) for benchmark, place in entries if benchmark.record is None or benchmark.cell]
    cells = [benchmark.cell for benchmark, _ in steps]
    times = [benchmark.times_s for benchmark, _ in steps]
    rows = [{**benchmark_row(benchmark, place.gpu), **place.columns} for benchmark, place in steps]
    add_round_statistics(rows, times)
    return Results(
        benchmarks=benchmarks_frame(rows),
        times_s=times,
        profiles=[None if cell is None else cell.profile for cell in cells],
        operators=[() if cell is None else cell.operators for cell in cells],
        extra_info=[benchmark.extra_info for benchmark, _ in steps],
        outcomes=pd.DataFrame(outcomes, columns=["file", "nodeid", "outcome", "reason", *WORKLOAD_COLUMNS]),
        telemetry=[None if cell is None else cell.telemetry for cell in cells],
        has_records=all(benchmark.run_id is not None for benchmark, _ in entries),
        notes=tuple(notes),
        pairs=tuple(place.pair(one.pair, one) for one, place in entries if one.pair),
        trainings=without_replays(trainings),
        numerics=tuple(place.study(one.numerics, one) for one, place in entries if one.numerics),
        scaling=tuple(place.spread_step(one.scaling, one) for one, place in entries if one.scaling),
        files=tuple(origins),
        cut_short=tuple(cut_short),
        node_runs=tuple(reduce_run(file) for file in files),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A file, as what is read from it names it.

    Attributes:
        origin: Where it was written.
        machine: Key of the machine, as noise floors are kept by.
        gpu: Name of the GPU, or None.
    """

    origin: FileOrigin
    machine: str
    gpu: str | None

    @property
    def columns(self) -> dict[str, Any]:
        """What a row of its benchmarks says of it."""
        origin = self.origin
        return {**origin.environment, "machine": self.machine, "file": origin.label, "series": origin.series}

    def pair(self, record: PairedRecord, benchmark: Benchmark) -> Pair:
        """Return a pair of the file."""
        return Pair(record=record, **self._read(benchmark))

    def study(self, record: NumericsRecord, benchmark: Benchmark) -> NumericsResult:
        """Return a study of the file."""
        return NumericsResult(record=record, **self._read(benchmark))

    def spread_step(self, record: ScalingRecord, benchmark: Benchmark) -> ScalingResult:
        """Return a step on several devices of the file."""
        fullname = benchmark.fullname
        return ScalingResult(record=record, fullname=fullname, machine=self.machine, **self._read(benchmark))

    def _read(self, benchmark: Benchmark) -> dict[str, Any]:
        """Return the fields of `ReadEntry`, of a benchmark of the file."""
        origin = self.origin
        return {
            "name": benchmark.name,
            "file": origin.label,
            "series": origin.series,
            "environment": origin.environment,
        }


def _place_of(file: ResultFile, label: str) -> _Place:
    machine = machine_of(file)
    origin = FileOrigin(
        label=label,
        series=series_name(file.path),
        environment=file_environment(file, machine),
        gpu_memory_bytes=None if file.environment is None else file.environment.gpu_memory_bytes,
    )
    return _Place(origin=origin, machine=machine_key(machine), gpu=machine.get("GPU"))


def _outcome_row(outcome: Outcome, label: str) -> dict[str, Any]:
    return {
        "file": label,
        "nodeid": outcome.nodeid,
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        **{column: getattr(outcome.workload, column, None) for column in WORKLOAD_COLUMNS},
    }


def _notes_on_file(file: ResultFile, label: str) -> list[str]:
    unknown = [one.name for one in file.benchmarks if one.training and is_environment_unknown(one.training)]
    notes = unknown_environments_in_words(label, unknown)
    if not file.complete:
        notes.append(f"{label}: the run was cut short; these are the cells that were finished")
    return notes


def results_of_nodes(paths: Sequence[Path]) -> Results:
    """Return only what comparing machines needs, of thousands of files: no benchmarks, no rounds.

    Raises:
        ResultFileError: A file cannot be used.
    """
    runs, notes = without_copied_runs(read_runs(paths))
    return dataclasses.replace(results_of([]), node_runs=runs, notes=notes)

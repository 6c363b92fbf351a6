"""pytest-benchmark JSON files -> data frames: a row per benchmark, a row per round, a row per cell without a result."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS
from perfsuite.analysis.frames.fleet import without_copied_runs
from perfsuite.analysis.frames.fleet_runs import NodeRun, read_runs, reduce_run
from perfsuite.analysis.frames.foreign_findings import foreign_findings
from perfsuite.analysis.frames.latency import latency_columns
from perfsuite.analysis.frames.roofline import evidence_columns
from perfsuite.analysis.frames.row_warnings import warnings_of
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.load.environment_columns import (
    file_environment,
    is_environment_unknown,
    unknown_environments_in_words,
)
from perfsuite.analysis.load.file_series import series_name
from perfsuite.analysis.load.full_training import full_trainings, without_replays
from perfsuite.analysis.load.machine_info import machine_key, machine_of
from perfsuite.analysis.load.result_file import ResultFile, fingerprint, read_result_files
from perfsuite.mean_margin import relative_margins

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from perfsuite.analysis.load.benchmark_entry import Benchmark
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.records.numerics import NumericsRecord
    from perfsuite.records.operators import OperatorCost
    from perfsuite.records.pair import PairedRecord
    from perfsuite.records.profile import Profile
    from perfsuite.records.scaling import ScalingRecord
    from perfsuite.records.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEntry:
    """Where a record of its own kind was read.

    Attributes:
        name: pytest's name of it.
        file: Label of the file.
        series: What the file's name says; see `series_name`.
        environment: Values of `ENVIRONMENT_COLUMNS`.
    """

    name: str
    file: str
    series: str
    environment: dict[str, Any]


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
    files, notes = _without_copies(list(given))
    files, notes = _without_quick(files, notes)
    labels = _labels(files)
    rows: list[dict[str, Any]] = []
    times: list[np.ndarray[Any, np.dtype[np.float64]] | None] = []
    outcomes: list[dict[str, Any]] = []
    origins: list[FileOrigin] = []
    profiles: list[Profile | None] = []
    operators: list[tuple[OperatorCost, ...]] = []
    extra_info: list[dict[str, Any]] = []
    telemetry: list[Telemetry | None] = []
    pairs: list[Pair] = []
    trainings: list[FullTraining] = []
    numerics: list[NumericsResult] = []
    scaling: list[ScalingResult] = []
    for file, label in zip(files, labels, strict=True):
        machine = machine_of(file)
        environment = file_environment(file, machine)
        origin: dict[str, Any] = {"file": label, "series": series_name(file.path)}
        memory = None if file.environment is None else file.environment.gpu_memory_bytes
        origins.append(
            FileOrigin(label=label, series=origin["series"], environment=environment, gpu_memory_bytes=memory)
        )
        place = {**environment, "machine": machine_key(machine), **origin}
        trainings += full_trainings(file, label)
        for benchmark in file.benchmarks:
            if benchmark.pair is not None:
                pairs.append(Pair(record=benchmark.pair, name=benchmark.name, environment=environment, **origin))
                continue
            if benchmark.numerics is not None:
                numerics.append(
                    NumericsResult(record=benchmark.numerics, name=benchmark.name, environment=environment, **origin)
                )
                continue
            if benchmark.scaling is not None:
                scaling.append(
                    ScalingResult(
                        record=benchmark.scaling,
                        name=benchmark.name,
                        fullname=benchmark.fullname,
                        machine=place["machine"],
                        environment=environment,
                        **origin,
                    )
                )
                continue
            if benchmark.training is not None:
                continue
            row = _row(benchmark, machine.get("GPU"))
            row.update(place)
            rows.append(row)
            times.append(benchmark.times_s)
            profiles.append(None if benchmark.cell is None else benchmark.cell.profile)
            operators.append(() if benchmark.cell is None else benchmark.cell.operators)
            extra_info.append(benchmark.extra_info)
            telemetry.append(None if benchmark.cell is None else benchmark.cell.telemetry)
        outcomes += [
            {
                "file": label,
                "nodeid": outcome.nodeid,
                "outcome": outcome.outcome,
                "reason": outcome.reason,
                **{column: getattr(outcome.workload, column, None) for column in WORKLOAD_COLUMNS},
            }
            for outcome in file.outcomes
        ]
        notes += unknown_environments_in_words(
            label, (one.name for one in file.benchmarks if one.training and is_environment_unknown(one.training))
        )
        if not file.complete:
            notes.append(f"{label}: the run was cut short; these are the cells that were finished")
    _add_round_statistics(rows, times)
    return Results(
        benchmarks=_frame(rows),
        times_s=times,
        profiles=profiles,
        operators=operators,
        extra_info=extra_info,
        outcomes=pd.DataFrame(outcomes, columns=["file", "nodeid", "outcome", "reason", *WORKLOAD_COLUMNS]),
        telemetry=telemetry,
        has_records=all(benchmark.run_id is not None for file in files for benchmark in file.benchmarks),
        notes=tuple(notes),
        pairs=tuple(pairs),
        trainings=without_replays(trainings),
        numerics=tuple(numerics),
        scaling=tuple(scaling),
        files=tuple(origins),
        cut_short=tuple(label for file, label in zip(files, labels, strict=True) if not file.complete),
        node_runs=tuple(reduce_run(file) for file in files),
    )


def results_of_nodes(paths: Sequence[Path]) -> Results:
    """Return only what comparing machines needs, of thousands of files: no benchmarks, no rounds.

    Raises:
        ResultFileError: A file cannot be used.
    """
    runs, notes = without_copied_runs(read_runs(paths))
    return dataclasses.replace(results_of([]), node_runs=runs, notes=notes)


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame; workloads stay as they are where some rows have none, a batch size a whole number."""
    if not rows:
        return pd.DataFrame(columns=[*WORKLOAD_COLUMNS, "file"])
    frame = pd.DataFrame(rows)
    if any(row["model"] is None for row in rows):
        for column in WORKLOAD_COLUMNS:
            frame[column] = pd.Series([row[column] for row in rows], index=frame.index, dtype=object)
    return frame


def _without_copies(files: list[ResultFile]) -> tuple[list[ResultFile], list[str]]:
    """Keep one file of every run, the fullest: a copy may have been made while the run went on."""
    if len(files) == 1:
        return files, []
    kept: list[ResultFile] = []
    notes: list[str] = []
    fullest: dict[str, ResultFile] = {}
    run_ids = [_run_ids(file) for file in files]
    for file, ids in sorted(zip(files, run_ids, strict=True), key=lambda pair: len(pair[0].benchmarks), reverse=True):
        for run_id in ids:
            fullest.setdefault(run_id, file)
    for file, ids in zip(files, run_ids, strict=True):
        others = [fullest[run_id] for run_id in ids if fullest[run_id] is not file]
        if others:
            notes.append(f"{file.path}: left out, it contains the same run as {others[0].path}")
        else:
            kept.append(file)
    return kept, notes


def _is_quick(benchmark: Benchmark) -> bool:
    measured = benchmark.cell or benchmark.pair or benchmark.scaling
    return measured is not None and measured.quick


def _without_quick(files: list[ResultFile], notes: list[str]) -> tuple[list[ResultFile], list[str]]:
    """Leave first answers (`--perf-quick`) out where there are full measurements as well; else say what they are."""
    quick = [file for file in files if any(map(_is_quick, file.benchmarks))]
    if not quick:
        return files, notes
    has_full = any(
        (one.cell or one.pair or one.scaling) and not _is_quick(one) for file in files for one in file.benchmarks
    )
    if not has_full:
        names = ", ".join(file.path.name for file in quick)
        return files, [
            *notes,
            f"{names}: measured with --perf-quick: repeat without it for comparisons",
        ]
    kept = [
        dataclasses.replace(file, benchmarks=tuple(one for one in file.benchmarks if not _is_quick(one)))
        for file in files
    ]
    left_out = [f"{file.path}: measured with --perf-quick, left out: there are full measurements" for file in quick]
    return kept, [*notes, *left_out]


def _run_ids(file: ResultFile) -> set[str]:
    """Return what identifies the runs of a file: their ids, or in a foreign file names and rounds."""
    own = [benchmark for benchmark in file.benchmarks if not benchmark.replayed]
    ids = {benchmark.run_id for benchmark in own if benchmark.run_id is not None}
    return ids if ids or not own else {fingerprint(own, file.written)}


def _labels(files: list[ResultFile]) -> list[str]:
    """Name files by their last part, or by their whole path where two would have the same name."""
    names = [file.path.name for file in files]
    return [name if names.count(name) == 1 else str(file.path) for name, file in zip(names, files, strict=True)]


def _add_round_statistics(
    rows: list[dict[str, Any]], times: list[np.ndarray[Any, np.dtype[np.float64]] | None]
) -> None:
    """Add to each row what its raw rounds tell; all rows of as many rounds at once, for there may be thousands."""
    by_length: dict[int, list[int]] = {}
    for index, rounds in enumerate(times):
        if rounds is not None:
            by_length.setdefault(len(rounds), []).append(index)
    for indices in by_length.values():
        stacked = np.stack([rounds for index in indices if (rounds := times[index]) is not None])
        slow = np.percentile(stacked, 90, axis=1).tolist()
        margins = relative_margins(stacked).tolist()
        for index, p90, margin in zip(indices, slow, margins, strict=True):
            rows[index]["time_p90_s"] = p90
            rows[index]["time_margin_ratio"] = margin


def _row(benchmark: Benchmark, gpu: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "fullname": benchmark.fullname,
        "name": benchmark.name,
        "group": benchmark.group,
        **dict.fromkeys(WORKLOAD_COLUMNS),
        "images_per_second": None,
        **dict.fromkeys(("time_median_s", "time_mean_s", "time_min_s", "time_max_s", "time_stddev_s")),
        **benchmark.stats,
        "time_p90_s": None,
        "time_margin_ratio": None,
        "num_rounds": benchmark.num_rounds,
        "num_iterations": benchmark.num_iterations,
    }
    if benchmark.num_rounds == 1:
        row["time_stddev_s"] = None  # written as 0, but one round has no scatter that could be known
    record = benchmark.cell
    if record is None:
        row["findings"] = "; ".join(foreign_findings(row))
    else:
        row.update({column: getattr(record.workload, column) for column in WORKLOAD_COLUMNS})
        row["label"] = record.workload.label
        row.update(record.metrics)
        row.update(run_id=record.process.run_id, started=record.process.started)
        row["findings"] = "; ".join(record.findings)
        row["quick"] = record.quick
        if row["time_median_s"]:
            row["images_per_second"] = record.workload.batch_size / row["time_median_s"]
        if record.latencies_s:
            row.update(latency_columns(record.latencies_s))
        quartiles = row.get("time_q1_s"), row.get("time_q3_s")
        iqr_s = None if quartiles[0] is None or quartiles[1] is None else quartiles[1] - quartiles[0]
        row["warnings"] = warnings_of(record, iqr_s=iqr_s, median_s=row["time_median_s"])
        row.update(evidence_columns(record, median_s=row["time_median_s"], gpu=gpu))
    return row

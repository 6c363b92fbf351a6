"""Baseline and candidate as arrays: a process is a column, a benchmark that both sides can have is a row."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.frames.training_groups import unstated_in_words
from perfsuite.analysis.load.full_training import full_trainings
from perfsuite.analysis.load.machine_info import machine_of, started_s, versions_of
from perfsuite.analysis.load.result_file import commit_of, fingerprint, read_result_file, short_commit
from perfsuite.analysis.statistics.effect import LOWER_QUANTILES, TYPICAL
from perfsuite.analysis.statistics.rounds import QUANTILES, ReducedRounds, have_like_rounds, reduce_rounds
from perfsuite.analysis.verdicts.outcomes import split_outcomes, tally_outcomes
from perfsuite.analysis.verdicts.sample_notes import about_file, mixed_versions, not_compared
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from perfsuite.analysis.load.benchmark_entry import Benchmark
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.analysis.statistics.effect import Bools, Floats
    from perfsuite.analysis.verdicts.attempts import Attempts
    from perfsuite.records.cell import Record
    from perfsuite.records.outcome import Outcome
    from perfsuite.records.workload import Workload

Key = tuple[Any, ...]


LOWER_QUARTILE = 0.25
"""Of the quantiles of rounds, the one besides the median that files without raw rounds have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResult:
    """What one process measured.

    Attributes:
        path: Its file.
        started: When it started, in seconds since 1970; NaN if unknown.
        machine: Host, CPU and GPU, as far as the file tells.
        versions: torch, torchvision, CUDA, cuDNN and driver, as far as the file tells.
        keys: Identity of each benchmark.
        fullnames: pytest's name of each.
        workloads: Our workload of each, or None.
        logs: Logarithm of the quantiles of the rounds in seconds [benchmarks] by quantile, NaN where unknown.
        slowest: Logarithm of the mean of the slowest rounds in seconds [benchmarks], NaN where unknown.
        resolution: Smallest step between its rounds over their median [benchmarks], NaN where unknown.
        num_rounds: Raw rounds [benchmarks], NaN where there are none.
        peak_bytes: Peak allocated [benchmarks], NaN where unknown.
        fingerprint: Of its run id, or of its rounds in a file that perfsuite did not write: copies have the same.
        num_pairs: Interleaved pairs in the file.
        measured_pairs: pytest's names of those without an outcome: one that missed its limit or cannot tell has both.
        outcomes: What gave no result, and why; of a pair, also that it missed its limit.
        trainings: Full trainings in the file.
        complete: Whether the run came to its end.
        commit: Of the code that was measured, in a few digits; None if unknown.
        records: Our records, by the identity of their benchmarks.
    """

    path: Path
    started: float
    machine: dict[str, str]
    versions: dict[str, str]
    keys: tuple[Key, ...]
    fullnames: tuple[str, ...]
    workloads: tuple[Workload | None, ...]
    logs: dict[float, Floats]
    slowest: Floats
    resolution: Floats
    num_rounds: Floats
    peak_bytes: Floats
    fingerprint: str
    num_pairs: int
    measured_pairs: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    complete: bool
    trainings: tuple[FullTraining, ...] = ()
    commit: str | None = None
    records: dict[Key, Record] = dataclasses.field(default_factory=dict)

    @property
    def num_results(self) -> int:
        """Benchmarks and full trainings that it measured itself."""
        return len(self.keys) + sum(not training.record.replayed for training in self.trainings)

    @property
    def has_results(self) -> bool:
        """Whether it measured anything itself that is compared: a file of replays alone is no process."""
        return self.num_results > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Both sides joined.

    Attributes:
        keys: Identity of each benchmark, in the order in which the files have them; last those that have no times to
            compare and are reported for their outcomes, pairs among them.
        fullnames: pytest's name of each.
        workloads: Our workload of each, or None.
        logs: [benchmarks, processes] by quantile, NaN where a process lacks a benchmark.
        slowest: [benchmarks, processes] of the mean of the slowest rounds, NaN where unknown.
        resolution: [benchmarks] smallest step between the rounds of any process over their median, 0 where unknown.
        peak_bytes: [benchmarks, processes]
        is_candidate: [processes]
        order: Start times [processes].
        processes: In the order of the columns; a file that holds full trainings alone is none of them.
        notes: What a reader should know of the files, in words.
        attempts: What became of each benchmark in the baseline, and in the candidate.
        trainings: Full trainings of the baseline, and of the candidate.
        training_outcomes: Of full trainings that gave no result, of the baseline, and of the candidate.
    """

    keys: tuple[Key, ...]
    fullnames: tuple[str, ...]
    workloads: tuple[Workload | None, ...]
    logs: dict[float, Floats]
    slowest: Floats
    resolution: Floats
    peak_bytes: Floats
    is_candidate: Bools
    order: Floats
    processes: tuple[ProcessResult, ...]
    notes: tuple[str, ...]
    attempts: tuple[tuple[Attempts, Attempts], ...]
    trainings: tuple[tuple[FullTraining, ...], tuple[FullTraining, ...]] = ((), ())
    training_outcomes: tuple[tuple[Outcome, ...], tuple[Outcome, ...]] = ((), ())

    def side(self, *, candidate: bool) -> tuple[ProcessResult, ...]:
        """Return the processes of one side."""
        return tuple(p for p, is_new in zip(self.processes, self.is_candidate, strict=True) if is_new == candidate)

    def has_results(self, *, candidate: bool) -> bool:
        """Whether any file of a side holds a result: a benchmark, an interleaved pair or a full training."""
        processes = self.side(candidate=candidate)
        return bool(self.trainings[candidate]) or any(process.keys or process.num_pairs for process in processes)

    def records(self, row: int, *, candidate: bool) -> list[Record]:
        """Return our records of one benchmark on one side, as far as there are any."""
        found = [process.records.get(self.keys[row]) for process in self.side(candidate=candidate)]
        return [record for record in found if record is not None]


def read_process(path: Path) -> ProcessResult:
    """Read a file and reduce it to what a comparison needs.

    Raises:
        ResultFileError: It cannot be used, or holds a benchmark twice, or a time of nothing.
    """
    return reduce_process(read_result_file(path))


def reduce_process(file: ResultFile) -> ProcessResult:
    """Reduce a file to what a comparison needs.

    Raises:
        ResultFileError: It holds a benchmark twice, or a time of nothing.
    """
    judged = [benchmark for benchmark in file.benchmarks if benchmark.pair is None]
    cells = [benchmark for benchmark in judged if benchmark.training is None]
    keys = tuple(_key(cell) for cell in cells)
    _check_unique(file.path, cells, keys)
    times = _reduced_times(file.path, cells)
    own_run_ids = {benchmark.run_id for benchmark in judged if not benchmark.replayed}
    run_ids = sorted(run_id for run_id in own_run_ids if run_id is not None)
    judged_names = {benchmark.fullname for benchmark in judged}
    pair_names = [benchmark.fullname for benchmark in file.benchmarks if benchmark.pair is not None]
    names_with_outcome = {outcome.nodeid for outcome in file.outcomes}
    return ProcessResult(
        path=file.path,
        started=started_s(file),
        machine=machine_of(file),
        versions=versions_of(file),
        keys=keys,
        fullnames=tuple(cell.fullname for cell in cells),
        workloads=tuple(_workload(cell) for cell in cells),
        logs={quantile: np.log(values) for quantile, values in times.quantiles.items()},
        slowest=np.log(times.slowest),
        resolution=times.resolution,
        num_rounds=np.array([_num_raw_rounds(cell) for cell in cells], dtype=float),
        peak_bytes=np.array([_peak_bytes(cell) for cell in cells], dtype=float),
        fingerprint="+".join(run_ids) or fingerprint(cells, file.written),
        num_pairs=len(pair_names),
        measured_pairs=tuple(name for name in pair_names if name not in names_with_outcome),
        outcomes=tuple(outcome for outcome in file.outcomes if outcome.nodeid not in judged_names),
        trainings=tuple(full_trainings(file, str(file.path))),
        complete=file.complete,
        commit=short_commit(commit_of(file)),
        records={key: one.cell for key, one in zip(keys, cells, strict=True) if one.cell is not None},
    )


def _check_unique(path: Path, cells: Sequence[Benchmark], keys: Sequence[Key]) -> None:
    seen: set[Key] = set()
    for cell, key in zip(cells, keys, strict=True):
        if key in seen:
            raise ResultFileError(f"{path}: holds {cell.fullname!r:.200} twice; one process measures a benchmark once")
        seen.add(key)


def _workload(benchmark: Benchmark) -> Workload | None:
    return None if benchmark.cell is None else benchmark.cell.workload


def _num_raw_rounds(cell: Benchmark) -> float:
    return np.nan if cell.times_s is None else len(cell.times_s)


def _peak_bytes(benchmark: Benchmark) -> float:
    peak = None if benchmark.cell is None else benchmark.cell.metrics.get("peak_allocated_bytes")
    return np.nan if peak is None else float(peak)


def _key(benchmark: Benchmark) -> Key:
    if benchmark.cell is None:
        return ("fullname", benchmark.fullname)
    # A first answer is never joined with a full measurement.
    quick = ("quick",) if benchmark.cell.quick else ()
    return ("workload", *dataclasses.astuple(benchmark.cell.workload), *quick)


def _reduced_times(path: Path, cells: Sequence[Benchmark]) -> ReducedRounds:
    """Reduce the rounds of a file; without raw rounds, take what the statistics say."""
    quantiles = {quantile: np.full(len(cells), np.nan) for quantile in QUANTILES}
    slowest, resolution = np.full(len(cells), np.nan), np.full(len(cells), np.nan)
    by_length: dict[int, list[int]] = {}
    for index, cell in enumerate(cells):
        if cell.times_s is not None:
            _check_num_rounds(path, cell, len(cell.times_s))
            by_length.setdefault(len(cell.times_s), []).append(index)
            continue
        quantiles[TYPICAL][index] = cell.stats.get("time_median_s", np.nan)
        quantiles[LOWER_QUARTILE][index] = cell.stats.get("time_q1_s", np.nan)
    # There may be thousands of cells: those of as many rounds are reduced together.
    for indices in by_length.values():
        found = reduce_rounds(np.stack([cells[index].times_s for index in indices]))  # type: ignore[misc]
        for quantile in QUANTILES:
            quantiles[quantile][indices] = found.quantiles[quantile]
        slowest[indices], resolution[indices] = found.slowest, found.resolution
    for values in quantiles.values():
        broken = np.flatnonzero(values <= 0)
        if len(broken):
            raise ResultFileError(
                f"{path}: {cells[broken[0]].fullname!r:.200} has rounds of 0 s: nothing was measured, nothing can be "
                "compared"
            )
    return ReducedRounds(quantiles=quantiles, slowest=slowest, resolution=resolution)


def _check_num_rounds(path: Path, cell: Benchmark, num_times: int) -> None:
    if cell.num_rounds is not None and cell.num_rounds != num_times:
        raise ResultFileError(
            f"{path}: {cell.fullname!r:.200} has {num_times} rounds in stats.data, but stats.rounds says "
            f"{cell.num_rounds}"
        )


def join_sides(baseline: Sequence[ProcessResult], candidate: Sequence[ProcessResult]) -> Sides:
    """Join processes by the identity of their benchmarks; a process that is given twice counts once.

    Raises:
        ResultFileError: The same process stands on both sides.
    """
    notes: list[str] = []
    old, new = _without_copies(baseline, notes), _without_copies(candidate, notes)
    _check_other_runs(old, new)
    notes += [note for process in (*old, *new) for note in about_file(process)]
    trainings = tuple(tuple(one for process in side for one in process.trainings) for side in (old, new))
    notes += unstated_in_words([one.record for side in trainings for one in side])
    all_trainings = [*trainings[0], *trainings[1]]
    (old, old_outcomes), (new, new_outcomes) = (split_outcomes(side, all_trainings) for side in (old, new))
    both_sides = (old, new)
    pairs_in_words = not_compared([*old, *new])
    old, new = _that_measured_steps(old), _that_measured_steps(new)
    processes = [*old, *new]
    rows, fullnames, workloads = _rows_of(processes)
    tallies = tally_outcomes(both_sides, rows, fullnames, workloads)
    for tally in tallies[len(rows) :]:
        rows["outcome", tally.fullname] = len(rows)
        fullnames.append(tally.fullname)
        workloads.append(None)
    notes += [*mixed_versions("baseline", old), *mixed_versions("candidate", new), *pairs_in_words]
    logs = {quantile: _matrix(rows, processes, [one.logs[quantile] for one in processes]) for quantile in QUANTILES}
    slowest = _matrix(rows, processes, [one.slowest for one in processes])
    resolution = _matrix(rows, processes, [one.resolution for one in processes])
    num_rounds = _matrix(rows, processes, [one.num_rounds for one in processes])
    peaks = _matrix(rows, processes, [one.peak_bytes for one in processes])
    # Low quantiles and slow rounds shift with the number of rounds: only like numbers are compared.
    unlike = ~have_like_rounds(num_rounds)
    slowest[unlike] = np.nan
    for quantile in LOWER_QUANTILES:
        logs[quantile][unlike] = np.nan
    return Sides(
        keys=tuple(rows),
        fullnames=tuple(fullnames),
        workloads=tuple(workloads),
        logs=logs,
        slowest=slowest,
        resolution=_finest(resolution),
        peak_bytes=peaks,
        is_candidate=np.array([False] * len(old) + [True] * len(new), dtype=bool),
        order=np.array([process.started for process in processes], dtype=float),
        processes=tuple(processes),
        notes=tuple(notes),
        attempts=tuple(tally.attempts() for tally in tallies),
        trainings=(trainings[0], trainings[1]),
        training_outcomes=(old_outcomes, new_outcomes),
    )


def _that_measured_steps(side: Sequence[ProcessResult]) -> list[ProcessResult]:
    """Return the processes of a side whose number is that of its samples.

    Files of interleaved pairs alone, or without a result, add no sample to any verdict here, and their place in time
    says nothing of the order in which the sides ran. Where a side has nothing else, they are its processes.
    """
    measured = [process for process in side if process.keys]
    return measured or [process for process in side if not process.trainings]


def _check_other_runs(old: Sequence[ProcessResult], new: Sequence[ProcessResult]) -> None:
    baseline = {process.fingerprint: process for process in old}
    for process in new:
        if process.fingerprint in baseline and process.has_results:
            raise ResultFileError(
                f"{process.path}: the same run as {baseline[process.fingerprint].path} on the other side; a run cannot "
                "be compared with itself"
            )


def _rows_of(processes: Sequence[ProcessResult]) -> tuple[dict[Key, int], list[str], list[Workload | None]]:
    """Return the row of every benchmark that any process has, and their names and workloads in that order."""
    rows: dict[Key, int] = {}
    fullnames: list[str] = []
    workloads: list[Workload | None] = []
    for process in processes:
        for key, fullname, workload in zip(process.keys, process.fullnames, process.workloads, strict=True):
            if key not in rows:
                rows[key] = len(rows)
                fullnames.append(fullname)
                workloads.append(workload)
    return rows, fullnames, workloads


def _matrix(rows: Mapping[Key, int], processes: Sequence[ProcessResult], values: Sequence[Floats]) -> Floats:
    """Return what each process has of each benchmark [benchmarks, processes]; NaN where it has none."""
    matrix = np.full((len(rows), len(processes)), np.nan)
    for column, (process, of_process) in enumerate(zip(processes, values, strict=True)):
        matrix[[rows[key] for key in process.keys], column] = of_process
    return matrix


def _finest(resolution: Floats) -> Floats:
    """Return the smallest step that any process shows [benchmarks]; 0 where none shows one."""
    finest = np.where(np.isnan(resolution), np.inf, resolution).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(finest), finest, 0.0)


def _without_copies(processes: Sequence[ProcessResult], notes: list[str]) -> list[ProcessResult]:
    """Keep one file of every run, the fullest."""
    kept: dict[str, ProcessResult] = {}
    for process in sorted(processes, key=lambda process: (-process.num_results, str(process.path))):
        if process.has_results and process.fingerprint in kept:
            other = kept[process.fingerprint].path
            notes.append(f"{process.path}: left out, it holds the same run as {other}: a copy is no second process")
        else:
            kept[process.fingerprint if process.has_results else str(process.path)] = process
    # Whatever order the files were given in, the columns stand in the order in which the processes ran.
    return sorted(kept.values(), key=lambda process: (process.started, str(process.path)))

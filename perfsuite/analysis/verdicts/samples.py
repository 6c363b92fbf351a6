"""Baseline and candidate as arrays: a process is a column, a benchmark that both sides can have is a row."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.frames.training_groups import unstated_in_words
from perfsuite.analysis.statistics.effect import LOWER_QUANTILES
from perfsuite.analysis.statistics.rounds import QUANTILES, have_like_rounds
from perfsuite.analysis.verdicts.lost_claims import studies_in_words
from perfsuite.analysis.verdicts.outcomes import split_outcomes, tally_outcomes
from perfsuite.analysis.verdicts.quick_results import without_quick
from perfsuite.analysis.verdicts.sample_notes import about_file, mixed_versions, not_compared
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.statistics.effect import Bools, Floats
    from perfsuite.analysis.verdicts.attempts import Attempts
    from perfsuite.analysis.verdicts.process_results import Key, ProcessResult
    from perfsuite.records.cell import Record
    from perfsuite.records.outcome import Outcome
    from perfsuite.records.scaling import ScalingRecord
    from perfsuite.records.workload import Workload


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
        """Whether any file of a side holds a result: a benchmark, a pair, a training, a study of precision."""
        processes = self.side(candidate=candidate)
        return bool(self.trainings[candidate]) or any(one.keys or one.num_pairs or one.studies for one in processes)

    def has_other_network(self, row: int) -> bool:
        """Whether there is the same benchmark of another network with the same name."""
        own = self.workloads[row]
        if own is None:
            return False
        same_name = [other for other in self.workloads if other is not None and other.model == own.model]
        return any(
            other != own and dataclasses.replace(other, model_digest=own.model_digest) == own for other in same_name
        )

    def records(self, row: int, *, candidate: bool) -> list[Record | ScalingRecord]:
        """Return our records of one benchmark on one side, as far as there are any."""
        found = [process.records.get(self.keys[row]) for process in self.side(candidate=candidate)]
        return [record for record in found if record is not None]


def join_sides(baseline: Sequence[ProcessResult], candidate: Sequence[ProcessResult]) -> Sides:
    """Join processes by the identity of their benchmarks; a process that is given twice counts once.

    Raises:
        ResultFileError: The same process stands on both sides.
    """
    notes: list[str] = []
    old, new = _without_copies(baseline, notes), _without_copies(candidate, notes)
    _check_other_runs(old, new)
    for process in (*old, *new):
        notes += about_file(process)
    old, new, notes_on_quick = without_quick(old, new)
    notes += notes_on_quick
    old_trainings, new_trainings = _trainings(old), _trainings(new)
    trainings = [*old_trainings, *new_trainings]
    notes += unstated_in_words([training.record for training in trainings])
    old, old_outcomes = split_outcomes(old, trainings)
    new, new_outcomes = split_outcomes(new, trainings)
    both_sides = (old, new)
    pairs_in_words = [*not_compared([*old, *new]), *studies_in_words(old, new)]
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
        trainings=(old_trainings, new_trainings),
        training_outcomes=(old_outcomes, new_outcomes),
    )


def _trainings(side: Sequence[ProcessResult]) -> tuple[FullTraining, ...]:
    return tuple(training for process in side for training in process.trainings)


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
            notes.append(f"{process.path}: left out, it contains the same run as {other}: a copy is no second process")
        else:
            kept[process.fingerprint if process.has_results else str(process.path)] = process
    # Whatever order the files were given in, the columns stand in the order in which the processes ran.
    return sorted(kept.values(), key=lambda process: (process.started, str(process.path)))

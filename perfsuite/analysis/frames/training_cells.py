"""Full trainings of two sides, joined: a cell is everything that determines the result but the seed."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.frames.training_groups import (
    Family,
    TrainingGroup,
    determining_values,
    family_words,
    unstated_settings,
)
from perfsuite.analysis.load.machine_info import seconds_since_1970
from perfsuite.analysis.statistics.accuracy import (
    AccuracyChange,
    binomial_variance,
    mcnemar_variance,
    paired_change,
    unpaired_change,
)
from perfsuite.errors import RecordError
from perfsuite.records.training import discordant_counts

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.statistics.effect import Bools, Floats
    from perfsuite.records.training import TrainingRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCell:
    """The trainings of both sides that are compared with each other.

    Attributes:
        label: Names it among the cells of a comparison.
        fullname: pytest's name of its first training.
        model: Name of the network.
        precision: Name of the precision.
        family: All else that determines the result.
        baseline: Trainings of the baseline.
        candidate: Trainings of the candidate.
        is_same_training: Whether the candidate has only trainings of the baseline, replayed.
    """

    label: str
    fullname: str
    model: str
    precision: str
    family: Family
    baseline: tuple[FullTraining, ...]
    candidate: tuple[FullTraining, ...]
    is_same_training: bool = False

    def records(self, *, candidate: bool) -> list[TrainingRecord]:
        """Return the records of one side."""
        return [training.record for training in (self.candidate if candidate else self.baseline)]

    def seeds(self, *, candidate: bool) -> dict[int, list[TrainingRecord]]:
        """Return the records of one side by their seed; a seed that was trained twice is still one sample."""
        found: dict[int, list[TrainingRecord]] = {}
        for record in self.records(candidate=candidate):
            found.setdefault(record.seed, []).append(record)
        return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTimes:
    """Training times of all cells: a process is a sample, and its seeds are averaged.

    Attributes:
        logs: Mean logarithm of the training times in seconds [cells, processes], NaN where a process lacks a cell.
        peak_bytes: Highest peak memory of the steps [cells, processes], NaN where unknown.
        is_candidate: [processes]
        order: Start of each process, in seconds since 1970 [processes].
    """

    logs: Floats
    peak_bytes: Floats
    is_candidate: Bools
    order: Floats


def join_trainings(baseline: Sequence[FullTraining], candidate: Sequence[FullTraining]) -> tuple[TrainingCell, ...]:
    """Join the trainings of both sides, in the order in which they were read.

    A training that is on both sides, because the candidate's run replayed it, counts for the baseline alone.
    """
    known = {training.identity for training in baseline}
    unstated = unstated_settings([training.record for training in (*baseline, *candidate)])
    groups: dict[tuple[Hashable, ...], tuple[list[FullTraining], list[FullTraining], list[FullTraining]]] = {}
    for training in baseline:
        groups.setdefault(_key(training.record, unstated), ([], [], []))[0].append(training)
    for training in candidate:
        is_same = training.identity in known
        groups.setdefault(_key(training.record, unstated), ([], [], []))[2 if is_same else 1].append(training)
    joined = []
    for old, new, _ in groups.values():
        first = (*old, *new)[0].record
        family = Family(place="", model=first.workload.model, determining=determining_values(first, unstated))
        joined.append(TrainingGroup(family=family, precision=first.workload.precision, members=(*old, *new)))
    words = family_words(joined)
    return tuple(
        TrainingCell(
            label=f"{words(group.family)} {group.precision}",
            fullname=group.members[0].fullname,
            model=group.family.model,
            precision=group.precision,
            family=group.family,
            baseline=tuple(old),
            candidate=tuple(new),
            is_same_training=bool(same) and not new,
        )
        for group, (old, new, same) in zip(joined, groups.values(), strict=True)
    )


def _key(record: TrainingRecord, unstated: Sequence[str]) -> tuple[Hashable, ...]:
    return record.workload.model, record.workload.precision, determining_values(record, unstated)


def accuracy_change(cell: TrainingCell) -> AccuracyChange:
    """Return the change of the test accuracy of one cell.

    Paired where all seeds of the smaller side are on the other side with the same split; the seeds that only one side
    has are left out then. Otherwise all seeds count, unpaired.
    """
    return accuracy_change_of_seeds(cell.seeds(candidate=False), cell.seeds(candidate=True))


def accuracy_change_of_seeds(
    baseline: Mapping[int, Sequence[TrainingRecord]], candidate: Mapping[int, Sequence[TrainingRecord]]
) -> AccuracyChange:
    """Return the change between two sides of trainings by their seed; see `accuracy_change`."""
    common = [seed for seed in baseline if seed in candidate and _same_split(baseline[seed], candidate[seed])]
    if len(common) == min(len(baseline), len(candidate)):
        return paired_change(
            np.array([_accuracy(baseline[seed]) for seed in common]),
            np.array([_accuracy(candidate[seed]) for seed in common]),
            np.array([_difference_variance(baseline[seed], candidate[seed]) for seed in common]),
        )
    num_images = next(iter(baseline.values()))[0].data.num_test
    old = np.array([_accuracy(records) for records in baseline.values()])
    new = np.array([_accuracy(records) for records in candidate.values()])
    return unpaired_change(old, new, num_images)


def has_same_weights(cell: TrainingCell) -> bool:
    """Whether both sides have the same seeds, and each seed ended with the same weights, bit for bit."""
    old, new = _digests(cell, candidate=False), _digests(cell, candidate=True)
    return old == new and all(len(digests) == 1 for digests in old.values())


def _digests(cell: TrainingCell, *, candidate: bool) -> dict[int, set[str]]:
    """Return the digests of the weights that the trainings of each seed ended with."""
    found: dict[int, set[str]] = {}
    for record in cell.records(candidate=candidate):
        found.setdefault(record.seed, set()).add(record.weights_sha256)
    return found


def _same_split(baseline: Sequence[TrainingRecord], candidate: Sequence[TrainingRecord]) -> bool:
    return len({record.data.split_fingerprint for record in (*baseline, *candidate)}) == 1


def _accuracy(records: Sequence[TrainingRecord]) -> float:
    return sum(record.test_accuracy for record in records) / len(records)


def _difference_variance(baseline: Sequence[TrainingRecord], candidate: Sequence[TrainingRecord]) -> float:
    """Return the variance of the difference of a seed from its test images; without predictions, that of two samples.

    Of repetitions of a seed the mean over all pairs, as if they were one: they may be the same network.
    """
    variances = []
    for old in baseline:
        for new in candidate:
            try:
                counts = discordant_counts(old, new)
            except RecordError:
                accuracies = np.array([old.test_accuracy, new.test_accuracy])
                variances.append(float(binomial_variance(accuracies, old.data.num_test).sum()))
            else:
                variances.append(
                    mcnemar_variance(counts.num_only_baseline, counts.num_only_candidate, counts.num_images)
                )
    return sum(variances) / len(variances)


def training_times(cells: Sequence[TrainingCell]) -> TrainingTimes:
    """Return times and peaks of all cells, a column per process that trained."""
    columns: dict[tuple[bool, str], _Process] = {}
    for row, cell in enumerate(cells):
        for is_candidate in (False, True):
            for record in cell.records(candidate=is_candidate):
                key = (is_candidate, record.process.run_id)
                if key not in columns:
                    started_s = seconds_since_1970(record.process.started)
                    columns[key] = _Process(is_candidate=is_candidate, started_s=started_s)
                columns[key].records.setdefault(row, []).append(record)
    processes = list(columns.values())
    logs = np.full((len(cells), len(processes)), np.nan)
    peaks = np.full((len(cells), len(processes)), np.nan)
    for column, process in enumerate(processes):
        for row, records in process.records.items():
            times = [record.metrics["training_time_s"] or math.nan for record in records]
            logs[row, column] = np.log(times).mean()
            own_peaks = [record.metrics.get("peak_allocated_bytes") for record in records]
            peaks[row, column] = max((peak for peak in own_peaks if peak is not None), default=math.nan)
    return TrainingTimes(
        logs=logs,
        peak_bytes=peaks,
        is_candidate=np.array([process.is_candidate for process in processes], dtype=bool),
        order=np.array([process.started_s for process in processes], dtype=float),
    )


@dataclass(slots=True, kw_only=True)
class _Process:
    """A process that trained: a column of `TrainingTimes`.

    Attributes:
        is_candidate: Of which side.
        started_s: In seconds since 1970.
        records: What it trained, by the place of the cell.
    """

    is_candidate: bool
    started_s: float
    records: dict[int, list[TrainingRecord]] = field(default_factory=dict)


def mean_accuracy(cell: TrainingCell, *, candidate: bool) -> float | None:
    """Return the mean over the seeds of one side, or None where it has none."""
    by_seed = [_mean_accuracy(records) for records in cell.seeds(candidate=candidate).values()]
    return statistics.fmean(by_seed) if by_seed else None


def _mean_accuracy(records: Sequence[TrainingRecord]) -> float:
    return statistics.fmean(record.test_accuracy for record in records)

"""Which benchmark a recorded outcome is of, and what became of every benchmark in the processes of both sides."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.verdicts.attempts import Attempts
from perfsuite.records.spread_workload import SpreadWorkload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.frames.training_cells import TrainingCell
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.verdicts.process_results import Key, ProcessResult
    from perfsuite.records.outcome import Outcome
    from perfsuite.records.workload import Workload

ShortName = tuple[str, str]


def short_name(nodeid: str) -> ShortName:
    """Return the file of the module and the test in it: a run that was started in another folder has another path."""
    file, _, test = nodeid.partition("::")
    return file.rpartition("/")[2], test


def is_outcome_of(outcome: Outcome, fullname: str, workload: Workload | None) -> bool:
    """Whether an outcome is of what was measured under this name, of this workload (None: not perfsuite's)."""
    if workload is None:
        return outcome.nodeid == fullname
    is_other = outcome.workload is not None and not _may_be_of(outcome.workload, workload)
    return not is_other and short_name(outcome.nodeid) == short_name(fullname)


def _may_be_of(recorded: Workload, workload: Workload) -> bool:
    """Whether an outcome of a recorded workload is one of this: of several devices it may be the step of one."""
    if recorded == workload or not isinstance(workload, SpreadWorkload):
        return recorded == workload
    batch_sizes = {workload.batch_size, workload.batch_size * workload.world_size}
    alike = dataclasses.replace(recorded, batch_size=workload.batch_size)
    return recorded.batch_size in batch_sizes and alike == workload.of_a_rank


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts what became of one benchmark, by side: of the baseline, and of the candidate.

    Attributes:
        fullname: pytest's name of it.
        num_measured: Processes that gave a result.
        outcomes: What the others recorded.
        num_cut_short: Processes that ended early and recorded no outcome for it.
    """

    fullname: str
    num_measured: list[int] = field(default_factory=lambda: [0, 0])
    outcomes: tuple[list[Outcome], list[Outcome]] = field(default_factory=lambda: ([], []))
    num_cut_short: list[int] = field(default_factory=lambda: [0, 0])

    def attempts(self, *, unit: str = "process") -> tuple[Attempts, Attempts]:
        """Return it as both sides have it."""
        old, new = (
            Attempts(
                side=side,
                num_measured=self.num_measured[index],
                outcomes=tuple(self.outcomes[index]),
                num_cut_short=self.num_cut_short[index],
                unit=unit,
            )
            for index, side in enumerate(("baseline", "candidate"))
        )
        return old, new

    @property
    def is_reported(self) -> bool:
        """Whether it needs a row although its times are not compared: something is wrong with the candidate's."""
        old, new = self.attempts()
        was_lost = bool(old.num_measured and new.outcomes and not new.num_measured)
        return was_lost or bool(new.num_failed or new.of_kinds(["cannot_tell"]))


def tally_outcomes(
    sides: tuple[Sequence[ProcessResult], Sequence[ProcessResult]],
    rows: Mapping[Key, int],
    fullnames: Sequence[str],
    workloads: Sequence[Workload | None],
) -> list[Tally]:
    """Return what became of every benchmark, in the order of the rows; after them, what has no row and needs one.

    Those are interleaved pairs, whose ratios are not compared, and benchmarks that gave no result on either side.

    Args:
        sides: Processes of the baseline, and of the candidate.
        rows: Position of each benchmark that was measured, by its identity.
        fullnames: pytest's name of each.
        workloads: Our workload of each, or None.
    """
    names = _names(sides, rows)
    tallies = [Tally(fullname=fullname) for fullname in fullnames]
    others: dict[ShortName, Tally] = {}
    for side, processes in enumerate(sides):
        for process in processes:
            seen = _measured_rows(process, rows)
            for row in seen:
                tallies[row].num_measured[side] += 1
            for outcome in process.outcomes:
                name = short_name(outcome.nodeid)
                found = {row for row, fullname in names[name] if is_outcome_of(outcome, fullname, workloads[row])}
                if not found:
                    others.setdefault(name, Tally(fullname=outcome.nodeid)).outcomes[side].append(outcome)
                for row in found - seen:
                    tallies[row].outcomes[side].append(outcome)
                seen |= found
            if not process.complete:
                for row in set(range(len(tallies))) - seen:
                    tallies[row].num_cut_short[side] += 1
    _count_pairs(sides, others)
    return [*tallies, *(other for other in others.values() if other.is_reported)]


def _measured_rows(process: ProcessResult, rows: Mapping[Key, int]) -> set[int]:
    """Return the rows of the benchmarks of which a process has a time."""
    is_known = np.isfinite(process.logs[TYPICAL])
    return {rows[process.keys[index]] for index in np.flatnonzero(is_known)}


def _names(
    sides: tuple[Sequence[ProcessResult], Sequence[ProcessResult]], rows: Mapping[Key, int]
) -> Mapping[ShortName, set[tuple[int, str]]]:
    """Return the rows and full names of the benchmarks of a short name."""
    names: defaultdict[ShortName, set[tuple[int, str]]] = defaultdict(set)
    for process in (*sides[0], *sides[1]):
        for key, fullname in zip(process.keys, process.fullnames, strict=True):
            names[short_name(fullname)].add((rows[key], fullname))
    return names


def _count_pairs(
    sides: tuple[Sequence[ProcessResult], Sequence[ProcessResult]], others: Mapping[ShortName, Tally]
) -> None:
    """Count the processes that measured the pairs of which others recorded an outcome."""
    for side, processes in enumerate(sides):
        for fullname in (name for process in processes for name in process.measured_pairs):
            if short_name(fullname) in others:
                others[short_name(fullname)].num_measured[side] += 1


def split_outcomes(
    processes: Sequence[ProcessResult], trainings: Sequence[FullTraining]
) -> tuple[list[ProcessResult], tuple[Outcome, ...]]:
    """Separate the outcomes of full trainings of which there is a result on either side.

    Returns:
        The processes without those outcomes, and the outcomes.
    """
    kept, found = [], []
    for process in processes:
        of_trainings = [one for one in process.outcomes if any(_is_of_training(one, other) for other in trainings)]
        others = tuple(one for one in process.outcomes if one not in of_trainings)
        kept.append(dataclasses.replace(process, outcomes=others))
        found += of_trainings
    return kept, tuple(found)


def attempts_of_cell(
    cell: TrainingCell, outcomes: tuple[Sequence[Outcome], Sequence[Outcome]]
) -> tuple[Attempts, Attempts]:
    """Return what became of the trainings of a cell on either side, with all their seeds."""
    members = (*cell.baseline, *cell.candidate)
    tally = Tally(fullname=cell.fullname, num_measured=[len(cell.baseline), len(cell.candidate)])
    for side, own in enumerate((cell.baseline, cell.candidate)):
        finished = {short_name(training.fullname) for training in own}
        tally.outcomes[side].extend(
            outcome
            for outcome in outcomes[side]
            if any(_is_of_training(outcome, training) for training in members)
            # A training that was interrupted and resumed finished in a later process.
            and (outcome.outcome in {"failed", "out_of_memory"} or short_name(outcome.nodeid) not in finished)
        )
    return tally.attempts(unit="training")


def _is_of_training(outcome: Outcome, training: FullTraining) -> bool:
    """Whether an outcome is of this training, or of another seed of its workload."""
    workload = training.record.workload
    return outcome.workload == workload or is_outcome_of(outcome, training.fullname, workload)

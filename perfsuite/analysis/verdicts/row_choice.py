"""Which verdicts are shown, and in which order: never what they are, how many there are, or what fails."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.selection import in_natural_order, row_names
from perfsuite.analysis.verdicts.ranking import ranked, ranked_trainings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from perfsuite.analysis.frames.selection import Expression
    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.verdicts.metric_verdict import MetricVerdict
    from perfsuite.analysis.verdicts.training_verdicts import TrainingVerdict


SORTS = ("verdict", "change", "name", "time")
"""The worst verdict first (within one the largest change); the largest change, slower or faster; the name; the
candidate's time, the longest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChoice:
    """Which rows of a comparison are shown, all of them by default.

    Attributes:
        only: Verdicts; empty for all.
        select: An expression over names and workloads, or None.
        sort: Of `SORTS`.
    """

    only: tuple[str, ...] = ()
    select: Expression | None = None
    sort: str = SORTS[0]

    @property
    def is_filter(self) -> bool:
        """Whether it may leave rows out."""
        return bool(self.only) or self.select is not None

    def note(self, num_shown: int, num_rows: int) -> str:
        """Return how many of how many rows are shown, and why."""
        parts = [f"--only {','.join(self.only)}"] if self.only else []
        parts += [] if self.select is None else [f"--select {self.select.text!r}"]
        num = f"{num_shown:,}" if num_shown else "none"
        why = ", ".join(parts)
        return f"shown: {num} of {num_rows:,} rows ({why}); verdicts, counts, means and exit status are of all"


ALL_ROWS = RowChoice()


def chosen_benchmarks(comparison: Comparison, choice: RowChoice = ALL_ROWS) -> list[BenchmarkVerdict]:
    """Return the benchmarks that are shown, in the order in which they are."""
    chosen = [one for one in ranked(comparison) if _is_chosen(choice, one.verdict, benchmark_names(one))]
    orders: dict[str, Callable[[BenchmarkVerdict], Any]] = {
        "change": lambda one: -_size(one.time.ratio),
        "name": lambda one: in_natural_order(one.label),
        "time": lambda one: -_time_s(one.time),
    }
    return sorted(chosen, key=orders[choice.sort]) if choice.sort in orders else chosen


def chosen_trainings(comparison: Comparison, choice: RowChoice = ALL_ROWS) -> list[TrainingVerdict]:
    """Return the full trainings that are shown, in the order in which they are."""
    ordered = ranked_trainings(comparison.trainings)
    chosen = [one for one in ordered if _is_chosen(choice, one.verdict, training_names(one))]
    orders: dict[str, Callable[[TrainingVerdict], Any]] = {
        "change": lambda one: -abs(one.accuracy.change or 0.0),
        "name": lambda one: in_natural_order(one.cell.label),
        "time": lambda one: -_time_s(one.time),
    }
    return sorted(chosen, key=orders[choice.sort]) if choice.sort in orders else chosen


def benchmark_names(benchmark: BenchmarkVerdict) -> list[str]:
    """Return what an expression finds in a benchmark."""
    workload = benchmark.workload
    fields = {} if workload is None else {**dataclasses.asdict(workload), "label": workload.label}
    return row_names({"fullname": benchmark.fullname, **fields})


def training_names(one: TrainingVerdict) -> list[str]:
    """Return what an expression finds in a full training: the names and workloads of all its seeds."""
    members = (*one.cell.baseline, *one.cell.candidate)
    workloads = dict.fromkeys(training.record.workload for training in members)
    fields = [name for workload in workloads for name in row_names(dataclasses.asdict(workload))]
    return [one.cell.fullname, one.cell.label, *(training.fullname for training in members), *fields]


def shown_note(comparison: Comparison, choice: RowChoice) -> list[str]:
    """Return the note on how many benchmarks and full trainings are shown, where some may not be."""
    if not choice.is_filter:
        return []
    num_rows = len(comparison.benchmarks) + len(comparison.trainings.verdicts)
    num_shown = len(chosen_benchmarks(comparison, choice)) + len(chosen_trainings(comparison, choice))
    return [choice.note(num_shown, num_rows)]


def _is_chosen(choice: RowChoice, verdict: str, names: Sequence[str] | Iterable[str]) -> bool:
    if choice.only and verdict not in choice.only:
        return False
    return choice.select is None or choice.select.matches(names)


def _size(ratio: float | None) -> float:
    return abs(math.log(ratio)) if ratio else -1.0


def _time_s(time: MetricVerdict) -> float:
    return time.candidate or time.baseline or 0.0

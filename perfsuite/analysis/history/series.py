"""Values over time: a series for each benchmark and metric of one machine, and where it changed its level."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.history.defaults import NUM_LAST
from perfsuite.analysis.history.index import IndexedRun
from perfsuite.analysis.history.run_values import ACCURACY, HIGHER_IS_BETTER, PLACES
from perfsuite.analysis.statistics.change_points import find_changes, level_of
from perfsuite.analysis.statistics.run_level import correlation
from perfsuite.analysis.statistics.run_scatter import run_scatter
from perfsuite.errors import InvalidChoiceError, ResultFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfsuite.analysis.history.index import Index
    from perfsuite.analysis.history.run_values import RunValues, Value
    from perfsuite.analysis.statistics.change_points import Growth, Shift
    from perfsuite.analysis.statistics.run_level import Floats
    from perfsuite.analysis.statistics.run_scatter import RunScatter
    from perfsuite.analysis.verdicts.thresholds import Judging


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One benchmark and metric of a machine, over time.

    Attributes:
        benchmark: See `Value`.
        metric: Its key in `perfsuite.metrics`.
        runs: Indices of the runs that have it in `History.runs`, in the order of time [num].
        values: In the metric's base unit [num].
    """

    benchmark: str
    metric: str
    runs: tuple[int, ...]
    values: Floats

    @property
    def is_higher_better(self) -> bool:
        """Whether a larger value is the better one."""
        return self.metric in HIGHER_IS_BETTER

    @property
    def logs(self) -> Floats:
        """Logarithms of the values [num]."""
        return np.log(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Where a series has a new level.

    Attributes:
        index: Of its first run at the new level, among the runs of the series, from 0.
        ratio: New level over old.
        low: Lower end of its 95% interval.
        high: Upper end.
        is_worse: Whether the new level is the worse one.
        differences: What else is another in the first run at the new level than in the last one before, in words.
    """

    index: int
    ratio: float
    low: float
    high: float
    is_worse: bool
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesChanges:
    """A series with its changes.

    Attributes:
        series: It.
        changes: In the order of time.
    """

    series: Series
    changes: tuple[Change, ...]

    @property
    def levels(self) -> tuple[tuple[int, int, float], ...]:
        """First and last run of each stretch of one level, and its median in the metric's unit."""
        starts = [0, *(change.index for change in self.changes)]
        ends = [*(start - 1 for start in starts[1:]), len(self.series.values) - 1]
        return tuple(
            (start, end, float(np.median(self.series.values[start : end + 1])))
            for start, end in zip(starts, ends, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that one machine measured.

    Attributes:
        machine: Its name.
        runs: In the order of time.
        series: Those of at least one run, in the order of their names.
        notes: What a reader should know, in words.
    """

    machine: str
    runs: tuple[IndexedRun, ...]
    series: tuple[Series, ...]
    notes: tuple[str, ...]


def choose_machine(machines: dict[str, int], wanted: str | None, where: str) -> str:
    """Return one machine.

    Args:
        machines: With their numbers of runs.
        wanted: A name or a part of it; None for the only one.
        where: The store, for messages.

    Raises:
        ResultFileError: There is no run.
        InvalidChoiceError: No machine, or several, have that name.
    """
    if not machines:
        raise ResultFileError(f"{where}: contains no runs; `perfsuite history add FILE` adds some")
    if wanted is None:
        if len(machines) == 1:
            return next(iter(machines))
        raise InvalidChoiceError(f"{where}: contains runs of {_listed(machines)}; choose one with --machine")
    if wanted in machines:
        return wanted
    found = [name for name in machines if wanted.casefold() in name.casefold()]
    if len(found) == 1:
        return found[0]
    what = f"is a part of {_listed(dict.fromkeys(found, 0))}" if found else f"is none of {_listed(machines)}"
    raise InvalidChoiceError(f"--machine: {wanted[:80]!r} {what}")


def _listed(names: dict[str, int]) -> str:
    shown = [repr(name[:80]) for name in list(names)[:8]]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more


def read_history(index: Index, machine: str, num_last: int = NUM_LAST) -> History:
    """Return what one machine measured, as far as its newest runs go back."""
    runs = tuple(index.runs(machine, num_last))
    position = {run.id: number for number, run in enumerate(runs)}
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for benchmark, metric, run, value in index.values(machine, runs[0].started_s if runs else 0.0):
        if run in position:
            found[benchmark, metric][position[run]] = value
    notes = index.problems()
    num_undated = index.num_undated()
    if num_undated:
        notes.append(f"{num_undated} files do not say when they were measured, and are left out")
    return History(machine=machine, runs=runs, series=tuple(_series_of(found)), notes=tuple(notes))


def with_runs(history: History, new: Sequence[tuple[str, RunValues]]) -> History:
    """Return a history with more runs of the same machine, whether or not a store has them.

    Args:
        history: Of a machine.
        new: Name and values of each run; one that says not when it was measured is the newest.
    """
    newest_s = max((run.started_s for run in history.runs), default=0.0)
    numbered: list[tuple[int, IndexedRun, tuple[Value, ...]]] = [(run.id, run, ()) for run in history.runs]
    for number, (name, found) in enumerate(new, start=1):
        started_s = newest_s + number if math.isnan(found.started_s) else found.started_s
        run = IndexedRun(id=-number, name=name, started_s=started_s, machine=found.machine, place=found.place)
        numbered.append((run.id, run, found.values))
    numbered.sort(key=lambda entry: entry[1].started_s)
    position = {number: index for index, (number, _, _) in enumerate(numbered)}
    found_values: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for series in history.series:
        for run_index, value in zip(series.runs, series.values, strict=True):
            found_values[series.benchmark, series.metric][position[history.runs[run_index].id]] = float(value)
    for number, _, values in numbered:
        for value in values:
            found_values[value.benchmark, value.metric][position[number]] = value.value
    return History(
        machine=history.machine,
        runs=tuple(run for _, run, _ in numbered),
        series=tuple(_series_of(found_values)),
        notes=history.notes,
    )


def _series_of(found: dict[tuple[str, str], dict[int, float]]) -> Iterator[Series]:
    for (benchmark, metric), by_run in sorted(found.items()):
        order = sorted(by_run)
        values = np.array([by_run[number] for number in order], dtype=np.float64)
        yield Series(benchmark=benchmark, metric=metric, runs=tuple(order), values=values)


def correlations_of(series: Sequence[Series]) -> dict[str, float]:
    """Return the correlation of neighbouring runs of each metric."""
    metrics = sorted({one.metric for one in series})
    return {metric: correlation([one.logs for one in series if one.metric == metric]) for metric in metrics}


def scatter_of(history: History) -> dict[str, RunScatter]:
    """Return how much the series of each metric scatter from run to run."""
    metrics = sorted({one.metric for one in history.series})
    return {
        metric: run_scatter([(one.runs, one.logs) for one in history.series if one.metric == metric], len(history.runs))
        for metric in metrics
    }


def growth_in(scatter: RunScatter, runs: Sequence[int]) -> Growth:
    """Return the growth of the scatter by the indices of a series' runs among themselves.

    Args:
        scatter: Of the runs of the machine.
        runs: Where each run of the series is among those.
    """
    return lambda first, last: scatter.growth(runs[first], runs[last])


def changes_of(history: History, judging: Judging) -> tuple[SeriesChanges, ...]:
    """Return where each series of a history has a new level.

    Args:
        history: It.
        judging: Chance of any false alarm in all series, and what counts as a change.
    """
    correlations, scatter = correlations_of(history.series), scatter_of(history)
    level = level_of(judging.alpha, len(history.series), len(history.runs))
    return tuple(
        _with_changes(
            history,
            series,
            correlations[series.metric],
            level,
            judging,
            growth=growth_in(scatter[series.metric], series.runs),
        )
        for series in history.series
    )


def min_effect_log(series: Series, judging: Judging) -> float:
    """Return the smallest change of a series that counts, in log units: for accuracy, the margin in points."""
    if series.metric == ACCURACY:
        return judging.margin / float(np.median(series.values))
    return math.log1p(judging.thresholds(series.benchmark))


def _with_changes(
    history: History, series: Series, correlated: float, level: float, judging: Judging, *, growth: Growth
) -> SeriesChanges:
    shifts = find_changes(
        series.logs,
        correlated=correlated,
        level_of_test=level,
        min_effect_log=min_effect_log(series, judging),
        growth=growth,
    )
    return SeriesChanges(series=series, changes=tuple(change_of(history, series, shift) for shift in shifts))


def change_of(history: History, series: Series, shift: Shift) -> Change:
    """Return a shift of a series as what a reader is told."""
    before, after = (history.runs[series.runs[index]] for index in (shift.index - 1, shift.index))
    return Change(
        index=shift.index,
        ratio=math.exp(shift.log_ratio),
        low=math.exp(shift.low),
        high=math.exp(shift.high),
        is_worse=(shift.log_ratio > 0) != series.is_higher_better,
        differences=tuple(differences_of(before.place, after.place)),
    )


def differences_of(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    """Yield what differs between the places of two runs: `torch 2.13.0 -> 2.14.0`, the most telling of code first."""
    for name in PLACES:
        old, new = before.get(name), after.get(name)
        if old != new:
            yield f"{name} {old or 'unknown'} -> {new or 'unknown'}"

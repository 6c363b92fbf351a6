"""New runs against the history of their machine: is anything off, since when, and is it the code or the machine?"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.history.likely_cause import likely_cause
from perfsuite.analysis.history.run_values import values_of
from perfsuite.analysis.history.series import (
    Change,
    change_of,
    choose_machine,
    correlations_of,
    differences_of,
    growth_in,
    min_effect_log,
    read_history,
    scatter_of,
    with_runs,
)
from perfsuite.analysis.history.store import name_in_store
from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.analysis.statistics.change_points import MIN_RUNS, find_changes, last_shift, level_of, prediction_margin
from perfsuite.analysis.statistics.run_level import MIN_REFERENCE
from perfsuite.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from perfsuite.analysis.history.index import Index
    from perfsuite.analysis.history.run_values import RunValues
    from perfsuite.analysis.history.series import History, Series
    from perfsuite.analysis.statistics.change_points import Shift
    from perfsuite.analysis.statistics.run_level import Floats
    from perfsuite.analysis.statistics.run_scatter import RunScatter
    from perfsuite.analysis.verdicts.thresholds import Judging
    from perfsuite.analysis.verdicts.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSeries:
    """The verdict on one benchmark and metric of new runs.

    Attributes:
        benchmark: See `Value`.
        metric: Its key.
        verdict: As those of `perfsuite compare`.
        reason: Why, in words.
        level: Median of the current level in the metric's unit; None without a history.
        value: Median of the new runs; None where they lack it.
        ratio: New over level, or None.
        low: Lower end of the prediction interval, as a ratio to the level: of the mean of as many runs.
        high: Upper end.
        num_reference: Runs of the current level.
        num_new: New runs.
        change: The change of level that the new runs belong to, or None.
        since: Name of the first run at the new level, or None.
    """

    benchmark: str
    metric: str
    verdict: Verdict
    reason: str
    level: float | None
    value: float | None
    ratio: float | None
    low: float | None
    high: float | None
    num_reference: int
    num_new: int
    change: Change | None = None
    since: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What new runs say.

    Attributes:
        machine: Which.
        series: A verdict each.
        differences: What is another in the newest run than in the last one of the history, in words.
        notes: What a reader should know.
    """

    machine: str
    series: tuple[CheckedSeries, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]


def check_files(
    paths: Sequence[Path], store: Path, index: Index, judging: Judging, *, machine: str | None
) -> tuple[Check, ...]:
    """Judge result files against the history of their machines, whether or not the store has them already.

    Args:
        paths: The files.
        store: The folder of the history, for messages.
        index: Its index, up to date.
        judging: See `check_runs`.
        machine: The machine of the store to compare with, or a part of its name; None for that of each file.

    Returns:
        A check for each machine that the files are of.

    Raises:
        ResultFileError: A file cannot be used.
        InvalidChoiceError: No machine has that name.
    """
    known = index.machines()
    compared = None if machine is None else choose_machine(known, machine, f"--store {store}")
    by_machine: dict[str, list[tuple[Path, RunValues]]] = {}
    for path in paths:
        run = values_of(read_result_file(path))
        by_machine.setdefault(compared or run.machine, []).append((path, run))
    checks = []
    for name, found in by_machine.items():
        stored = {path: name_in_store(path, index) for path, _ in found}
        new = [(str(path), run) for path, run in found if stored[path] is None]
        history = with_runs(read_history(index, name), new)
        names = [stored[path] or str(path) for path, _ in found]
        check = check_runs(history, names, judging)
        if name not in known:
            check = dataclasses.replace(check, notes=(_not_in_store(store, list(known)), *check.notes))
        checks.append(check)
    return tuple(checks)


def _not_in_store(store: Path, machines: Sequence[str]) -> str:
    others = ", ".join(repr(other[:80]) for other in machines[:4]) or "none"
    return f"{store} has no run of this machine; it has runs of: {others}; --machine compares with one of them"


def check_runs(history: History, new_runs: Sequence[str], judging: Judging) -> Check:
    """Judge the newest runs of a history against those before them.

    Args:
        history: Of one machine, the new runs included.
        new_runs: Names of the files that are new.
        judging: Chance of any false alarm in all series in `HORIZON` runs, and what counts as a change.
    """
    is_new = np.array([run.name in new_runs for run in history.runs], dtype=bool)
    level = level_of(judging.alpha, len(history.series), len(history.runs))
    correlations, scatter = correlations_of(history.series), scatter_of(history)
    checked: list[CheckedSeries] = []
    for one in history.series:
        found = _checked(history, one, is_new, level, correlations[one.metric], scatter[one.metric], judging)
        if found is not None:
            checked.append(found)
    before = [history.runs[index] for index in np.flatnonzero(~is_new)]
    after = [history.runs[index] for index in np.flatnonzero(is_new)]
    differences = tuple(differences_of(before[-1].place, after[-1].place)) if before and after else ()
    return Check(
        machine=history.machine,
        series=tuple(checked),
        differences=differences,
        notes=(*history.notes, *likely_cause(checked, differences)),
    )


def _checked(
    history: History,
    series: Series,
    is_new: NDArray[np.bool_],
    level: float,
    correlated: float,
    scatter: RunScatter,
    judging: Judging,
) -> CheckedSeries | None:
    """Return the verdict on a series; None where neither the new runs nor the last ones before them have it."""
    new = is_new[list(series.runs)]
    old_values, new_values = series.values[~new], series.values[new]
    if not len(new_values):
        old_runs = np.flatnonzero(~is_new)
        was_there = len(old_runs) > 0 and int(old_runs[-1]) in series.runs
        return _without_new(series, old_values) if was_there else None
    if not len(old_values):
        return _plain(series, "new", "no earlier run has it", new_values)
    effect = min_effect_log(series, judging)
    logs = np.concatenate([np.log(old_values), np.log(new_values)])
    places = np.array(series.runs)
    runs = [int(place) for place in (*places[~new], *places[new])]
    changes = find_changes(
        np.log(old_values),
        correlated=correlated,
        level_of_test=level,
        min_effect_log=effect,
        growth=growth_in(scatter, runs),
    )
    start = changes[-1].index if changes else 0
    current, num_new = logs[start:], len(new_values)
    reference = current[:-num_new]
    if len(reference) < MIN_REFERENCE:
        return _young(history, series, changes, reference, new_values, effect)
    shift = last_shift(
        current,
        correlated=correlated,
        level_of_test=level,
        min_effect_log=effect,
        growth=growth_in(scatter, runs[start:]),
    )
    if shift is None:
        return _without_shift(series, reference, new_values, effect, judging, num_series=len(history.series))
    found = change_of(history, series, _moved(shift, start))
    verdict: Verdict = "regressed" if found.is_worse else "improved"
    since = history.runs[series.runs[found.index]].name
    before = logs[start : found.index]
    return CheckedSeries(
        benchmark=series.benchmark,
        metric=series.metric,
        verdict=verdict,
        reason=f"a new level since {since} ({plural(len(logs) - found.index, 'run')})",
        level=float(np.exp(np.median(before))),
        value=float(np.median(new_values)),
        ratio=found.ratio,
        low=found.low,
        high=found.high,
        num_reference=len(before),
        num_new=num_new,
        change=found,
        since=since,
    )


def _moved(shift: Shift, start: int) -> Shift:
    """Return a shift that was found in a stretch with its place in the whole series."""
    return dataclasses.replace(shift, index=shift.index + start)


def _young(
    history: History,
    series: Series,
    changes: Sequence[Shift],
    reference: Floats,
    new_values: Floats,
    effect: float,
) -> CheckedSeries:
    """Return the verdict where the current level has too few runs to say what leaves it."""
    if not changes:
        have = plural(len(reference), "run")
        return _plain(series, "inconclusive", f"{have} before it; {MIN_REFERENCE} are needed", new_values)
    last = changes[-1]
    found = change_of(history, series, last)
    since = history.runs[series.runs[last.index]].name
    level = float(np.exp(np.median(reference)))
    ratio = float(np.median(new_values)) / level
    if abs(math.log(ratio)) > max(abs(last.log_ratio) / 2, effect):
        reason = f"neither at the level since {since} nor at the one before it"
        return _plain(series, "inconclusive", reason, new_values, level=level)
    verdict: Verdict = "regressed" if found.is_worse else "improved"
    num_at_new = len(reference) + len(new_values)
    return CheckedSeries(
        benchmark=series.benchmark,
        metric=series.metric,
        verdict=verdict,
        reason=f"a new level since {since} ({plural(num_at_new, 'run')})",
        level=level / found.ratio,
        value=float(np.median(new_values)),
        ratio=found.ratio,
        low=found.low,
        high=found.high,
        num_reference=last.index,
        num_new=len(new_values),
        change=found,
        since=since,
    )


def _without_shift(
    series: Series, reference: Floats, new_values: Floats, effect: float, judging: Judging, *, num_series: int
) -> CheckedSeries:
    """Return the verdict where no new level is certain: within what runs of the level scatter, or outside."""
    num_new = len(new_values)
    margin = prediction_margin(reference, level_of_interval=judging.alpha / max(num_series, 1), num_new=num_new)
    center = float(np.median(reference))
    difference = float(np.mean(np.log(new_values))) - center
    is_inside = abs(difference) <= max(margin, effect)
    if is_inside:
        verdict: Verdict = "unchanged"
        reason = f"within the scatter of runs at this level ({_percent(margin)})"
    else:
        verdict = "inconclusive"
        reason = (
            f"outside the scatter of runs at this level ({_percent(margin)}), in {plural(num_new, 'run')}; "
            f"a new level takes {MIN_RUNS}"
        )
    return CheckedSeries(
        benchmark=series.benchmark,
        metric=series.metric,
        verdict=verdict,
        reason=reason,
        level=math.exp(center),
        value=float(np.exp(np.mean(np.log(new_values)))),
        ratio=math.exp(difference),
        low=math.exp(-margin),
        high=math.exp(margin),
        num_reference=len(reference),
        num_new=num_new,
    )


def _percent(margin: float) -> str:
    return f"±{100 * math.expm1(margin):.1f}%"


def _without_new(series: Series, old_values: Floats) -> CheckedSeries:
    return CheckedSeries(
        benchmark=series.benchmark,
        metric=series.metric,
        verdict="missing",
        reason="the previous run has it, the new one does not",
        level=float(np.median(old_values[-MIN_REFERENCE:])),
        value=None,
        ratio=None,
        low=None,
        high=None,
        num_reference=len(old_values),
        num_new=0,
    )


def _plain(
    series: Series, verdict: Verdict, reason: str, new_values: Floats, level: float | None = None
) -> CheckedSeries:
    value = float(np.median(new_values))
    return CheckedSeries(
        benchmark=series.benchmark,
        metric=series.metric,
        verdict=verdict,
        reason=reason,
        level=level,
        value=value,
        ratio=None if level is None else value / level,
        low=None,
        high=None,
        num_reference=len(series.values) - len(new_values),
        num_new=len(new_values),
    )

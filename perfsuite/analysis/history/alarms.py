"""Which changes of level are one event, and which events were reported already.

A change that many benchmarks share is one event, not an alarm for each of them. More nights may move the estimated
first run of a change, and more benchmarks may join it: it stays the event that it was.

Two changes of one series are `MIN_RUNS` runs apart at least, so that what lies fewer runs apart is one event. A change
that is small against the scatter is estimated farther off now and then. If it is of d standard deviations, a place m
runs off fits the values better than the true one with a chance of at most exp(-m d^2 / 8): the sum of m independent
normal terms of mean -d^2 / 2 and variance d^2 is above 0 (Hinkley, Biometrika 57, 1970, has the exact distribution).
Where k series agree on a place, the sum of their exponents is at most that of k exponential variables, a gamma
variable: they are another event where it is larger than chance allows.
"""

from __future__ import annotations

import bisect
import datetime as dt
import hashlib
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy.special import gammainccinv

from perfsuite.analysis.statistics.change_points import MIN_RUNS
from perfsuite.analysis.statistics.run_level import correlation
from perfsuite.analysis.statistics.run_level import level as level_of_runs
from perfsuite.atomic_write import open_ordinary, write_atomically
from perfsuite.errors import InvalidChoiceError, ResultFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from perfsuite.analysis.history.series import Change, History, Series, SeriesChanges
    from perfsuite.analysis.statistics.run_level import Floats

NEAR_RUNS = MIN_RUNS - 1
"""Runs that changes of one event lie apart at most."""

PREFIX = "perfsuite-change"

LIMIT = 0.001
"""Chance, in all series, that a place is taken for another event although it is the same."""

MAX_MOVE = 10
"""Runs that an event moves at most: what was told longer before is another."""

_KEY = re.compile(rf"{PREFIX}-([0-9]{{8}}T[0-9]{{6}})-([0-9a-f]{{8}})")

_MOMENT = "%Y%m%dT%H%M%S"

TOLD = "told.txt"
"""The file of a store that has the keys of the events that were reported, one per line."""

MAX_TOLD_BYTES = 10_000_000
"""Of that file: a key has less than 50, an event a night of a thousand years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesChange:
    """One change of one series.

    Attributes:
        series: It.
        change: Where its level changed.
        level_before: Median of the stretch before, in the metric's unit.
        level: Median of the stretch that it begins.
        first: Position of its first run at the new level in the runs of the history.
        last_before: Position of its last run before that.
        evidence: Against every run that it is moved by, as a logarithm: d^2 / 8.
    """

    series: Series
    change: Change
    level_before: float
    level: float
    first: int
    last_before: int
    evidence: float

    def distance(self, position: int) -> int:
        """Return how many runs a place is off; a benchmark that is not in every run leaves more of them open."""
        return max(self.last_before + 1 - position, position - self.first, 0)

    def is_near(self, position: int) -> bool:
        """Whether it may have happened at a run."""
        return self.distance(position) <= NEAR_RUNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Changes of one machine that happened at once.

    Attributes:
        key: What identifies it: when its first run began, and a part of a hash of the machine.
        history: Of the machine.
        first: Position of the first run after it, for most of its changes, in the runs of the history.
        changes: What got worse first, by size.
        is_told: Whether it was reported already.
    """

    key: str
    history: History
    first: int
    changes: tuple[SeriesChange, ...]
    is_told: bool = False


def events_of(history: History, found: Sequence[SeriesChanges], told: Iterable[str] = ()) -> tuple[Event, ...]:
    """Return the events of a machine, in the order of time.

    Args:
        history: It.
        found: Where its series changed.
        told: Keys of the events that were reported.
    """
    correlations = _correlations(found)
    changes = [change for one in found for change in _changes(one, correlations[one.series.metric])]
    level = LIMIT / max(len(history.series), 1)
    groups = _merged(_grouped(changes), level)
    told_groups = _told_groups(groups, _told_positions(history, told), level)
    return tuple(
        Event(
            key=key_of(history.machine, history.runs[center].started_s),
            history=history,
            first=center,
            changes=tuple(sorted(groups[center], key=_worst_first)),
            is_told=center in told_groups,
        )
        for center in sorted(groups)
    )


def _correlations(found: Sequence[SeriesChanges]) -> dict[str, float]:
    """Return the correlation of neighbouring runs of each metric, about the level that each run belongs to."""
    by_metric: dict[str, list[Floats]] = defaultdict(list)
    for one in found:
        about_level = one.series.logs
        for start, end, level in one.levels:
            about_level[start : end + 1] -= math.log(level)
        by_metric[one.series.metric].append(about_level)
    return {metric: correlation(residuals) for metric, residuals in by_metric.items()}


def _changes(one: SeriesChanges, correlated: float) -> Iterable[SeriesChange]:
    runs, levels = one.series.runs, one.levels
    for number, change in enumerate(one.changes):
        before, after = (one.series.logs[start : end + 1] for start, end, _ in levels[number : number + 2])
        longer = before if len(before) >= len(after) else after
        # Neighbouring runs that are alike move a place farther: their sum has this multiple of the variance.
        inflation = (1 + correlated) / (1 - correlated)
        variance = level_of_runs(longer).sd_log ** 2 * inflation
        yield SeriesChange(
            series=one.series,
            change=change,
            level_before=levels[number][2],
            level=levels[number + 1][2],
            first=runs[change.index],
            last_before=runs[change.index - 1],
            evidence=math.log(change.ratio) ** 2 / variance / 8,
        )


def _grouped(changes: Sequence[SeriesChange]) -> dict[int, list[SeriesChange]]:
    """Return changes that lie near each other, by the run of each group, those of most changes first."""
    groups: dict[int, list[SeriesChange]] = {}
    left = list(changes)
    while left:
        center = _busiest(left)
        groups[center] = [change for change in left if change.is_near(center)]
        left = [change for change in left if not change.is_near(center)]
    return groups


def _merged(groups: dict[int, list[SeriesChange]], level: float) -> dict[int, list[SeriesChange]]:
    """Return the groups without those that may as well have happened at the run of a larger one."""
    merged: dict[int, list[SeriesChange]] = {}
    for center, members in groups.items():
        fitting = [
            other
            for other in merged
            if abs(other - center) <= MAX_MOVE
            and sum(change.evidence * change.distance(other) for change in members) <= _limit(len(members), level)
            and not _share_series(merged[other], members)
        ]
        target = min(fitting, key=lambda other: abs(other - center), default=center)
        merged.setdefault(target, []).extend(members)
    return merged


def _limit(num_changes: int, level: float) -> float:
    """Return the evidence of so many changes together that is exceeded with that chance."""
    return float(gammainccinv(num_changes, level))


def _share_series(one: Iterable[SeriesChange], other: Iterable[SeriesChange]) -> bool:
    """Whether a series has a change in both: these are two changes then, whatever their places."""
    names = {(change.series.benchmark, change.series.metric) for change in one}
    return any((change.series.benchmark, change.series.metric) in names for change in other)


def _told_groups(groups: dict[int, list[SeriesChange]], told_at: Iterable[int], level: float) -> set[int]:
    """Return the runs of the groups that were told. A place that was told is that of the nearest group alone."""
    found = set()
    for position in told_at:
        center = min(groups, key=lambda center: (abs(center - position), center), default=None)
        if center is None:
            continue
        move = abs(center - position)
        least = min(change.evidence * change.distance(position) for change in groups[center])
        if move <= NEAR_RUNS or (move <= MAX_MOVE and least <= _limit(1, level)):
            found.add(center)
    return found


def _busiest(changes: Sequence[SeriesChange]) -> int:
    """Return the run at which most changes may have happened; of several, where most were found, then the earliest."""
    found_at = Counter(change.first for change in changes)

    def rank(position: int) -> tuple[int, int, int]:
        num_near = sum(change.is_near(position) for change in changes)
        return (-num_near, -found_at[position], position)

    return min(found_at, key=rank)


def _worst_first(one: SeriesChange) -> tuple[bool, float, str, str]:
    size = abs(one.change.ratio - 1)
    return (not one.change.is_worse, -size, one.series.benchmark, one.series.metric)


def key_of(machine: str, started_s: float) -> str:
    """Return the key of an event: the time and the machine of its first run, so that it alone finds its place again."""
    try:
        moment = dt.datetime.fromtimestamp(started_s, tz=dt.UTC)
    except (ValueError, OverflowError, OSError):
        moment = dt.datetime.fromtimestamp(0, tz=dt.UTC)
    return f"{PREFIX}-{moment.strftime(_MOMENT).rjust(15, '0')}-{_machine_digest(machine)}"


def _machine_digest(machine: str) -> str:
    return hashlib.sha256(machine.encode("utf-8", "replace")).hexdigest()[:8]


def check_key(key: str) -> None:
    """Check that a text is the key of an event, of whichever machine.

    Raises:
        InvalidChoiceError: It is not.
    """
    try:
        _read_key(key)
    except ValueError:
        raise InvalidChoiceError(
            f"--told: {key[:80]!r} is not the key of an event, such as {PREFIX}-20260131T020000-0123abcd"
        ) from None


def _read_key(key: str) -> tuple[float, str]:
    """Return when the first run of an event began in whole seconds since 1970, and the machine's part of a hash.

    Raises:
        ValueError: It is no key.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        raise ValueError(key)
    moment = dt.datetime.strptime(found[1], _MOMENT).replace(tzinfo=dt.UTC)
    return moment.timestamp(), found[2]


def _told_positions(history: History, told: Iterable[str]) -> list[int]:
    """Return where events that were told lie among the runs; those of before its first run are left out."""
    starts = [int(run.started_s) for run in history.runs]
    digest = _machine_digest(history.machine)
    moments = [moment for moment, machine in map(_read_key, told) if machine == digest]
    return [bisect.bisect_left(starts, moment) for moment in moments if starts and moment >= starts[0]]


def read_told(store: Path) -> tuple[str, ...]:
    """Return the keys of the events that were reported.

    Raises:
        ResultFileError: The file cannot be read, or holds something else; nothing would be known of it then, and
            everything told again.
    """
    path = store / TOLD
    try:
        with open_ordinary(path) as stream:
            content = stream.read(MAX_TOLD_BYTES)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResultFileError(f"{path}: cannot be read: {reason}") from None
    keys = content.decode("utf-8", "replace").split()
    for number, key in enumerate(keys, start=1):
        try:
            _read_key(key)
        except ValueError:
            raise ResultFileError(
                f"{path}: entry {number} is {key[:60]!r}, not the key of an event; delete it, or the file, and give "
                "the keys of reported events again with --told"
            ) from None
    return tuple(dict.fromkeys(keys))


def write_told(store: Path, keys: Iterable[str]) -> None:
    """Write the keys of the events that were reported, atomically.

    Raises:
        ResultFileError: It cannot be written.
    """
    path = store / TOLD
    try:
        write_atomically(path, "".join(f"{key}\n" for key in sorted(set(keys))))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResultFileError(f"{path}: cannot be written: {reason}") from None

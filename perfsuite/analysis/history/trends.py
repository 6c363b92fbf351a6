"""A history for a page: what changed in the last days first, then what changed before, then what did not."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.history.series import changes_of, read_history
from perfsuite.analysis.statistics.change_points import MIN_RUNS_OF_CHANGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.history.index import Index
    from perfsuite.analysis.history.series import Change, History, SeriesChanges
    from perfsuite.analysis.verdicts.thresholds import Judging

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Trends:
    """The series of one machine, in the order in which a reader needs them.

    Attributes:
        history: Of the machine.
        num_days: How many days count as the last days.
        start_s: When they begin, in seconds since 1970: so many days before the newest run of all machines.
        regressed: Series with a change for the worse in the last days, the largest first; also those that changed for
            the better afterwards, which may have made up for a part of it only.
        improved: Series with changes for the better in the last days, and none for the worse.
        earlier: Series that changed before, the newest change first.
        unchanged: Series of enough runs for a change to be found, by name.
        too_short: Series of fewer runs, of which nothing can be said, by name.
    """

    history: History
    num_days: int
    start_s: float
    regressed: tuple[SeriesChanges, ...]
    improved: tuple[SeriesChanges, ...]
    earlier: tuple[SeriesChanges, ...]
    unchanged: tuple[SeriesChanges, ...]
    too_short: tuple[SeriesChanges, ...]

    @property
    def num_series(self) -> int:
        """How many series there are."""
        return len(self.history.series)

    @property
    def has_recent_runs(self) -> bool:
        """Whether the machine measured anything in the last days; where not, nothing can have changed in them."""
        return self.history.runs[-1].started_s >= self.start_s

    def told(self, one: SeriesChanges) -> int:
        """Return which change of a series that changed is told first: the newest one for the worse in the last days.

        Where there is none, the newest one.
        """
        recent = [place for place, change in enumerate(one.changes) if self._is_recent(one, change)]
        worse = [place for place in recent if one.changes[place].is_worse]
        return worse[-1] if worse else len(one.changes) - 1

    def _is_recent(self, one: SeriesChanges, change: Change) -> bool:
        return change_s(self.history, one, change) >= self.start_s


def read_trends(
    index: Index, machines: Sequence[str], judging: Judging, *, num_last: int, num_days: int
) -> tuple[Trends, ...]:
    """Return the trends of machines, each of which has runs: those with a regression in the last days first.

    Args:
        index: Of a store, up to date.
        machines: Names of machines.
        judging: Chance of any false alarm in all series of a machine, and what counts as a change.
        num_last: How many runs to look at, the newest.
        num_days: See `Trends`.
    """
    histories = [read_history(index, machine, num_last) for machine in machines]
    newest_s = max((history.runs[-1].started_s for history in histories), default=0.0)
    found = [
        trends_of(history, changes_of(history, judging), num_days=num_days, newest_s=newest_s) for history in histories
    ]
    return tuple(sorted(found, key=lambda one: (not one.regressed, -one.history.runs[-1].started_s)))


def trends_of(history: History, changes: Sequence[SeriesChanges], *, num_days: int, newest_s: float) -> Trends:
    """Return a history by what changed in the last days.

    Args:
        history: Of at least one run.
        changes: Of its series.
        num_days: How many days count as the last ones.
        newest_s: When they end: the newest run of all machines, in seconds since 1970. A machine that stopped measuring
            long ago has no news.
    """
    start_s = newest_s - num_days * SECONDS_PER_DAY
    regressed, improved, earlier, unchanged, too_short = [], [], [], [], []
    for one in changes:
        recent = [change for change in one.changes if change_s(history, one, change) >= start_s]
        if any(change.is_worse for change in recent):
            regressed.append(one)
        elif recent:
            improved.append(one)
        elif one.changes:
            earlier.append(one)
        elif len(one.series.runs) < MIN_RUNS_OF_CHANGE:
            too_short.append(one)
        else:
            unchanged.append(one)
    trends = Trends(
        history=history,
        num_days=num_days,
        start_s=start_s,
        regressed=tuple(regressed),
        improved=tuple(sorted(improved, key=lambda one: _size(one.changes[-1]), reverse=True)),
        earlier=tuple(
            sorted(earlier, key=lambda one: change_s(history, one, one.changes[-1]), reverse=True),
        ),
        unchanged=tuple(unchanged),
        too_short=tuple(too_short),
    )
    by_size = sorted(regressed, key=lambda one: _size(one.changes[trends.told(one)]), reverse=True)
    return dataclasses.replace(trends, regressed=tuple(by_size))


def change_s(history: History, one: SeriesChanges, change: Change) -> float:
    """Return when the first run at the new level of a change was, in seconds since 1970."""
    return history.runs[one.series.runs[change.index]].started_s


def _size(change: Change) -> float:
    return abs(math.log(change.ratio))

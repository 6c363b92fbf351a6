"""A history for a page: what changed in the last days first, then what changed before, then what did not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.history.series import changes_of, read_history

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
        num_days: How many days before its newest run count as the last days.
        regressed: Series whose newest change is in the last days and for the worse, the largest first.
        improved: The same, for the better.
        earlier: Series that changed before, the newest change first.
        unchanged: The others, by name.
    """

    history: History
    num_days: int
    regressed: tuple[SeriesChanges, ...]
    improved: tuple[SeriesChanges, ...]
    earlier: tuple[SeriesChanges, ...]
    unchanged: tuple[SeriesChanges, ...]

    @property
    def num_series(self) -> int:
        """How many series there are."""
        return len(self.history.series)


def read_trends(
    index: Index, machines: Sequence[str], judging: Judging, *, num_last: int, num_days: int
) -> tuple[Trends, ...]:
    """Return the trends of machines, each of which has runs.

    Args:
        index: Of a store, up to date.
        machines: Names of machines.
        judging: Chance of any false alarm in all series of a machine, and what counts as a change.
        num_last: How many runs to look at, the newest.
        num_days: See `Trends`.
    """
    found = []
    for machine in machines:
        history = read_history(index, machine, num_last)
        found.append(trends_of(history, changes_of(history, judging), num_days=num_days))
    return tuple(found)


def trends_of(history: History, changes: Sequence[SeriesChanges], *, num_days: int) -> Trends:
    """Return a history by what changed in its last days.

    Args:
        history: Of at least one run.
        changes: Of its series.
        num_days: How many days before the newest run count.
    """
    start_s = history.runs[-1].started_s - num_days * SECONDS_PER_DAY
    regressed, improved, earlier, unchanged = [], [], [], []
    for one in changes:
        if not one.changes:
            unchanged.append(one)
        elif changed_s(history, one) < start_s:
            earlier.append(one)
        elif one.changes[-1].is_worse:
            regressed.append(one)
        else:
            improved.append(one)
    return Trends(
        history=history,
        num_days=num_days,
        regressed=tuple(sorted(regressed, key=_size, reverse=True)),
        improved=tuple(sorted(improved, key=_size, reverse=True)),
        earlier=tuple(sorted(earlier, key=lambda one: changed_s(history, one), reverse=True)),
        unchanged=tuple(unchanged),
    )


def changed_s(history: History, one: SeriesChanges) -> float:
    """Return when the first run at the newest level of a series that changed was, in seconds since 1970."""
    return history.runs[one.series.runs[one.changes[-1].index]].started_s


def _size(one: SeriesChanges) -> float:
    newest: Change = one.changes[-1]
    return abs(math.log(newest.ratio))

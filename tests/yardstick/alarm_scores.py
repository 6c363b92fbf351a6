"""Scores of `perfsuite history alarms`, night after night, on the simulated histories of `history_scores.py`.

    python tests/yardstick/alarm_scores.py [HISTORIES] [SEED] [STEP]

A history is 36 series of 200 nights. From the tenth night on, every night's events are looked at, and those that are new are told, as the
nightly workflow does. Printed for each kind of nights: the share of histories without a step in which anything is told; and of those in
which half of the series have a step of 5% (or STEP) in one night, from the 60th to the 180th, the share in which exactly one event is told,
more than one, and none.
"""

from __future__ import annotations

import sys

import numpy as np
from history_scores import KINDS, NUM_NIGHTS, NUM_SERIES

from perfsuite.analysis.history.alarms import events_of
from perfsuite.analysis.history.index import IndexedRun
from perfsuite.analysis.history.series import History, Series, changes_of
from perfsuite.analysis.verdicts.thresholds import Judging, Thresholds

FIRST_NIGHT = 10

JUDGING = Judging(thresholds=Thresholds(default=0.02), margin=0.01, alpha=0.05)


def history_of(values: np.ndarray, num_nights: int) -> History:
    """Return the first nights of a history; [series, night] in log units, NaN where a night is missing."""
    runs = tuple(
        IndexedRun(id=night, name=str(night), started_s=1.7e9 + 86_400 * night, machine="m", place={})
        for night in range(num_nights)
    )
    series = []
    for number, row in enumerate(values[:, :num_nights]):
        nights = np.flatnonzero(~np.isnan(row))
        found = 0.1 * np.exp(row[nights])
        series.append(Series(benchmark=f"b{number}", metric="time_median_s", runs=tuple(nights.tolist()), values=found))
    return History(machine="m", runs=runs, series=tuple(one for one in series if len(one.runs)), notes=())


def num_told(values: np.ndarray) -> int:
    """Return how many events are told in all nights."""
    told: list[str] = []
    for num_nights in range(FIRST_NIGHT, values.shape[1] + 1):
        history = history_of(values, num_nights)
        told += [event.key for event in events_of(history, changes_of(history, JUDGING), told) if not event.is_told]
    return len(told)


def score(name: str, num_histories: int, seed: int, step: float) -> tuple[float, float, float, float]:
    """Return the shares of a kind of nights."""
    rng = np.random.default_rng([seed, list(KINDS).index(name)])
    without = [num_told(KINDS[name](rng, NUM_NIGHTS)) for _ in range(num_histories)]
    with_step = []
    for _ in range(num_histories):
        values = KINDS[name](rng, NUM_NIGHTS)
        values[: NUM_SERIES // 2, int(rng.integers(60, 180)) :] += np.log1p(step)
        with_step.append(num_told(values))
    shares = [sum(found(num) for num in with_step) / num_histories for found in (_is_one, _is_more, _is_none)]
    return sum(num > 0 for num in without) / num_histories, *shares


def _is_one(num: int) -> bool:
    return num == 1


def _is_more(num: int) -> bool:
    return num > 1


def _is_none(num: int) -> bool:
    return num == 0


def main() -> None:
    given = sys.argv[1:]
    num_histories = int(given[0]) if given else 10
    seed = int(given[1]) if len(given) > 1 else 1
    step = float(given[2]) if len(given) > 2 else 0.05
    print(f"| nights ({num_histories} histories, seed {seed}, +{step:.1%}) | false event | one event | more | none |")
    print("|---|---|---|---|---|")
    for name in KINDS:
        shares = score(name, num_histories, seed, step)
        print(f"| {name} | {' | '.join(f'{share:.2f}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()

"""Scores of `perfsuite history check` night by night, on the simulated histories of `history_scores.py`.

    python tests/yardstick/nightly_scores.py [HISTORIES] [SEED] [KIND]

Every night from the 60th to the 200th is judged as the new run against all before it, as a nightly job does. Printed for each kind:
- the share of histories without a step in which any night has a verdict `regressed` or `improved` on any series;
- the share of their nights with an `inconclusive` series: a value outside of the prediction interval;
- of a step of 5% in 12 of 36 series, the share that is `regressed` within five nights, and of those, the share whose first run at the
  new level is right within a night;
- of histories in which a driver update moves every series by its own amount, the share of nights with a verdict that name the machine;
  and of those with the step in the code, the share that do not.
"""

from __future__ import annotations

import functools
import multiprocessing
import sys

import numpy as np
from history_scores import KINDS, NUM_NIGHTS, NUM_STEPPED, STEP

from perfsuite.analysis.history.check import Check, check_runs
from perfsuite.analysis.history.index import IndexedRun
from perfsuite.analysis.history.run_values import TIME
from perfsuite.analysis.history.series import History, Series
from perfsuite.analysis.verdicts.thresholds import Judging, Thresholds

FIRST_NIGHT = 60
NIGHTS_AFTER = 5
DRIVER_SD = 0.03
"""By how much a driver update moves a series, as a standard deviation of logarithms."""

JUDGING = Judging(thresholds=Thresholds(default=0.02), margin=0.01, alpha=0.05)

Floats = np.ndarray


def check_of_night(values: Floats, night: int, new_driver_from: int | None = None) -> Check:
    """Judge one night of a history, [series, nights] in log units, NaN where a series has no run."""
    runs = []
    for index in range(night + 1):
        has_new_driver = new_driver_from is not None and index >= new_driver_from
        place = {"driver": "581" if has_new_driver else "580", "commit": f"{index:07d}"}
        if has_new_driver and index == new_driver_from:
            place["commit"] = f"{index - 1:07d}"  # the update came alone
        runs.append(IndexedRun(id=index, name=str(index), started_s=86400.0 * index, machine="m", place=place))
    series = []
    for number, row in enumerate(values[:, : night + 1]):
        own = np.flatnonzero(~np.isnan(row))
        found = Series(benchmark=f"b{number:02d}", metric=TIME, runs=tuple(map(int, own)), values=np.exp(row[own]))
        series.append(found)
    history = History(machine="m", runs=tuple(runs), series=tuple(series), notes=())
    return check_runs(history, [str(night)], JUDGING)


def verdicts_of(check: Check) -> dict[str, str]:
    return {one.benchmark: one.verdict for one in check.series}


def unchanged_history(kind: str, seed: int, number: int) -> tuple[bool, float]:
    """Return whether any night of a history without a step raised an alarm, and the share of inconclusive nights."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind), number])
    values = KINDS[kind](rng, NUM_NIGHTS)
    num_alarms = num_inconclusive = 0
    for night in range(FIRST_NIGHT, NUM_NIGHTS):
        found = set(verdicts_of(check_of_night(values, night)).values())
        num_alarms += bool(found & {"regressed", "improved"})
        num_inconclusive += "inconclusive" in found
    return num_alarms > 0, num_inconclusive / (NUM_NIGHTS - FIRST_NIGHT)


def stepped_history(kind: str, seed: int, number: int) -> tuple[int, int, int, int, int, int]:
    """Return steps found, of these in place; code named rightly, of how many nights; machine likewise."""
    rng = np.random.default_rng([seed, 1000 + list(KINDS).index(kind), number])
    first = int(rng.integers(FIRST_NIGHT, NUM_NIGHTS - NIGHTS_AFTER))
    plain = KINDS[kind](rng, first + NIGHTS_AFTER)
    stepped, updated = plain.copy(), plain.copy()
    stepped[:NUM_STEPPED, first:] += STEP
    updated[:, first:] += rng.normal(0, DRIVER_SD, (len(updated), 1))
    found: dict[str, int] = {}
    num_code = num_code_right = num_machine = num_machine_right = 0
    for night in range(first, first + NIGHTS_AFTER):
        check = check_of_night(stepped, night)
        for one in check.series:
            if one.verdict == "regressed" and one.since is not None and int(one.benchmark[1:]) < NUM_STEPPED:
                found[one.benchmark] = int(one.since)
        if "regressed" in verdicts_of(check).values():
            num_code += 1
            num_code_right += not any("machine is the likely cause" in note for note in check.notes)
        check = check_of_night(updated, night, new_driver_from=first)
        if {"regressed", "improved"} & set(verdicts_of(check).values()):
            num_machine += 1
            num_machine_right += any("machine is the likely cause" in note for note in check.notes)
    in_place = 0
    for benchmark, since in found.items():
        row = stepped[int(benchmark[1:])]
        measured = next(night for night in range(first, first + NIGHTS_AFTER) if not np.isnan(row[night]))
        in_place += abs(since - measured) <= 1
    return len(found), in_place, num_code_right, num_code, num_machine_right, num_machine


def score(pool: multiprocessing.pool.Pool, kind: str, num_histories: int, seed: int) -> list[float]:
    unchanged = pool.map(functools.partial(unchanged_history, kind, seed), range(num_histories))
    stepped = pool.map(functools.partial(stepped_history, kind, seed), range(num_histories))
    found, in_place, code_right, code, machine_right, machine = (sum(column) for column in zip(*stepped, strict=True))
    alarms, inconclusive = (float(np.mean(column)) for column in zip(*unchanged, strict=True))
    num_steps = NUM_STEPPED * num_histories
    shares = [_share(in_place, found), _share(machine_right, machine), _share(code_right, code)]
    return [alarms, inconclusive, found / num_steps, *shares]


def _share(number: int, of: int) -> float:
    return number / of if of else float("nan")


def main() -> None:
    arguments = sys.argv[1:]
    num_histories = int(arguments[0]) if arguments else 100
    seed = int(arguments[1]) if len(arguments) > 1 else 1
    kinds = [arguments[2]] if len(arguments) > 2 else list(KINDS)
    heading = ["any false alarm", "inconclusive nights", "+5% found in 5 nights", "in place", "machine", "code"]
    print(f"| nights ({num_histories} histories, seed {seed}) | {' | '.join(heading)} |")
    print("|---" * (len(heading) + 1) + "|")
    with multiprocessing.Pool(2) as pool:
        for kind in kinds:
            shares = score(pool, kind, num_histories, seed)
            print(f"| {kind} | {' | '.join('-' if np.isnan(share) else f'{share:.2f}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()

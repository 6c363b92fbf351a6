"""Scores of the search for changes of level, on simulated histories: false alarms, power, place.

    python tests/yardstick/history_scores.py [HISTORIES] [SEED]

A history is 36 series of 200 nights with a scatter of 1%. The generator knows nothing of the method: it draws nights, states, outliers
and drifts, and adds a step where one is asked for. Printed for each kind: the share of histories without a step in which any series has any
change; of a step of 5% in a series, the share that is found after five nights; and of those, the share whose place is right within a
night.
"""

from __future__ import annotations

import sys

import numpy as np

from perfsuite.analysis.history.series import growth_in
from perfsuite.analysis.statistics.change_points import find_changes, level_of
from perfsuite.analysis.statistics.run_level import correlation
from perfsuite.analysis.statistics.run_scatter import run_scatter

NUM_SERIES = 36
NUM_NIGHTS = 200
SD = 0.01
STEP = 0.05
NUM_STEPPED = 12
"""Series of a history that have the step."""

Floats = np.ndarray


def plain(rng: np.random.Generator, num: int) -> Floats:
    return rng.normal(0, SD, (NUM_SERIES, num))


def shared_nights(rng: np.random.Generator, num: int) -> Floats:
    return rng.normal(0, 0.7 * SD, (NUM_SERIES, num)) + rng.normal(0, 0.7 * SD, (1, num))


def outliers(rng: np.random.Generator, num: int) -> Floats:
    return plain(rng, num) + (rng.random((NUM_SERIES, num)) < 0.05) * rng.lognormal(-2, 0.7, (NUM_SERIES, num))


def bad_nights(rng: np.random.Generator, num: int) -> Floats:
    size = (rng.random((1, num)) < 0.04) * rng.lognormal(-2, 0.7, (1, num))
    return plain(rng, num) + size * rng.uniform(0.5, 1.5, (NUM_SERIES, 1))


def alike(rng: np.random.Generator, num: int, neighbours: float) -> Floats:
    values = np.zeros((NUM_SERIES, num))
    values[:, 0] = rng.normal(0, SD, NUM_SERIES)
    for night in range(1, num):
        new = rng.normal(0, SD * np.sqrt(1 - neighbours**2), NUM_SERIES)
        values[:, night] = neighbours * values[:, night - 1] + new
    return values


def more_scatter(rng: np.random.Generator, num: int) -> Floats:
    values = plain(rng, num)
    values[:, num // 2 :] *= 3
    return values


def more_scatter_in_a_third(rng: np.random.Generator, num: int) -> Floats:
    values = plain(rng, num)
    values[::3, num // 2 :] *= 3
    return values


def two_states(rng: np.random.Generator, num: int) -> Floats:
    in_other = rng.random((NUM_SERIES, num)) < rng.uniform(0.05, 0.5, (NUM_SERIES, 1))
    return rng.normal(0, 0.3 * SD, (NUM_SERIES, num)) + 0.03 * in_other


def heavy_tails(rng: np.random.Generator, num: int) -> Floats:
    return rng.standard_t(3, (NUM_SERIES, num)) * SD / np.sqrt(3)


def drift(rng: np.random.Generator, num: int) -> Floats:
    return plain(rng, num) + np.linspace(0, 0.02, num)


def weekly(rng: np.random.Generator, num: int) -> Floats:
    return plain(rng, num) + SD * np.sin(2 * np.pi * np.arange(num) / 7)


def gaps(rng: np.random.Generator, num: int) -> Floats:
    values = plain(rng, num)
    values[rng.random((NUM_SERIES, num)) < 0.2] = np.nan
    return values


def quantised(rng: np.random.Generator, num: int) -> Floats:
    return np.round(rng.normal(0, 0.0004, (NUM_SERIES, num)), 3)


KINDS = {
    "independent nights, normal": plain,
    "all series share half of it": shared_nights,
    "5% of the values far off": outliers,
    "4% of the nights slow": bad_nights,
    "heavy tails (t, 3 degrees)": heavy_tails,
    "a fifth of the nights missing": gaps,
    "a timer of coarse steps": quantised,
    "drift of 2% in 200 nights": drift,
    "a weekly wave of 1%": weekly,
    "neighbours alike (0.3)": lambda rng, num: alike(rng, num, 0.3),
    "neighbours alike (0.6)": lambda rng, num: alike(rng, num, 0.6),
    "three times the scatter at half": more_scatter,
    "two states 3% apart": two_states,
    "three times the scatter in a third": more_scatter_in_a_third,
}


def changes_in(values: Floats) -> list[list[int]]:
    """Return where each series of a history changes, by the indices of its nights."""
    series = [row[~np.isnan(row)] for row in values]
    nights = [np.flatnonzero(~np.isnan(row)) for row in values]
    correlated = correlation(series)
    level = level_of(0.05, len(series), values.shape[1])
    effect = float(np.log(1.02))
    scatter = run_scatter(list(zip(nights, series, strict=True)), values.shape[1])
    found = []
    for row, own in zip(series, nights, strict=True):
        shifts = find_changes(
            row,
            correlated=correlated,
            level_of_test=level,
            min_effect_log=effect,
            growth=growth_in(scatter, own),
        )
        found.append([int(own[shift.index]) for shift in shifts])
    return found


def score(name: str, num_histories: int, seed: int) -> tuple[float, float, float]:
    """Return the share with a false alarm, the share of steps found, and of these the share in place."""
    rng = np.random.default_rng([seed, list(KINDS).index(name)])
    num_alarms = sum(any(changes_in(KINDS[name](rng, NUM_NIGHTS))) for _ in range(num_histories))
    num_found = num_in_place = num_steps = 0
    for _ in range(max(num_histories // 4, 1)):
        last = int(rng.integers(40, NUM_NIGHTS - 5))
        values = KINDS[name](rng, last + 5)
        values[:NUM_STEPPED, last:] += STEP
        for row, found in zip(values[:NUM_STEPPED], changes_in(values)[:NUM_STEPPED], strict=True):
            first = next((night for night in range(last, last + 5) if not np.isnan(row[night])), None)
            num_steps += 1
            if found and found[-1] > last - 3:
                num_found += 1
                num_in_place += first is not None and abs(found[-1] - first) <= 1
    return num_alarms / num_histories, num_found / num_steps, num_in_place / max(num_found, 1)


def main() -> None:
    arguments = [int(text) for text in sys.argv[1:]]
    num_histories = arguments[0] if arguments else 100
    seed = arguments[1] if len(arguments) > 1 else 1
    print(f"| nights ({num_histories} histories, seed {seed}) | any false alarm | +5% found in 5 nights | in place |")
    print("|---|---|---|---|")
    for name in KINDS:
        alarms, found, in_place = score(name, num_histories, seed)
        print(f"| {name} | {alarms:.2f} | {found:.2f} | {in_place:.2f} |", flush=True)


if __name__ == "__main__":
    main()

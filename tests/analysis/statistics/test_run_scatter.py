from __future__ import annotations

import numpy as np
import pytest

from perfsuite.analysis.statistics.change_points import as_usual, last_shift, level_of
from perfsuite.analysis.statistics.run_scatter import USUAL_STEPS, run_scatter

NUM_RUNS = 100


def noise(num_series: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.01, (num_series, NUM_RUNS))


def growth(values: np.ndarray, first: int, last: int) -> float:
    runs = range(values.shape[1])
    return run_scatter([(runs, row) for row in values], values.shape[1]).growth(first, last)


def test_what_scatters_as_usual_does_not_grow() -> None:
    values = noise(36)
    assert growth(values, 90, 99) == pytest.approx(1.0, abs=0.1)
    assert growth(values, 97, 99) == pytest.approx(1.0, abs=0.25)


def test_a_machine_that_becomes_noisy_is_seen_after_three_runs() -> None:
    values = noise(36)
    values[:, 97:] *= 3
    assert growth(values, 97, 99) == pytest.approx(3.0, rel=0.25)


def test_a_new_level_of_every_series_is_no_scatter() -> None:
    values = noise(36)
    values[:, 97:] += 0.5
    assert growth(values, 97, 99) == growth(noise(36), 97, 99)


def test_few_steps_count_little_and_none_nothing() -> None:
    values = noise(1)
    values[:, 97:] *= 100
    assert 1 <= growth(values, 97, 99) < growth(np.tile(values, (36, 1)), 97, 99)
    assert growth(values, 99, 99) == 1.0
    assert growth(values[:, :4], 0, 3) == 1.0


def test_it_is_the_median_step_over_the_usual_one_and_some_usual_steps() -> None:
    """A second implementation, run by run, for series with gaps."""
    values = noise(5, seed=3)
    values[:, 90:] *= 2.5
    has_run = np.random.default_rng(4).random(values.shape) > 0.3
    series = [(np.flatnonzero(has), row[has]) for has, row in zip(has_run, values, strict=True)]
    multiples = []
    for runs, logs in series:
        usual = np.median([abs(logs[i] - logs[i - 1]) for i in range(1, len(logs))])
        multiples += [abs(logs[i] - logs[i - 1]) / usual for i in range(1, len(logs)) if runs[i] > 90]
    square = (len(multiples) * np.median(multiples) ** 2 + USUAL_STEPS) / (len(multiples) + USUAL_STEPS)
    assert run_scatter(series, NUM_RUNS).growth(90, 99) == pytest.approx(np.sqrt(square))


def test_three_runs_on_one_side_are_no_new_level_where_the_machine_became_noisy() -> None:
    values = noise(36)
    values[:, 97:] *= 3
    values[0, 97:] = [0.044, 0.046, 0.045]  # alike by chance, and far off
    test = level_of(0.05, 36, NUM_RUNS)
    scatter = run_scatter([(range(NUM_RUNS), row) for row in values], NUM_RUNS)
    for growth, is_found in ((as_usual, True), (scatter.growth, False)):
        shift = last_shift(values[0], correlated=0.0, level_of_test=test, min_effect_log=0.02, growth=growth)
        assert (shift is not None) == is_found

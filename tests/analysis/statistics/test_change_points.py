from __future__ import annotations

import numpy as np
import pytest

from perfsuite.analysis.statistics.change_points import (
    MIN_RUNS,
    Shift,
    find_changes,
    last_shift,
    level_of,
    prediction_margin,
    shift_between,
)
from perfsuite.analysis.statistics.run_level import MIN_REFERENCE, correlation, level

EFFECT = float(np.log(1.02))


def changes(values: np.ndarray, *, num_series: int = 36, correlated: float = 0.0) -> list[Shift]:
    test = level_of(0.05, num_series, len(values))
    return find_changes(values, correlated=correlated, level_of_test=test, min_effect_log=EFFECT)


def nights(num: int, seed: int = 0, sd: float = 0.01) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, num)


def test_a_step_is_found_where_it_is_with_an_interval_that_contains_it() -> None:
    values = nights(200)
    values[120:] += 0.05
    (shift,) = changes(values)
    assert abs(shift.index - 120) <= 1
    assert shift.low < 0.05 < shift.high


def test_a_step_back_is_a_second_change() -> None:
    values = nights(120)
    values[40:80] -= 0.1
    assert [shift.index for shift in changes(values)] == [40, 80]
    assert [shift.log_ratio < 0 for shift in changes(values)] == [True, False]


def test_nothing_is_found_in_calm_series_of_any_length() -> None:
    for num in (0, 1, 2, MIN_REFERENCE + MIN_RUNS, 50, 400):
        assert changes(nights(num, seed=num)) == []


def test_one_and_two_runs_far_off_are_no_new_level_and_three_are_and_five_that_went_again() -> None:
    for num_odd, num_found in ((1, 0), (2, 0), (3, 1)):
        assert len(changes(np.concatenate([nights(60), nights(num_odd, seed=1) + 0.3]))) == num_found
    for num_odd, num_found in ((2, 0), (4, 0), (5, 2)):
        values = nights(60)
        values[30 : 30 + num_odd] += 0.3
        assert len(changes(values)) == num_found


def test_a_state_that_a_machine_is_in_now_and_then_is_no_new_level_when_it_is_three_times_in_a_row() -> None:
    values = nights(100, sd=0.002)
    values[5:95:12] += 0.03
    values[97:] += 0.03
    assert changes(values) == []


def test_the_same_values_again_and_again_are_no_series_of_infinite_certainty() -> None:
    values = np.zeros(60)
    values[30:] = 0.001
    assert changes(values) == []
    values[30:] = 0.05
    assert [shift.index for shift in changes(values)] == [30]


def test_a_change_below_the_minimum_effect_does_not_count_however_certain() -> None:
    values = nights(400, sd=0.002)
    values[200:] += 0.01
    assert changes(values) == []


def test_the_more_series_the_more_it_takes() -> None:
    values = nights(40, seed=3)
    values[36:] += 0.05
    assert changes(values, num_series=1)
    assert not changes(values, num_series=100_000)


def test_runs_like_their_neighbours_are_told_from_a_change_of_level() -> None:
    rng = np.random.default_rng(4)
    series = []
    for _ in range(36):
        values = np.zeros(200)
        for night in range(1, 200):
            values[night] = 0.6 * values[night - 1] + rng.normal(0, 0.01)
        series.append(values)
    found = correlation(series)
    assert found == pytest.approx(0.6, abs=0.1)
    assert not any(changes(values, correlated=found) for values in series)
    assert any(changes(values, correlated=0.0) for values in series)  # what the correction is for


def test_independent_runs_have_no_correlation_and_one_odd_series_says_nothing_of_the_others() -> None:
    series = [nights(200, seed=seed) for seed in range(20)]
    assert correlation(series) < 0.05
    assert correlation([*series, np.cumsum(nights(200))]) < 0.05
    assert correlation([]) == correlation([np.zeros(3)]) == 0.0


def test_the_last_runs_have_left_their_level_or_not() -> None:
    test = level_of(0.05, 36, 200)
    for step, is_expected in ((0.0, False), (0.06, True), (-0.06, True)):
        values = nights(60, seed=5)
        values[-4:] += step
        shift = last_shift(values, correlated=0.0, level_of_test=test, min_effect_log=EFFECT)
        assert (shift is not None) == is_expected
        if shift is not None:
            assert shift.index == 56
            assert np.sign(shift.log_ratio) == np.sign(step)


def test_the_prediction_interval_contains_the_next_run_as_often_as_it_says() -> None:
    """Against a count: 4,000 series of 20 runs, and the run after them."""
    rng = np.random.default_rng(6)
    num_outside = 0
    for _ in range(4000):
        values = rng.normal(0, 0.01, 21)
        margin = prediction_margin(values[:-1], level_of_interval=0.05)
        num_outside += abs(values[-1] - np.median(values[:-1])) > margin
    assert 0.03 < num_outside / 4000 < 0.08


def test_the_scale_is_that_of_a_normal_distribution_and_contains_levels_between_which_runs_switch() -> None:
    assert level(nights(20_000)).sd_log == pytest.approx(0.01, rel=0.05)
    switching = np.where(np.arange(100) % 5 == 0, 0.03, 0.0)
    assert level(switching).sd_log > 0.01  # the median deviation alone is 0


def test_the_interval_of_a_change_covers_it_in_95_of_100() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(1000):
        old, new = rng.normal(0, 0.01, 30), rng.normal(0.03, 0.01, 10)
        shift = shift_between(old, new, 30, correlated=0.0, level_of_test=0.05, min_effect_log=0.0)
        covered += shift.low < 0.03 < shift.high
    assert 0.93 < covered / 1000 < 0.985

"""Tests that look after every block: what they decide, and that they do not decide too early."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perfsuite.analysis.statistics.sequential import (
    MIN_SD,
    Scatter,
    change_of,
    clipped,
    decide_level,
    is_reversed,
    scatter_of,
)

KNOWN = Scatter(sd=0.01, dof=20)


def test_the_interval_of_a_change_is_that_of_student() -> None:
    """By hand: mean 0.03, sd 0.01 of four, t(3, 0.975) = 3.182."""
    change = change_of([0.02, 0.03, 0.03, 0.04], 0.05)
    sd = math.sqrt(0.0002 / 3)
    assert change.log_ratio == pytest.approx(0.03)
    assert change.high - change.log_ratio == pytest.approx(3.1824 * sd / 2, rel=1e-4)
    assert change.is_established
    assert change.nearer_end == pytest.approx(change.low)


def test_a_change_is_established_where_its_interval_is_no_wider_than_itself() -> None:
    assert not change_of([0.01, 0.03, 0.01, 0.03], 0.05).is_established
    assert change_of([0.01, 0.03, 0.01, 0.03], 0.05).excludes_zero
    assert not change_of([0.03], 0.05).excludes_zero
    assert change_of([-0.03, -0.03, -0.03, -0.03], 0.05).is_established


def test_values_that_repeat_exactly_are_not_known_better_than_a_tenth_of_a_percent() -> None:
    assert not change_of([0.0005] * 4, 0.05).is_established
    assert scatter_of([0.1] * 8, []).sd == MIN_SD


def test_the_scatter_of_a_process_is_the_same_from_differences_and_from_offsets() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 0.02, (3, 4000))
    of_pairs = scatter_of((values[1] - values[0]).tolist(), [])
    of_middles = scatter_of([], [(values[2] - (values[0] + values[1]) / 2).tolist()])
    assert of_pairs.sd == pytest.approx(0.02, rel=0.05)
    assert of_middles.sd == pytest.approx(0.02, rel=0.05)


def test_an_outlier_is_moved_and_not_left_out() -> None:
    values = clipped([0.01, -0.01, 0.0, 0.005, -0.005, 3.0])
    assert len(values) == 6
    assert 0.01 < values[-1] < 0.06
    assert clipped([0.0, 0.0, 3.0])[-1] == 3.0


@pytest.mark.parametrize(("sign", "level"), [(1, "high"), (-1, "low")])
def test_a_level_is_decided_by_two_clear_blocks_and_never_by_one(sign: int, level: str) -> None:
    assert decide_level([sign * 0.05], 0.1, KNOWN, 0.01) is None
    assert decide_level([sign * 0.05, sign * 0.049], 0.1, KNOWN, 0.01) == level


def test_one_disturbed_block_does_not_decide() -> None:
    assert decide_level([-0.05, 0.5], 0.1, KNOWN, 0.01) is None


def test_a_commit_far_beyond_a_level_is_decided_like_one_at_it() -> None:
    assert decide_level([2.0, 2.01], 0.1, KNOWN, 0.01) == "high"


def test_a_third_level_is_told_from_both() -> None:
    assert decide_level([0.001, -0.001, 0.0, 0.001, 0.0, -0.001], 0.1, KNOWN, 0.01) == "between"


def test_a_stricter_error_asks_for_more() -> None:
    offsets = [0.012, 0.011]
    assert decide_level(offsets, 0.022, Scatter(sd=0.005, dof=30), 0.05) == "high"
    assert decide_level(offsets, 0.022, Scatter(sd=0.005, dof=30), 1e-6) is None


def test_the_order_of_blocks_follows_no_period() -> None:
    assert [is_reversed(number) for number in range(8)] == [False, True, True, False, True, False, False, True]

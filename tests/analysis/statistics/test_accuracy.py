"""Accuracies of two sides: against McNemar's and Student's formulas written out, and against drawn trainings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from perfsuite.analysis.statistics.accuracy import (
    MAX_NUM_SEEDS,
    SEED_SD,
    SEED_SD_DOF,
    AccuracyChange,
    decide_accuracy,
    mcnemar_variance,
    paired_change,
    seed_sd,
    unpaired_change,
)

MARGIN = 0.01


def pair(*, change: float = 0.0, seeds: int = 3, between: float | None = 0.0, images: float = 1e-5) -> AccuracyChange:
    return AccuracyChange(
        change=change,
        num_baseline=seeds,
        num_candidate=seeds,
        is_paired=True,
        image_variance=images,
        sample_variance=None if seeds == 1 else between,
        accuracies=((0.8,) * seeds, (0.8 + change,) * seeds),
    )


def test_mcnemar_s_variance_is_that_of_the_difference_of_two_columns_of_right_and_wrong() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.random((2, 1000)) < np.array([[0.8], [0.75]])
    difference = new.astype(float) - old
    found = mcnemar_variance(float((old & ~new).sum()), float((new & ~old).sum()), 1000)
    assert found == pytest.approx(difference.var() / 1000)


def test_unpaired_sides_have_student_s_pooled_variance() -> None:
    old, new = np.array([0.80, 0.82, 0.81]), np.array([0.79, 0.83])
    change = unpaired_change(old, new, num_images=10_000)
    pooled = (2 * old.var(ddof=1) + new.var(ddof=1)) / 3
    assert change.sample_variance == pytest.approx(pooled)
    assert change.change == pytest.approx(new.mean() - old.mean())
    assert change.dof == 3
    assert change.scale == pytest.approx(1 / 3 + 1 / 2)


def test_many_seeds_give_the_paired_t_interval_whatever_was_assumed() -> None:
    rng = np.random.default_rng(1)
    old = 0.8 + 0.01 * rng.standard_normal(4000)
    new = old - 0.002 + 0.01 * rng.standard_normal(4000)
    decision = decide_accuracy([paired_change(old, new, np.full(4000, 1e-5))], margin=MARGIN, alpha=0.05)
    low, high = stats.ttest_rel(new, old).confidence_interval(0.95)
    assert decision.low[0] == pytest.approx(low, rel=0.01)
    assert decision.high[0] == pytest.approx(high, rel=0.01)


def test_one_seed_a_side_has_the_error_of_its_images_and_the_stated_one_between_seeds() -> None:
    decision = decide_accuracy([pair(seeds=1, images=2e-5)], margin=MARGIN, alpha=0.05)
    half = stats.t.ppf(0.975, SEED_SD_DOF) * np.sqrt(2e-5 + 2 * SEED_SD**2)
    assert decision.high[0] == pytest.approx(half)
    assert decision.seed_sd == SEED_SD


def test_seeds_that_scatter_by_more_than_assumed_widen_the_intervals_of_all_cells() -> None:
    stable, unstable = pair(), pair(between=1e-5 + 2 * 0.02**2)
    assert seed_sd([stable, stable]) == SEED_SD
    assert seed_sd([unstable, unstable]) == pytest.approx(0.02)
    alone = decide_accuracy([stable], margin=MARGIN, alpha=0.05)
    together = decide_accuracy([stable, unstable], margin=MARGIN, alpha=0.05)
    assert together.high[0] > 1.5 * alone.high[0]


def test_a_significant_loss_below_the_margin_is_no_regression_and_a_large_one_is() -> None:
    changes = [pair(change=-0.009, seeds=50), pair(change=-0.015, seeds=50), pair(change=0.015, seeds=50)]
    decision = decide_accuracy(changes, margin=MARGIN, alpha=0.05)
    assert decision.p_value[0] < 0.001
    assert decision.regressed.tolist() == [False, True, False]
    assert decision.improved.tolist() == [False, False, True]
    assert decision.non_inferior.tolist() == [True, False, True]


def test_the_more_cells_the_more_a_single_one_must_show() -> None:
    lost = pair(change=-0.02, seeds=1)
    alone = decide_accuracy([lost], margin=MARGIN, alpha=0.05)
    among_many = decide_accuracy([lost, *[pair()] * 30], margin=MARGIN, alpha=0.05)
    assert alone.regressed[0]
    assert not among_many.regressed[0]
    assert among_many.p_value[0] == pytest.approx(31 * alone.p_value[0], rel=0.01)


def test_so_many_seeds_as_asked_for_show_that_nothing_was_lost_and_fewer_often_do_not() -> None:
    rng = np.random.default_rng(2)
    asked = int(decide_accuracy([pair(seeds=2, between=5e-5)], margin=MARGIN, alpha=0.04).num_seeds_needed[0])
    assert 3 <= asked <= MAX_NUM_SEEDS

    def shown(seeds: int) -> float:
        found = []
        for _ in range(400):
            differences = np.sqrt(4.2e-5) * rng.standard_normal(seeds)
            change = paired_change(np.zeros(seeds), differences, np.full(seeds, 1e-5))
            found.append(decide_accuracy([change], margin=MARGIN, alpha=0.04).non_inferior[0])
        return float(np.mean(found))

    assert shown(asked) >= 0.9
    assert shown(max(asked // 2, 1)) < 0.9


@given(
    st.lists(
        st.tuples(st.floats(-0.3, 0.3), st.integers(1, 9), st.floats(0, 1e-3), st.floats(1e-9, 1e-3)),
        min_size=1,
        max_size=8,
    )
)
def test_a_verdict_never_contradicts_its_interval(cells: list[tuple[float, int, float, float]]) -> None:
    changes = [pair(change=a, seeds=n, between=between, images=images) for a, n, between, images in cells]
    decision = decide_accuracy(changes, margin=MARGIN, alpha=0.04)
    assert not (decision.regressed & decision.non_inferior).any()
    assert not (decision.regressed & decision.improved).any()
    assert (decision.high[decision.regressed] < 0).all()
    assert (decision.low[decision.improved] > 0).all()
    assert (decision.bound[decision.non_inferior] > -MARGIN).all()
    assert np.isfinite(decision.detectable).all()
    assert (decision.detectable >= MARGIN).all()

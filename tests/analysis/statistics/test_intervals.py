from __future__ import annotations

import numpy as np
import pytest

from perfsuite.analysis.statistics.intervals import (
    _signed_rank_cut,
    paired_ratio,
    ratio_of_medians_one_process,
    ratio_over_processes,
    relative_margins,
)


def test_the_margin_is_that_of_a_normal_mean() -> None:
    times = np.array([1.0, 1.1, 0.9, 1.0])
    expected = 1.959964 * times.std(ddof=1) / 2
    assert relative_margins(np.stack([times, 2 * times]), 0.95) == pytest.approx([expected, expected])
    assert np.isnan(relative_margins(times[:1, None][:1])).all()
    assert np.isnan(relative_margins(np.zeros((1, 3)))).all()


def test_the_ratio_of_one_process_lies_in_its_interval_and_is_repeatable() -> None:
    generator = np.random.default_rng(1)
    slow, fast = (scale * (1 + 0.01 * generator.standard_normal(30)) for scale in (2.0, 1.0))
    estimate = ratio_of_medians_one_process(slow, fast)
    assert estimate == ratio_of_medians_one_process(slow, fast)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < 2.0 < estimate.high
    assert estimate.low <= estimate.ratio <= estimate.high
    assert estimate.high - estimate.low < 0.1
    assert (estimate.num_processes, estimate.basis) == (1, "rounds")


def test_few_rounds_give_a_ratio_without_an_interval() -> None:
    estimate = ratio_of_medians_one_process(np.array([2.0, 2.0]), np.ones(30))
    assert (estimate.ratio, estimate.low, estimate.high) == (2.0, None, None)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_the_interval_of_one_process_holds_the_truth_about_as_often_as_it_says(correlation: float) -> None:
    """Neighbouring rounds that are alike must not make it much too sure of itself."""
    generator = np.random.default_rng(7)
    hits = 0
    for trial in range(200):
        sides = []
        for _ in range(2):
            noise = generator.standard_normal(40)
            for index in range(1, 40):
                noise[index] = correlation * noise[index - 1] + (1 - correlation**2) ** 0.5 * noise[index]
            sides.append(np.exp(0.01 * noise))
        estimate = ratio_of_medians_one_process(sides[0], sides[1], seed=trial)
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= 1.0 <= estimate.high
    assert hits >= 200 * (0.90 if correlation == 0 else 0.80)


def test_pairing_takes_out_what_both_sides_of_a_process_share() -> None:
    shared = np.array([1.0, 1.3, 0.8, 1.1])
    own = np.array([1.00, 1.01, 0.99, 1.0])
    paired = ratio_over_processes(2 * shared * own, shared, paired=True)
    unpaired = ratio_over_processes(2 * shared * own, shared, paired=False)
    assert paired.ratio == pytest.approx(unpaired.ratio)
    assert paired.ratio == pytest.approx(2.0, rel=0.01)
    widths = [(e.high or 0) - (e.low or 0) for e in (paired, unpaired)]
    assert 0 < widths[0] < widths[1] / 5
    assert (paired.num_processes, paired.basis) == (4, "processes")


def test_welch_s_interval_is_the_textbook_s() -> None:
    """Source: scipy.stats.ttest_ind(equal_var=False).confidence_interval on the logs, computed once."""
    stats = pytest.importorskip("scipy.stats")
    a, b = np.array([1.0, 1.05, 0.97, 1.1]), np.array([0.9, 0.95, 0.91])
    estimate = ratio_over_processes(a, b, paired=False)
    expected = stats.ttest_ind(np.log(a), np.log(b), equal_var=False).confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((np.exp(expected.low), np.exp(expected.high)))


def test_identical_processes_give_a_point() -> None:
    estimate = ratio_over_processes(np.array([2.0, 2.0]), np.array([1.0, 1.0]), paired=False)
    assert (estimate.low, estimate.high) == pytest.approx((2.0, 2.0))


def test_one_process_is_too_few_for_an_interval_over_processes() -> None:
    with pytest.raises(ValueError, match="two processes"):
        ratio_over_processes(np.array([2.0]), np.array([1.0, 1.0]), paired=False)


def test_the_paired_interval_covers_the_truth_as_often_as_it_says_and_shrugs_off_outliers() -> None:
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        blocks = np.exp(0.02 * generator.standard_normal((20, 4)))
        blocks *= np.where(generator.random((20, 4)) < 0.03, 3.0, 1.0)  # a pass that was interrupted
        blocks[:, 1:3] *= 0.5
        estimate = paired_ratio(blocks)
        assert estimate.low is not None
        assert estimate.high is not None
        covered += estimate.low <= 0.5 <= estimate.high
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize(("num", "cut"), [(5, None), (6, 0), (10, 8), (20, 52), (30, 137)])
def test_the_signed_rank_interval_has_the_tabled_critical_values(num: int, cut: int | None) -> None:
    """Source: Hollander, Wolfe, Chicken, table A.4; two-sided 5%."""
    assert _signed_rank_cut(num) == cut


def test_thousands_of_blocks_give_an_interval_too() -> None:
    blocks = np.full((5003, 4), 0.1)
    blocks[:, 1:3] = 0.05
    assert paired_ratio(blocks).ratio == pytest.approx(0.5)

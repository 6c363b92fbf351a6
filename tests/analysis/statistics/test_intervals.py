from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perfsuite.analysis.statistics.intervals import (
    Ratio,
    Scatter,
    _signed_rank_cut,
    paired_ratio,
    paired_ratio_over_processes,
    ratio_of_one_run,
    ratio_over_processes,
)


def test_the_ratio_of_one_run_lies_in_its_spread_and_is_repeatable() -> None:
    generator = np.random.default_rng(1)
    slow, fast = (scale * (1 + 0.01 * generator.standard_normal(30)) for scale in (2.0, 1.0))
    estimate = ratio_of_one_run(slow, fast)
    assert estimate == ratio_of_one_run(slow, fast)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < 2.0 < estimate.high
    assert estimate.low <= estimate.ratio <= estimate.high
    assert estimate.high - estimate.low < 0.1
    assert (estimate.num_processes, estimate.basis, estimate.level) == (1, "one run", None)


def test_few_rounds_give_a_ratio_without_a_spread() -> None:
    estimate = ratio_of_one_run(np.array([2.0, 2.0]), np.ones(30))
    assert (estimate.ratio, estimate.low, estimate.high, estimate.basis) == (2.0, None, None, None)


@pytest.mark.no_cover
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_the_spread_of_one_run_covers_what_differs_between_its_rounds(correlation: float) -> None:
    """Also where neighbouring rounds are alike."""
    generator = np.random.default_rng(7)
    hits = 0
    for trial in range(200):
        sides = []
        for _ in range(2):
            noise = generator.standard_normal(40)
            for index in range(1, 40):
                noise[index] = correlation * noise[index - 1] + (1 - correlation**2) ** 0.5 * noise[index]
            sides.append(np.exp(0.01 * noise))
        estimate = ratio_of_one_run(sides[0], sides[1], seed=trial)
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


def test_the_interval_over_processes_is_welch_s() -> None:
    """Source: scipy.stats.ttest_ind(equal_var=False).confidence_interval on the logs, computed once."""
    stats = pytest.importorskip("scipy.stats")
    a, b = np.array([1.0, 1.05, 0.97, 1.1]), np.array([0.9, 0.95, 0.91])
    estimate = ratio_over_processes(a, b, paired=False)
    expected = stats.ttest_ind(np.log(a), np.log(b), equal_var=False).confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((np.exp(expected.low), np.exp(expected.high)))


def test_processes_that_all_read_the_same_time_give_no_interval() -> None:
    estimate = ratio_over_processes(np.array([2.0, 2.0]), np.array([1.0, 1.0]), paired=False)
    assert estimate == Ratio(ratio=2.0, low=None, high=None, level=None, num_processes=2, basis=None)


@pytest.mark.no_cover
@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("num_processes", [2, 3, 5])
def test_a_coarse_clock_never_makes_an_interval_too_narrow(num_processes: int, paired: bool) -> None:
    """Steps of 2% of the time, processes that differ by 0.3%: most process medians are the same reading."""
    generator = np.random.default_rng(num_processes)
    step_s, draws = 0.02, 400
    covered = 0
    for _ in range(draws):
        sides, truth = [], generator.uniform(0.5, 1.0, 2) * np.array([2.0, 1.0])
        for true_s in truth:
            noise = 0.003 * generator.standard_normal((num_processes, 1)) + 0.01 * generator.standard_normal(
                (num_processes, 20)
            )
            sides.append(np.round(true_s * np.exp(noise) / step_s) * step_s)
        medians = [np.median(side, axis=1) for side in sides]
        estimate = ratio_over_processes(*medians, paired=paired, rounds=(sides[0].ravel(), sides[1].ravel()))
        if estimate.low is None or estimate.high is None:
            covered += 1  # says that it does not know
            continue
        assert estimate.high / estimate.low > 1.001
        covered += estimate.low <= truth[0] / truth[1] <= estimate.high
    assert covered / draws >= 0.93


def test_the_resolution_of_a_fine_clock_widens_no_interval() -> None:
    generator = np.random.default_rng(1)
    sides = [0.01 * np.exp(0.01 * generator.standard_normal((5, 1)) + 0.01 * generator.standard_normal((5, 20)))] * 2
    sides = [sides[0], sides[1] * np.exp(0.01 * generator.standard_normal((5, 1)))]
    medians = [np.median(side, axis=1) for side in sides]
    fine = ratio_over_processes(*medians, paired=False, rounds=(sides[0].ravel(), sides[1].ravel()))
    stats = pytest.importorskip("scipy.stats")
    expected = stats.ttest_ind(*np.log(medians), equal_var=False).confidence_interval(0.95)
    assert (fine.low, fine.high) == pytest.approx((np.exp(expected.low), np.exp(expected.high)))


@pytest.mark.no_cover
@pytest.mark.parametrize("scatter", [0.002, 0.005, 0.01, 0.02])
def test_one_run_with_the_noise_floor_covers_the_truth_and_without_it_does_not(scatter: float) -> None:
    """Two cells of one run, each off by its process; the noise floor is estimated from 5 + 5 other processes."""
    generator = np.random.default_rng(round(1e4 * scatter))
    draws, hits = 500, {"noise floor": 0, "one run": 0}
    for trial in range(draws):
        floors, cells = [], []
        for _ in range(2):
            aa = np.median(_processes(generator, 10, scatter), axis=1).reshape(2, 5)
            variance = float(np.log(aa).var(axis=1, ddof=1).mean())
            floors.append(Scatter(sd_log=variance**0.5, num_dof=8))
            cells.append(_processes(generator, 1, scatter)[0])
        for known in ((floors[0], floors[1]), None):
            estimate = ratio_of_one_run(cells[0], cells[1], scatter=known, seed=trial)
            assert estimate.low is not None
            assert estimate.high is not None
            assert estimate.basis is not None
            hits[estimate.basis] += estimate.low <= 1.0 <= estimate.high
    assert 0.925 <= hits["noise floor"] / draws <= 0.975
    assert hits["one run"] / draws < 0.93


def _processes(generator: np.random.Generator, num: int, scatter: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the rounds of processes, [num, 30] seconds, that scatter by 0.3% within each."""
    offsets = scatter * generator.standard_normal((num, 1))
    return np.asarray(0.1 * np.exp(offsets + 0.003 * generator.standard_normal((num, 30))))


def test_rounds_that_scatter_more_than_the_noise_floor_widen_its_interval() -> None:
    generator = np.random.default_rng(2)
    noisy, stable = (0.1 * np.exp(sd * generator.standard_normal(30)) for sd in (0.1, 0.0001))
    floor = Scatter(sd_log=0.001, num_dof=8)
    widths = []
    for numerator in (noisy, stable):
        estimate = ratio_of_one_run(numerator, stable, scatter=(floor, floor))
        widths.append((estimate.high or 0) - (estimate.low or 0))
    assert widths[0] > 10 * widths[1] > 0


def test_the_ends_of_an_interval_change_places_when_it_is_inverted() -> None:
    ratio = Ratio(ratio=2.0, low=1.6, high=2.5, level=0.95, num_processes=3, basis="processes")
    inverse = ratio.inverse()
    assert (inverse.ratio, inverse.low, inverse.high) == (0.5, 0.4, 0.625)
    assert inverse.inverse() == ratio


@pytest.mark.parametrize(
    ("basis", "level"), [("one run", 0.95), ("processes", None), ("noise floor", None), (None, 0.95)]
)
def test_a_spread_cannot_claim_a_coverage_and_an_interval_cannot_lack_it(basis: Any, level: float | None) -> None:
    with pytest.raises(ValueError, match="basis"):
        Ratio(ratio=1.0, low=0.9, high=1.1, level=level, num_processes=1, basis=basis)


def test_pairs_of_several_processes_have_an_interval_over_them_and_that_of_one_has_a_spread() -> None:
    generator = np.random.default_rng(4)
    covered = 0
    for _ in range(300):
        processes = []
        for offset in 0.01 * generator.standard_normal(4):
            blocks = np.exp(0.005 * generator.standard_normal((10, 4)))
            blocks[:, 1:3] *= 0.5 * np.exp(offset)
            processes.append(blocks)
        pooled = paired_ratio_over_processes(processes)
        assert (pooled.basis, pooled.num_processes) == ("processes", 4)
        covered += (pooled.low or 1) <= 0.5 <= (pooled.high or 0)
    assert 0.91 <= covered / 300 <= 0.99
    one = paired_ratio_over_processes(processes[:1])
    assert (one.basis, one.level) == ("one run", None)


def test_one_process_is_too_few_for_an_interval_over_processes() -> None:
    with pytest.raises(ValueError, match="two processes"):
        ratio_over_processes(np.array([2.0]), np.array([1.0, 1.0]), paired=False)


@pytest.mark.no_cover
def test_the_spread_of_interleaved_blocks_covers_the_truth_inside_one_run_despite_outliers() -> None:
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

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.analysis import estimate, regression
from perfsuite.analysis.estimate import Floats, is_interleaved
from perfsuite.analysis.regression import Judgement, judge

NUM = 5
IS_CANDIDATE = np.array([False] * NUM + [True] * NUM)
ABBA = np.array([0, 3, 4, 7, 8, 1, 2, 5, 6, 9], dtype=float)
SEQUENTIAL = np.arange(10, dtype=float)


def judged(logs: Floats, order: Floats = ABBA, **quantiles: Floats) -> Judgement:
    by_quantile = {0.5: logs, **{float(name.removeprefix("q")) / 100: values for name, values in quantiles.items()}}
    effect = np.full(len(logs), np.log1p(0.02))
    return judge(by_quantile, IS_CANDIDATE, order, min_effect=effect, alpha=0.05)


def matrix(generator: np.random.Generator, *, sd: float = 0.01, shared: float = 0.3, num: int = 36) -> Floats:
    """Processes that scatter by `sd`, a share of the variance common to all benchmarks of a process."""
    own = generator.standard_normal((num, 2 * NUM))
    common = generator.standard_normal(2 * NUM)
    values: Floats = sd * (np.sqrt(1 - shared) * own + np.sqrt(shared) * common)
    return values


@pytest.mark.parametrize("sd", [0.002, 0.01, 0.03])
def test_the_chance_of_any_false_alarm_in_a_matrix_is_at_most_alpha(sd: float) -> None:
    generator = np.random.default_rng(1)
    alarms = sum(bool(judged(matrix(generator, sd=sd)).regressed.any()) for _ in range(300))
    assert alarms / 300 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_five_percent_is_found_where_processes_scatter_by_one() -> None:
    generator = np.random.default_rng(2)
    found, mde = 0, []
    for _ in range(100):
        logs = matrix(generator)
        logs[7, NUM:] += np.log(1.05)
        result = judged(logs)
        found += int(result.regressed[7])
        mde.append(np.expm1(result.mde95[7]))
    assert found >= 95
    assert 0.02 < np.median(mde) < 0.04


def test_the_smallest_provable_slowdown_is_found_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    found = 0
    for _ in range(200):
        logs = matrix(generator)
        smallest = judged(logs).mde95[0]
        logs[0, NUM:] += smallest
        found += int(judged(logs).regressed[0])
    assert found / 200 >= 0.88


def test_what_all_benchmarks_of_a_process_share_is_taken_out() -> None:
    generator = np.random.default_rng(4)
    logs = matrix(generator, shared=0.95)
    with_it = judged(logs).estimate
    assert with_it.common_removed
    assert np.median(with_it.spread) < 0.005


def test_out_of_turn_the_margin_grows_with_the_common_shift() -> None:
    generator = np.random.default_rng(5)
    logs = matrix(generator, sd=0.003)
    logs[:, NUM:] += 0.03
    logs[3, NUM:] += 0.04
    result = judged(logs, SEQUENTIAL)
    assert result.threshold[0] == pytest.approx(np.log1p(0.02) + 0.03, abs=0.005)
    assert not result.regressed.any()
    logs[3, NUM:] += 0.04
    assert np.flatnonzero(judged(logs, SEQUENTIAL).regressed).tolist() == [3]


def test_a_host_with_neighbours_is_read_at_a_lower_quantile_without_the_slowest_process() -> None:
    generator = np.random.default_rng(6)
    quiet = matrix(generator, sd=0.01)
    disturbed = quiet + generator.exponential(0.2, quiet.shape)
    disturbed[:, NUM:][5] += np.log(1.1)
    quiet[:, NUM:][5] += np.log(1.1)
    result = judged(disturbed, q25=quiet)
    assert (result.estimate.quantile, result.estimate.num_trimmed) == (0.25, 1)
    assert np.flatnonzero(result.regressed).tolist() == [5]
    assert judged(quiet, q25=quiet * 1.01).estimate.quantile == 0.5


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([0, 3, 4, 7, 8, 1, 2, 5, 6, 9], True),
        ([0, 2, 4, 6, 8, 1, 3, 5, 7, 9], True),
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], False),
        ([5, 6, 7, 8, 9, 0, 1, 2, 3, 4], False),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], False),
        ([0, 3, 4, 7, np.nan, 1, 2, 5, 6, 9], False),
    ],
)
def test_turns_are_seen_from_the_start_times(order: list[float], expected: bool) -> None:
    assert is_interleaved(IS_CANDIDATE, np.array(order, dtype=float)) == expected


def test_variances_lend_to_each_other_only_as_far_as_they_are_alike() -> None:
    generator = np.random.default_rng(7)
    dof = np.full(200, 8.0)
    alike = 1e-4 * generator.chisquare(8, 200) / 8
    unlike = alike * np.exp(generator.normal(0, 1.5, 200))
    everywhere = np.ones(200, dtype=bool)
    shrunk, lent = estimate._shrink(alike, dof, everywhere)
    assert lent > 30
    assert shrunk.std() < 0.3 * alike.std()
    _, lent_unlike = estimate._shrink(unlike, dof, everywhere)
    assert lent_unlike < 5


@pytest.mark.parametrize("value", [1e-3, 0.1, 1.0, 10.0, 1e3])
def test_the_inverse_of_trigamma_is_its_inverse(value: float) -> None:
    from scipy.special import polygamma

    assert float(polygamma(1, estimate._inverse_trigamma(value))) == pytest.approx(value, rel=1e-6)


def test_holm_is_stricter_than_no_correction_and_laxer_than_bonferroni() -> None:
    values = np.array([0.001, 0.02, 0.03, 0.5, 0.9])
    adjusted = regression._holm(values, np.array([True, True, True, True, False]))
    assert adjusted == pytest.approx([0.004, 0.06, 0.06, 0.5, 1.0])


def test_a_matrix_of_nothing_is_judged_too() -> None:
    assert judged(np.empty((0, 10))).regressed.shape == (0,)
    assert not judged(np.full((3, 10), np.nan)).judged.any()


def test_identical_times_are_unchanged_and_not_infinitely_sure() -> None:
    result = judged(np.zeros((12, 10)))
    assert result.unchanged.all()
    assert (result.mde95 > 0).all()

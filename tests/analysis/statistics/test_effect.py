from __future__ import annotations

import numpy as np
import pytest

from perfsuite.analysis.statistics import effect
from perfsuite.analysis.statistics.common_mode import common_shift
from perfsuite.analysis.statistics.effect import Floats, estimate_effect, is_interleaved, steadiest_effect

NUM = 5
IS_CANDIDATE = np.array([False] * NUM + [True] * NUM)
ABBA = np.array([0, 3, 4, 7, 8, 1, 2, 5, 6, 9], dtype=float)


def matrix(generator: np.random.Generator, *, sd: float = 0.01, shared: float = 0.3, num: int = 36) -> Floats:
    """Processes that scatter by `sd`, a share of the variance common to all benchmarks of a process."""
    own = generator.standard_normal((num, 2 * NUM))
    common = generator.standard_normal(2 * NUM)
    values: Floats = sd * (np.sqrt(1 - shared) * own + np.sqrt(shared) * common)
    return values


def test_the_change_is_the_difference_of_the_means_of_both_sides() -> None:
    generator = np.random.default_rng(1)
    logs = matrix(generator)
    found = estimate_effect(logs, IS_CANDIDATE)
    assert found.change == pytest.approx(logs[:, NUM:].mean(axis=1) - logs[:, :NUM].mean(axis=1))
    assert found.baseline == pytest.approx(logs[:, :NUM].mean(axis=1))


def test_adding_benchmarks_changes_no_change() -> None:
    generator = np.random.default_rng(2)
    logs = matrix(generator)
    assert estimate_effect(logs[:9], IS_CANDIDATE).change == pytest.approx(
        estimate_effect(logs, IS_CANDIDATE).change[:9]
    )


@pytest.mark.parametrize("shared", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("num_processes", [3, 5])
def test_the_interval_contains_the_truth_however_much_the_benchmarks_share(shared: float, num_processes: int) -> None:
    from scipy.special import stdtrit

    generator = np.random.default_rng(3)
    is_candidate = np.repeat([False, True], num_processes)
    covered = []
    for _ in range(300):
        common = np.sqrt(shared) * generator.standard_normal(2 * num_processes)
        own = np.sqrt(1 - shared) * generator.standard_normal((36, 2 * num_processes))
        found = estimate_effect(0.01 * (common + own), is_candidate)
        covered.append(np.mean(np.abs(found.change) <= stdtrit(found.dof, 0.975) * found.se))
    error = np.std(covered) / np.sqrt(len(covered))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01 + 2 * error)


def test_benchmarks_that_feel_one_state_lend_no_degrees_of_freedom() -> None:
    generator = np.random.default_rng(4)
    one_state = estimate_effect(matrix(generator, shared=0.999), IS_CANDIDATE)
    independent = estimate_effect(matrix(generator, shared=0.0), IS_CANDIDATE)
    assert one_state.dof.max() < 10
    assert independent.dof.min() > 50


def test_two_groups_that_feel_different_states_lend_as_many_degrees_of_freedom_as_two() -> None:
    generator = np.random.default_rng(5)
    dof = []
    for _ in range(50):
        states = generator.standard_normal((2, 2 * NUM))
        logs = 0.01 * np.repeat(states, 18, axis=0) + 0.0005 * generator.standard_normal((36, 2 * NUM))
        dof.append(float(estimate_effect(logs, IS_CANDIDATE).dof[0]))
    assert 12 < np.median(dof) < 20


def test_a_steady_drift_is_taken_out_of_the_scatter_of_interleaved_runs_but_not_out_of_the_change() -> None:
    generator = np.random.default_rng(6)
    logs = matrix(generator, sd=0.003, shared=0.0)
    drifting = logs + 0.01 * ABBA
    found, _ = steadiest_effect({0.5: drifting}, IS_CANDIDATE, ABBA)
    assert found.trend_removed
    assert found.change == pytest.approx(drifting[:, NUM:].mean(axis=1) - drifting[:, :NUM].mean(axis=1))
    assert np.median(found.sd) < 0.004
    assert not steadiest_effect({0.5: logs}, IS_CANDIDATE, ABBA)[0].trend_removed


def test_what_an_order_does_not_cancel_of_a_drift_is_part_of_the_error() -> None:
    generator = np.random.default_rng(7)
    alternating = np.array([0, 2, 4, 6, 8, 1, 3, 5, 7, 9], dtype=float)
    logs = matrix(generator, sd=0.001, shared=0.0) + 0.01 * alternating
    found = estimate_effect(logs, IS_CANDIDATE, ranks=alternating)
    assert np.median(found.change) == pytest.approx(0.01, abs=0.001)
    assert (found.se > 0.009).all()


def test_a_busy_host_is_read_at_a_lower_quantile_without_the_slowest_process() -> None:
    generator = np.random.default_rng(8)
    quiet = matrix(generator)
    disturbed = quiet + generator.exponential(0.2, quiet.shape)
    found, quantile = steadiest_effect({0.5: disturbed, 0.25: quiet}, IS_CANDIDATE, ABBA)
    assert (quantile, found.num_left_out) == (0.25, 1)
    ordered = np.sort(quiet[:, NUM:], axis=1)[:, :-1].mean(axis=1) - np.sort(quiet[:, :NUM], axis=1)[:, :-1].mean(
        axis=1
    )
    assert found.change == pytest.approx(ordered)
    assert steadiest_effect({0.5: quiet, 0.25: quiet * 1.01}, IS_CANDIDATE, ABBA)[1] == 0.5


def test_times_that_are_rounded_to_a_step_never_agree_better_than_the_step() -> None:
    coarse = estimate_effect(np.zeros((3, 10)), IS_CANDIDATE, resolution=np.array([0.1, 0.01, 0.0]))
    assert coarse.sd == pytest.approx([0.1 / np.sqrt(12), 0.01 / np.sqrt(12), effect.MIN_SD])


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
def test_alternating_sides_are_recognised_by_their_start_times(order: list[float], expected: bool) -> None:
    assert is_interleaved(IS_CANDIDATE, np.array(order, dtype=float)) == expected


def test_variances_are_pooled_only_as_far_as_they_are_alike() -> None:
    generator = np.random.default_rng(9)
    dof = np.full(200, 8.0)
    alike = 1e-4 * generator.chisquare(8, 200) / 8
    unlike = alike * np.exp(generator.normal(0, 1.5, 200))
    everywhere = np.ones(200, dtype=bool)
    shrunk, prior_dof, _ = effect.shrink(alike, dof, everywhere, 0.0)
    assert prior_dof > 30
    assert shrunk.std() < 0.3 * alike.std()
    assert effect.shrink(unlike, dof, everywhere, 0.0)[1] < 5


@pytest.mark.parametrize("value", [1e-3, 0.1, 1.0, 10.0, 1e3])
def test_the_inverse_of_trigamma_is_its_inverse(value: float) -> None:
    from scipy.special import polygamma

    assert float(polygamma(1, effect._inverse_trigamma(value))) == pytest.approx(value, rel=1e-6)


def test_the_mean_squared_correlation_is_that_of_numpy_over_all_pairs_of_benchmarks() -> None:
    generator = np.random.default_rng(10)
    residuals = matrix(generator, shared=0.5, num=40)
    residuals -= residuals.mean(axis=1, keepdims=True)
    square = effect._mean_squared_correlation(residuals, np.full(40, 9.0))
    pairs = np.asarray(np.corrcoef(residuals))[np.triu_indices(40, 1)]
    assert square == pytest.approx((np.square(pairs).mean() - 1 / 9) / (8 / 9))


def test_a_common_shift_is_separated_from_a_drift_by_the_order() -> None:
    generator = np.random.default_rng(11)
    logs = matrix(generator, sd=0.002) + 0.01 * ABBA
    drift = common_shift(logs, IS_CANDIDATE, ABBA)
    logs[:, NUM:] += 0.03
    shifted = common_shift(logs, IS_CANDIDATE, ABBA)
    assert drift.p_value > 0.01
    assert shifted.p_value < 0.001
    assert shifted.change - drift.change == pytest.approx(0.03, abs=1e-9)


def test_a_matrix_of_nothing_has_an_effect_too() -> None:
    assert estimate_effect(np.empty((0, 10)), IS_CANDIDATE).change.shape == (0,)
    assert np.isnan(estimate_effect(np.full((3, 10), np.nan), IS_CANDIDATE).change).all()

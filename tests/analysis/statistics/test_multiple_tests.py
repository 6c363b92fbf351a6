from __future__ import annotations

import numpy as np
import pytest

from perfsuite.analysis.statistics.multiple_tests import family_error, single_test_level, step_down


@pytest.mark.parametrize("p_value", [1e-6, 0.001, 0.01, 0.2])
@pytest.mark.parametrize("num", [1, 4, 36, 1000])
def test_independent_tests_are_corrected_as_sidak_does(p_value: float, num: int) -> None:
    found = family_error(np.array([p_value]), np.array([float(num)]), 0.0)[0]
    assert found == pytest.approx(min(-np.expm1(num * np.log1p(-p_value)), num * p_value), rel=1e-3)


@pytest.mark.parametrize("correlation", [0.3, 0.6, 0.9])
def test_correlated_tests_are_corrected_as_a_simulation_says(correlation: float) -> None:
    """The smallest of 20 p-values of correlated normal scores, drawn instead of integrated."""
    generator = np.random.default_rng(1)
    shared = generator.standard_normal((100_000, 1))
    scores = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * generator.standard_normal((100_000, 20))
    threshold = 2.5
    simulated = (scores.max(axis=1) >= threshold).mean()
    from scipy.stats import norm

    found = family_error(np.array([norm.sf(threshold)]), np.array([20.0]), correlation)[0]
    assert found == pytest.approx(simulated, rel=0.06)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_a_correction_is_never_laxer_than_none_nor_stricter_than_bonferroni(correlation: float) -> None:
    p_values = np.geomspace(1e-300, 1, 200)
    found = family_error(p_values, np.full(200, 36.0), correlation)
    assert (found >= p_values).all()
    assert (found <= np.minimum(36 * p_values, 1)).all()


def test_step_down_corrects_the_smallest_for_all_and_the_largest_for_itself_alone() -> None:
    values = np.array([0.9, 0.001, 0.02, 0.5, 0.0])
    adjusted = step_down(values, np.array([True, True, True, True, False]), 0.0)
    assert adjusted[1] == pytest.approx(0.004, rel=0.01)
    assert adjusted[2] == pytest.approx(0.06, rel=0.03)
    assert adjusted[0] == pytest.approx(0.9)
    assert adjusted[4] == 1.0
    assert (np.diff(adjusted[[1, 2, 3, 0]]) >= 0).all()


@pytest.mark.parametrize("num", [1, 7, 400])
@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_the_level_of_a_single_test_gives_the_error_of_the_family(num: int, correlation: float) -> None:
    level = single_test_level(0.02, num, correlation)
    error = family_error(np.array([level]), np.array([float(num)]), correlation)[0]
    assert error == pytest.approx(0.02, rel=0.05)

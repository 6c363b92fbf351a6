from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from perfsuite.mean_margin import Times, relative_margins, student_quantile


@pytest.mark.parametrize("num_dof", range(1, 12))
@pytest.mark.parametrize("probability", [0.9, 0.975, 0.995])
def test_the_quantile_of_students_t_is_scipys(probability: float, num_dof: int) -> None:
    assert student_quantile(probability, num_dof) == pytest.approx(special.stdtrit(num_dof, probability), rel=1e-9)


def correlated(num_rounds: int, correlation: float, *, repetitions: int = 4000) -> Times:
    """Return rounds with a mean of 1 s whose neighbours are correlated, [repetitions, rounds]."""
    generator = np.random.default_rng(11)
    noise = generator.standard_normal((repetitions, num_rounds))
    for index in range(1, num_rounds):
        fresh = math.sqrt(1 - correlation**2) * noise[:, index]
        noise[:, index] = correlation * noise[:, index - 1] + fresh
    return 1 + 0.005 * noise


@pytest.mark.parametrize(
    ("num_rounds", "correlation", "least"),
    [(12, 0.0, 0.98), (30, 0.0, 0.98), (30, 0.3, 0.98), (30, 0.6, 0.96), (30, 0.8, 0.9), (100, 0.8, 0.97)],
)
def test_the_margin_contains_the_mean_of_correlated_rounds_too(
    num_rounds: int, correlation: float, least: float
) -> None:
    times = correlated(num_rounds, correlation)
    errors = np.abs(times.mean(axis=1) - 1) / times.mean(axis=1)
    assert np.mean(errors <= relative_margins(times)) >= least


def test_a_margin_needs_two_rounds_and_a_mean_above_zero() -> None:
    assert np.isnan(relative_margins(np.array([[1.0]]))).all()
    assert np.isnan(relative_margins(np.zeros((1, 3)))).all()


def test_the_margin_scales_with_nothing_and_every_round_counts() -> None:
    times = np.array([1.0, 1.1, 0.9, 1.0, 1.05, 1.2, 0.95])
    one, other = relative_margins(np.stack([times, 2 * times]))
    assert one == pytest.approx(other)
    for index in range(len(times)):
        changed = times.copy()
        changed[index] += 0.5
        assert relative_margins(changed[None])[0] != pytest.approx(one)

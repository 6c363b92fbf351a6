"""Many tests at once: error probabilities that hold for the whole family, where the tests may be correlated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr, ndtri

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.effect import Bools, Floats

MAX_CORRELATION = 0.95
"""Tests are never assumed to be more alike: an estimated correlation of 1 would be no correction at all."""

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(48)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()

_SMALLEST = 1e-300


def family_error(p_values: Floats, num_tests: Floats, correlation: float) -> Floats:
    """Return the chance that the smallest of `num_tests` one-sided p-values is as small as each of these.

    The tests' statistics share one normal factor to the share `correlation` of their variance (0: independent, as in
    Sidak's correction). Never below the single p-value, never above Bonferroni's bound.
    Source: Dunnett, A multiple comparison procedure for comparing several treatments with a control, J. Am. Stat.
    Assoc. 50 (1955): the integral over the shared factor, here with the p-values' own normal scores.

    Args:
        p_values: [tests]
        num_tests: [tests] size of the family for each.
        correlation: 0 to 1.
    """
    shared = min(max(correlation, 0.0), MAX_CORRELATION)
    scores = -ndtri(np.clip(p_values, _SMALLEST, 1 - 1e-12))
    none_smaller = np.zeros(len(p_values))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        conditional = (scores - np.sqrt(shared) * node) / np.sqrt(1 - shared)
        none_smaller += weight * np.exp(num_tests * log_ndtr(conditional))
    return np.minimum(np.maximum(1 - none_smaller, p_values), np.minimum(num_tests * p_values, 1.0))


def step_down(p_values: Floats, judged: Bools, correlation: float) -> Floats:
    """Return step-down adjusted one-sided p-values over the tests that count, 1 for the others.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6 (1979).
    """
    adjusted = np.ones(len(p_values))
    where = np.flatnonzero(judged)
    if not len(where):
        return adjusted
    ascending = where[np.argsort(p_values[where], kind="stable")]
    remaining = len(where) - np.arange(len(where), dtype=float)
    adjusted[ascending] = np.maximum.accumulate(family_error(p_values[ascending], remaining, correlation))
    return adjusted


def single_test_level(alpha: float, num_tests: int, correlation: float) -> float:
    """Return the one-sided p-value of a single test at which the family's error is alpha, to a hundredth of it."""
    num = max(num_tests, 1)
    candidates = np.geomspace(alpha / num, alpha, 200)
    errors = family_error(candidates, np.full(len(candidates), float(num)), correlation)
    return float(candidates[min(int(np.searchsorted(errors, alpha)), len(candidates) - 1)])

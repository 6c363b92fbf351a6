from __future__ import annotations

import numpy as np
import pytest

from perfsuite.analysis.statistics.accuracy import SEED_SD, accuracy_intervals


def test_one_seed_has_the_variance_of_its_test_images_and_of_the_assumed_seeds() -> None:
    (low,), (high,) = accuracy_intervals([np.array([0.83])], [10_000])
    half = 2.3060 * np.sqrt(0.83 * 0.17 / 10_000 + SEED_SD**2)  # t with 8 degrees of freedom
    assert (low, high) == (pytest.approx(0.83 - half, abs=1e-5), pytest.approx(0.83 + half, abs=1e-5))


@pytest.mark.parametrize("num_seeds", [1, 3, 5])
@pytest.mark.parametrize(("accuracy", "num_images"), [(0.83, 10_000), (0.3, 512)])
def test_the_interval_holds_the_true_accuracy_at_least_as_often_as_it_says(
    num_seeds: int, accuracy: float, num_images: int
) -> None:
    generator = np.random.default_rng(num_seeds)
    shared = accuracy + generator.normal(0, SEED_SD, (2000, num_seeds))
    groups = generator.binomial(num_images, shared) / num_images
    ends = np.array([accuracy_intervals([group], [num_images]) for group in groups])[:, :, 0]
    assert np.mean((ends[:, 0] <= accuracy) & (accuracy <= ends[:, 1])) >= 0.94


def test_seeds_that_scatter_by_more_than_assumed_widen_all_intervals() -> None:
    scattered, one = np.array([0.78, 0.83, 0.88]), np.array([0.83])
    lows, _ = accuracy_intervals([scattered, one], [10_000, 10_000])
    (alone,), _ = accuracy_intervals([one], [10_000])
    assert lows[1] < alone - 0.05


def test_no_correct_image_out_of_a_few_does_not_show_that_there_is_never_one() -> None:
    lows, highs = accuracy_intervals([np.array([0.0]), np.array([1.0])], [16, 16])
    assert lows[0] == 0
    assert highs[0] > 0.15
    assert lows[1] < 0.85
    assert highs[1] == 1

"""Rounding at random: to one of two neighbours, right on average."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perfsuite.workloads.rounding import stochastically_rounded

FORMATS = [torch.float16, torch.bfloat16]


def neighbours(value: float, dtype: torch.dtype) -> tuple[float, float]:
    """By rounding to the nearest, and one step to the other side, in the integers that the patterns of bits are."""
    nearest = torch.tensor([abs(value)]).to(dtype)
    error = float(nearest) - abs(value)
    if error == 0:
        return value, value
    other = (nearest.view(torch.int16) + (-1 if error > 0 else 1)).view(dtype)
    found = sorted(float(np.copysign(float(one), value)) for one in (nearest, other))
    return found[0], found[1]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("value", [1.0001, -1.0001, 0.3, -77.123, 1e-5, -3.1e-7, 6.1e-5, 1e-8, 60_003.0, 2.0, 0.0])
def test_a_value_is_rounded_to_one_of_its_neighbours_and_keeps_its_mean(value: float, dtype: torch.dtype) -> None:
    num = 200_000
    exact = float(torch.tensor(value))
    rounded = stochastically_rounded(torch.full((num,), value), dtype, generator=torch.Generator().manual_seed(1))
    assert rounded.dtype == dtype
    low, high = neighbours(exact, dtype)
    assert set(rounded.double().tolist()) <= {low, high}
    expected = 0.0 if low == high else (exact - low) / (high - low)
    share = float((rounded.double() == high).double().mean()) if low != high else 0.0
    # Five standard deviations of a binomial share, and the 13 random bits that FP16's probabilities have.
    assert share == pytest.approx(expected, abs=5 * (0.25 / num) ** 0.5 + 2**-13)


@pytest.mark.parametrize("dtype", FORMATS)
def test_what_is_not_finite_stays_so(dtype: torch.dtype) -> None:
    values = torch.tensor([float("inf"), -float("inf"), float("nan")])
    rounded = stochastically_rounded(values, dtype)
    assert rounded[0] == float("inf")
    assert rounded[1] == -float("inf")
    assert rounded[2].isnan()


@pytest.mark.parametrize("dtype", FORMATS)
def test_updates_that_rounding_to_the_nearest_swallows_are_kept_on_average(dtype: torch.dtype) -> None:
    """A thousand updates of a ten-thousandth: none changes a weight of 1 by nearest rounding, at random they add up."""
    generator = torch.Generator().manual_seed(2)
    nearest, at_random = torch.ones(1000, dtype=dtype), torch.ones(1000, dtype=dtype)
    for _ in range(1000):
        nearest = (nearest.float() + 1e-4).to(dtype)
        at_random = stochastically_rounded(at_random.float() + 1e-4, dtype, generator=generator)
    assert set(nearest.tolist()) == {1.0}
    assert float(at_random.float().mean()) == pytest.approx(1.1, abs=0.01)


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not torch\.float64 to torch\.float16"):
        stochastically_rounded(torch.ones(1, dtype=torch.float64), torch.float16)
    with pytest.raises(ValueError, match=r"to torch\.float32"):
        stochastically_rounded(torch.ones(1), torch.float32)

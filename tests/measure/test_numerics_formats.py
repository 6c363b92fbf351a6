"""Formats and sums in 16 bits: measured by the studies, and again by numpy, which has a float16 of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tiny_studies import failed, tiny_context

from perfsuite.measure.numerics import accumulation, formats
from perfsuite.number_formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable


def test_every_claim_on_formats_holds_on_a_cpu() -> None:
    result = formats.study_formats(tiny_context())
    assert not failed(result.claims)
    assert "TF32 was not measured" in result.findings[0]
    assert [curve.name for curve in result.curves] == ["fp16", "bf16"]


@pytest.mark.parametrize(("name", "dtype"), [("fp16", np.float16), ("fp32", np.float32)])
def test_a_format_follows_from_its_bits_as_numpy_has_it(name: str, dtype: type[np.floating]) -> None:
    info, ours = np.finfo(dtype), FORMATS[name]
    assert ours.largest == float(info.max)
    assert ours.smallest_normal == float(info.smallest_normal)
    assert ours.smallest_subnormal == float(info.smallest_subnormal)
    assert ours.spacing_at_one == float(info.eps)
    assert ours.num_bits == info.bits


def test_bf16_follows_from_its_bits_as_torch_has_it() -> None:
    info, ours = torch.finfo(torch.bfloat16), FORMATS["bf16"]
    assert (ours.largest, ours.smallest_normal, ours.spacing_at_one) == (info.max, info.tiny, info.eps)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_smallest_updates_are_those_that_numpy_finds_one_by_one(sign: int) -> None:
    weights = torch.tensor([1.0, 1.25, 1.999, 3.0], dtype=torch.float16)
    found = formats.smallest_updates(weights, sign=sign)
    patterns = np.arange(1, 0x3C00, dtype=np.uint16).view(np.float16)  # all positive numbers below 1, in order
    for weight, update in zip(weights.numpy(), found.numpy(), strict=True):
        changes = (weight + np.float16(sign) * patterns).astype(np.float16) != weight
        assert update == patterns[changes][0]


def rounding_to(num_bits: int) -> Callable[[float], float]:
    def rounded(value: float) -> float:
        mantissa, exponent = np.frexp(value)
        return float(np.ldexp(np.round(mantissa * 2.0 ** (num_bits + 1)), int(exponent) - num_bits - 1))

    return rounded


@pytest.mark.parametrize("num_bits", [7, 10, 23])
def test_the_bits_that_a_product_reads_are_counted(num_bits: int) -> None:
    assert formats.fraction_bits(rounding_to(num_bits)) == num_bits


def test_an_fp16_that_flushes_subnormal_numbers_fails_its_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a device would whose products below the normal range are 0."""
    multiply = torch.Tensor.__mul__

    def flushing(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        product = multiply(one, other)
        if isinstance(product, torch.Tensor) and product.dtype == torch.float16 and product.dim() == 0:
            return torch.where(product.abs() < FORMATS["fp16"].smallest_normal, torch.zeros_like(product), product)
        return product

    monkeypatch.setattr(torch.Tensor, "__mul__", flushing)
    names = failed(formats.study_formats(tiny_context()).claims)
    assert [name.partition(":")[2].partition(":")[0].strip() for name in names] == ["product that is subnormal"]


def test_every_claim_on_accumulation_holds_on_a_cpu() -> None:
    result = accumulation.study_accumulation(tiny_context())
    assert not failed(result.claims)
    added = next(curve for curve in result.curves if curve.name == "fp16 added one by one")
    product = next(curve for curve in result.curves if curve.name == "fp16 matrix product")
    assert added.y[-1] > 100 * product.y[-1]


def test_adding_one_by_one_is_what_numpy_does_in_float16() -> None:
    values = accumulation.numbers(256, torch.float16, torch.device("cpu"))
    sums = accumulation.summed(256, torch.float16, torch.device("cpu"))
    total = np.zeros(len(values), dtype=np.float16)
    for column in values.numpy().T:
        total = (total + column).astype(np.float16)
    assert sums.one_by_one.numpy().tolist() == total.astype(np.float64).tolist()
    assert sums.exact.numpy() == pytest.approx(values.numpy().astype(np.float64).sum(1), rel=1e-12)


def test_products_that_accumulate_in_fp16_fail_their_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_fp16(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(left.shape[0], right.shape[1], dtype=left.dtype)
        for column, row in zip(left.unbind(1), right.unbind(0), strict=True):
            total = total + column[:, None] * row
        return total

    monkeypatch.setattr(accumulation, "LENGTHS", (16, 512))
    monkeypatch.setattr(torch, "mm", in_fp16)
    names = failed(accumulation.study_accumulation(tiny_context()).claims)
    assert sum("matrix product" in name for name in names) == 2
    assert not any("convolution" in name for name in names)


def test_reductions_in_fp16_are_a_setting_that_is_put_back() -> None:
    matmul = torch.backends.cuda.matmul
    before = [getattr(matmul, name) for name in accumulation.REDUCTION_FLAGS]
    for are_allowed in (False, True):
        with accumulation.reductions_in_16_bits(are_allowed=are_allowed):
            assert [getattr(matmul, name) for name in accumulation.REDUCTION_FLAGS] == [are_allowed] * 2
    assert [getattr(matmul, name) for name in accumulation.REDUCTION_FLAGS] == before


def test_products_with_reductions_in_fp16_may_round_a_few_times() -> None:
    """The claims of a CUDA device, computed by the products of this one, which reduce in FP32."""
    claims = accumulation._reduced_claims(torch.device("cpu"))
    assert [claim.holds for claim in claims] == [True, True]
    assert claims[1].expected == accumulation.MAX_ROUNDINGS * claims[0].expected

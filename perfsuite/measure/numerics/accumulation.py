"""Sums of products in 16 bits: accumulated in FP32, as tensor cores do, and in the 16 bits themselves."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from perfsuite.measure.numerics.formats import DTYPES
from perfsuite.measure.numerics.study import StudyResult
from perfsuite.number_formats import FORMATS
from perfsuite.records.numerics import Claim, Curve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfsuite.measure.numerics.study import StudyContext

LENGTHS = (16, 64, 256, 1024, 4096, 16384)
"""Of the sums: 9 x 512 = 4,608 products are added for each output of the widest convolutions of a ResNet."""

NUM_SUMS = 64
"""Of each length; their median is what counts."""

CHANNELS = (16, 64, 256, 512)
"""Inputs of the convolutions: 3x3 of them are summed."""

KERNEL_SIZE = 3
OUTPUT_CHANNELS, OUTPUT_SIZE = 16, 8

SOURCE = "float64; Micikevicius et al., Mixed Precision Training, 2018, section 3.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums of one length in one format, [num] float64 each.

    Attributes:
        exact: In float64, of the numbers as they are in the format.
        one_by_one: In an accumulator of the format itself.
        product: Of a matrix product of this device.
    """

    exact: torch.Tensor
    one_by_one: torch.Tensor
    product: torch.Tensor


def study_accumulation(context: StudyContext) -> StudyResult:
    """Measure errors of sums by length, of matrix products and convolutions of this device and of an own loop."""
    device = context.device
    claims: list[Claim] = []
    curves: list[Curve] = []
    for name, dtype in DTYPES.items():
        context.report_stage(f"sums in {name}")
        with reductions_in_16_bits(are_allowed=False):
            sums = [summed(length, dtype, device) for length in LENGTHS]
        context.report_stage(f"convolutions in {name}")
        convolutions = [convolved(channels, dtype, device) for channels in CHANNELS]
        claims += _claims(name, sums[-1], convolutions[-1])
        lengths = tuple(float(length) for length in LENGTHS)
        reductions = tuple(float(channels * KERNEL_SIZE**2) for channels in CHANNELS)
        curves += [
            Curve(
                name=f"{name} added one by one",
                x=lengths,
                y=tuple(float(_errors(one.one_by_one, one.exact).median()) for one in sums),
            ),
            Curve(
                name=f"{name} matrix product",
                x=lengths,
                y=tuple(float(_errors(one.product, one.exact).median()) for one in sums),
            ),
            Curve(
                name=f"{name} convolution", x=reductions, y=tuple(float(_errors(*one).median()) for one in convolutions)
            ),
        ]
    findings = []
    if device.type == "cuda":
        context.report_stage("reduced-precision reductions")
        claims += _reduced_claims(device)
    else:
        findings.append("allow_fp16_reduced_precision_reduction was not measured: it is a setting of CUDA's products")
    return StudyResult(
        claims=tuple(claims),
        notes=(_in_words(claims),),
        curves=tuple(curves),
        settings={
            "num_sums": NUM_SUMS,
            "length": LENGTHS[-1],
        },
        findings=tuple(findings),
    )


def numbers(length: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return numbers in [0, 1) of a format [NUM_SUMS, length]; the same on every device."""
    generator = torch.Generator().manual_seed(length)
    # A number just below 1 would be rounded up to it.
    drawn = torch.rand(NUM_SUMS, length, generator=generator, dtype=torch.float64) * (1 - 2.0**-8)
    return drawn.to(dtype).to(device)


def summed(length: int, dtype: torch.dtype, device: torch.device) -> Sums:
    """Add numbers in [0, 1)."""
    values = numbers(length, dtype, device)
    accumulator = torch.zeros(NUM_SUMS, dtype=dtype, device=device)
    for column in values.unbind(1):
        accumulator = accumulator + column
    ones = torch.ones(length, NUM_SUMS, dtype=dtype, device=device)
    return Sums(
        exact=values.double().sum(1),
        one_by_one=accumulator.double(),
        product=torch.mm(values, ones)[:, 0].double(),
    )


def convolved(channels: int, dtype: torch.dtype, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the outputs of a 3x3 convolution in a format, and in float64 of the same operands, both float64."""
    generator = torch.Generator().manual_seed(channels)
    size = OUTPUT_SIZE + KERNEL_SIZE - 1
    images = torch.rand(1, channels, size, size, generator=generator, dtype=torch.float64).to(dtype).to(device)
    weights = torch.rand(OUTPUT_CHANNELS, channels, KERNEL_SIZE, KERNEL_SIZE, generator=generator, dtype=torch.float64)
    weights = weights.to(dtype).to(device)
    outputs = nn.functional.conv2d(images, weights)  # 1 C H W
    exact = nn.functional.conv2d(images.double(), weights.double())
    return outputs.double().flatten(), exact.flatten()


def _errors(found: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """Return relative errors [num] float64."""
    return (found - exact).abs() / exact.abs()


def _claims(name: str, sums: Sums, convolution: tuple[torch.Tensor, torch.Tensor]) -> list[Claim]:
    number_format = FORMATS[name]
    # From here on the spacing is 2: whatever is below 1 is less than half of it.
    stuck_at = 2.0 ** (number_format.num_fraction_bits + 1)
    half_spacing = number_format.spacing_at_one / 2
    title = name.upper()
    return [
        Claim(
            name=f"{title}: {LENGTHS[-1]:,} numbers in [0, 1) added one by one",
            measured=float(sums.one_by_one.median()),
            expected=stuck_at,
            tolerance=0.0,
            source="2**(p + 1): there the spacing is 2, and less than 1 is rounded off",
        ),
        Claim(
            name=f"{title}: the same sum by a matrix product, largest error",
            measured=float(_errors(sums.product, sums.exact).max()),
            expected=half_spacing,
            tolerance=half_spacing * _FP32_SLACK,
            relation="at most",
            unit="share",
            source=SOURCE,
        ),
        Claim(
            name=f"{title}: {CHANNELS[-1] * KERNEL_SIZE**2:,} products of a convolution, largest error",
            measured=float(_errors(*convolution).max()),
            expected=half_spacing,
            tolerance=half_spacing * _CONVOLUTION_SLACK,
            relation="at most",
            unit="share",
            source=SOURCE,
        ),
    ]


_FP32_SLACK = 0.1
"""What sums in FP32 may add to the rounding of their result, relative to it: thousands of steps of 2**-24 each."""


_CONVOLUTION_SLACK = 3.0
"""The same of convolutions, whose algorithms may add parts, or transforms (Winograd), in 16 bits; sums in 16 bits alone
are ten times as far off at this length."""


def _reduced_claims(device: torch.device) -> list[Claim]:
    """Measure FP16 products with reductions in FP16 allowed and not. Source: PyTorch, Numerical accuracy."""
    half_spacing = FORMATS["fp16"].spacing_at_one / 2
    claims = []
    for are_allowed, words in ((False, "not allowed"), (True, "allowed")):
        with reductions_in_16_bits(are_allowed=are_allowed):
            sums = summed(LENGTHS[-1], torch.float16, device)
        claims.append(
            Claim(
                name=f"FP16: matrix product, FP16 reductions {words}, largest error",
                measured=float(_errors(sums.product, sums.exact).max()),
                # Allowed: parts that FP32 accumulated may be added in FP16, a few roundings instead of one.
                expected=half_spacing * (MAX_ROUNDINGS if are_allowed else 1),
                tolerance=half_spacing * _FP32_SLACK,
                relation="at most",
                unit="share",
                source="PyTorch, torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
            )
        )
    return claims


MAX_ROUNDINGS = 16
"""Parts into which a product of this length is split at most before they are added."""


REDUCTION_FLAGS = ("allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction")


@contextlib.contextmanager
def reductions_in_16_bits(*, are_allowed: bool) -> Iterator[None]:
    """Allow products of CUDA in FP16 and BF16 to add their parts in 16 bits, or not; put back what was set."""
    backends: Any = torch.backends
    matmul = backends.cuda.matmul
    before = {name: getattr(matmul, name) for name in REDUCTION_FLAGS}
    try:
        for name in REDUCTION_FLAGS:
            setattr(matmul, name, are_allowed)
        yield
    finally:
        for name, value in before.items():
            setattr(matmul, name, value)


def _in_words(claims: list[Claim]) -> str:
    added, product, convolution = claims[:3]
    return (
        f"{LENGTHS[-1]:,} numbers add up to {added.measured:,.0f} in an FP16 accumulator, which grows no further; "
        "matrix products and convolutions of this device stay within "
        f"{max(product.measured, convolution.measured):.1e} of float64: they accumulate in FP32."
    )

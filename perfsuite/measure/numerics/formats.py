"""What FP16, BF16, FP32 and TF32 can hold on this device, and the smallest update that still changes a weight."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from perfsuite.errors import NotSupportedError
from perfsuite.measure.numerics.study import StudyResult
from perfsuite.number_formats import FORMATS
from perfsuite.precisions import POLICIES
from perfsuite.records.numerics import Claim, Curve
from perfsuite.workloads.precision import applied, require_support

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.numerics.study import StudyContext
    from perfsuite.number_formats import NumberFormat

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
"""The formats of 16 bits, all of whose numbers can be looked at."""

NUM_WEIGHTS = 257
"""In [1, 4): two whole periods of the curve, and each power of two among them."""

LISTING = "the thesis, listing 3.1 (as printed, today's torch raises; here with torch.tensor(..., dtype=torch.float16))"


def study_formats(context: StudyContext) -> StudyResult:
    """Measure range and spacing of every format, and which updates are lost."""
    device = context.device
    claims = [claim for name, dtype in DTYPES.items() for claim in _small_format_claims(FORMATS[name], dtype, device)]
    claims += _fp32_claims(device)
    findings = []
    try:
        claims.append(_tf32_claim(device))
    except NotSupportedError as error:
        findings.append(f"TF32 was not measured: {error}")
    one = torch.tensor(1.0, dtype=torch.float16, device=device)
    small = torch.tensor(1e-4, dtype=torch.float16, device=device)
    claims.append(
        Claim(name="1 + 0.0001 in FP16", measured=float(one + small), expected=1.0, tolerance=0.0, source=LISTING)
    )
    curves = []
    for name, dtype in DTYPES.items():
        weights = _weights(dtype, device)
        added, subtracted = (weights.double() / smallest_updates(weights, sign=sign).double() for sign in (1, -1))
        claims += _update_claims(FORMATS[name], added, subtracted)
        curves.append(Curve(name=name, x=tuple(weights.tolist()), y=tuple(added.tolist())))
    low, high = (f"{2 ** (FORMATS['fp16'].num_fraction_bits + power):,}" for power in (1, 2))
    note = (
        f"An FP16 weight keeps no update that is {low} to {high} times smaller: the thesis's {low} is that of a power "
        "of two, just below the next one it is twice as much; of BF16 an eighth of that."
    )
    return StudyResult(claims=tuple(claims), notes=(note,), curves=tuple(curves), settings={}, findings=tuple(findings))


def _small_format_claims(number_format: NumberFormat, dtype: torch.dtype, device: torch.device) -> list[Claim]:
    """Look at every positive finite number of a format of 16 bits."""
    patterns = torch.arange(1, 2**15, dtype=torch.int32).to(torch.int16).to(device)
    values = patterns.view(dtype).double()
    values = values[values.isfinite()]
    gaps = values.diff()
    relative = gaps / values[:-1]
    # Below the normal numbers spacing is fixed, so that it is coarser than one in 2**p there.
    smallest_normal = values[:-1][relative <= number_format.spacing_at_one][0]
    at_one = gaps[values[:-1] == 1.0][0]
    product = torch.tensor(number_format.smallest_normal, device=device).to(dtype)
    product = product * torch.tensor(number_format.spacing_at_one, device=device).to(dtype)
    name = number_format.name.upper()
    measured = {
        "largest": float(values.max()),
        "smallest normal": float(smallest_normal),
        "smallest subnormal": float(values.min()),
        "product that is subnormal": float(product),
    }
    claims = _magnitude_claims(number_format, measured)
    claims.append(_spacing_claim(number_format, float(at_one)))
    overflow = torch.tensor(number_format.largest, dtype=torch.float64, device=device).to(dtype) * 2
    claims.append(
        Claim(
            name=f"{name}: twice the largest is infinite",
            measured=float(overflow.isinf()),
            expected=1.0,
            tolerance=0.0,
            source=number_format.source,
        )
    )
    return claims


def _fp32_claims(device: torch.device) -> list[Claim]:
    number_format = FORMATS["fp32"]
    zero, one, infinity = (torch.tensor(value, device=device) for value in (0.0, 1.0, math.inf))
    powers = torch.pow(torch.tensor(2.0, dtype=torch.float64, device=device), torch.arange(-140, -100, device=device))
    numbers = powers.float()
    gaps = torch.nextafter(numbers, infinity).double() - numbers.double()
    is_normal = gaps / numbers.double() <= number_format.spacing_at_one
    measured = {
        "largest": float(torch.nextafter(infinity, zero)),
        "smallest normal": float(numbers[is_normal][0]),
        "smallest subnormal": float(torch.nextafter(zero, one)),
    }
    at_one = float(torch.nextafter(one, infinity).double() - one.double())
    return [*_magnitude_claims(number_format, measured), _spacing_claim(number_format, at_one)]


def _magnitude_claims(number_format: NumberFormat, measured: dict[str, float]) -> list[Claim]:
    """Return claims on magnitudes, as logarithms: the range of FP32 is wider than that of numbers in a record."""
    expected = {
        "largest": number_format.largest,
        "smallest normal": number_format.smallest_normal,
        "smallest subnormal": number_format.smallest_subnormal,
        "product that is subnormal": number_format.smallest_subnormal,
    }
    return [
        Claim(
            name=f"{number_format.name.upper()}: {name}",
            measured=math.log2(value) if value > 0 else -1e6,
            expected=math.log2(expected[name]),
            tolerance=0.0,
            unit="log2",
            source=number_format.source,
        )
        for name, value in measured.items()
    ]


def _spacing_claim(number_format: NumberFormat, measured: float) -> Claim:
    return Claim(
        name=f"{number_format.name.upper()}: from 1 to the next number",
        measured=math.log2(measured),
        expected=math.log2(number_format.spacing_at_one),
        tolerance=0.0,
        unit="log2",
        source=number_format.source,
    )


def _tf32_claim(device: torch.device) -> Claim:
    """Measure how many bits of the fraction a matrix product in TF32 reads.

    Raises:
        NotSupportedError: The device has none.
    """
    policy = POLICIES["tf32"]
    require_support(policy, device)
    identity = torch.eye(SIZE, device=device)
    with applied(policy):
        num_bits = fraction_bits(lambda value: float((torch.full((SIZE, SIZE), value, device=device) @ identity)[0, 0]))
    expected = FORMATS["tf32"]
    return Claim(
        name="TF32: fraction bits that a product reads",
        measured=num_bits,
        expected=expected.num_fraction_bits,
        tolerance=0.0,
        source=expected.source,
    )


SIZE = 256
"""Of the matrices, in both directions: large enough for tensor cores."""


def fraction_bits(passed: Callable[[float], float]) -> int:
    """Return after how many bits of the fraction `passed` no longer keeps a 1 there: 10 for what rounds to TF32."""
    kept = [bit for bit in range(1, FORMATS["fp32"].num_fraction_bits + 1) if passed(1 + 2.0**-bit) == 1 + 2.0**-bit]
    return max(kept, default=0)


def _weights(dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return numbers of a format in [1, 4), each once [num]."""
    spaced = torch.linspace(1.0, 4.0, NUM_WEIGHTS, dtype=torch.float64)[:-1].to(dtype)
    weights: torch.Tensor = torch.unique_consecutive(spaced.double())
    return weights.to(dtype).to(device)


def smallest_updates(weights: torch.Tensor, *, sign: int) -> torch.Tensor:
    """Return the smallest update of the same format that changes each weight, by bisection over patterns of bits [num].

    Args:
        weights: [num] float16 or bfloat16, above 0.
        sign: 1 for updates that are added, -1 for those that are subtracted.
    """
    low = torch.zeros_like(weights).view(torch.int16).int()
    high = weights.view(torch.int16).int()
    for _ in range(16):
        middle = (low + high) // 2
        updates = middle.to(torch.int16).view(weights.dtype)
        changes = weights + sign * updates != weights
        high = torch.where(changes, middle, high)
        low = torch.where(changes, low, middle)
    return high.to(torch.int16).view(weights.dtype)


def _update_claims(number_format: NumberFormat, added: torch.Tensor, subtracted: torch.Tensor) -> list[Claim]:
    """Return claims on weight / smallest update that changes it; the next update above the limit is 2**-p larger."""
    limit = 2.0 ** (number_format.num_fraction_bits + 1)
    source = "the thesis, chapter 3; rounding to the nearest of IEEE 754-2019, section 4.3.1"
    name = number_format.name.upper()
    slack = 2 * limit * number_format.spacing_at_one
    return [
        Claim(
            name=f"{name}: weight 1 / smallest update added",
            measured=float(added[0]),
            expected=limit,
            tolerance=slack,
            unit="ratio",
            source=source,
        ),
        Claim(
            name=f"{name}: largest weight / smallest update",
            measured=float(added.max()),
            expected=2 * limit,
            tolerance=2 * limit * _COARSENESS,
            unit="ratio",
            source=source,
        ),
        Claim(
            name=f"{name}: weight 1 / smallest update subtracted",
            measured=float(subtracted[0]),
            expected=2 * limit,
            tolerance=2 * slack,
            unit="ratio",
            source=source,
        ),
    ]


_COARSENESS = 3 / NUM_WEIGHTS * 2
"""How far the largest of the weights that are looked at may be from the next power of two, as a ratio."""

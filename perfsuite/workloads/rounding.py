"""Rounding to a narrower format at random, so that small updates are kept on average."""

from __future__ import annotations

import torch

from perfsuite.number_formats import FORMATS

_INT32 = torch.int32
_FP32, _FP16 = FORMATS["fp32"], FORMATS["fp16"]
_NARROWER = {torch.float16: _FP16, torch.bfloat16: FORMATS["bf16"]}


def stochastically_rounded(
    values: torch.Tensor, dtype: torch.dtype, *, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Round each value up or down, to either neighbour with a probability that makes its mean the value itself.

    Bits at random are added below the last one that is kept, and cut off. A value that the format has stays what it is,
    and so do infinities and NaN. Source: S. Gupta et al., Deep Learning with Limited Numerical Precision, 2015, section
    3.1.

    Args:
        values: [...] float32.
        dtype: float16 or bfloat16.
        generator: Of the random bits, on the device of `values`; None for torch's own.

    Returns:
        [...] of `dtype`.

    Raises:
        ValueError: Another type of values, or of the result.
    """
    if values.dtype != torch.float32 or dtype not in _NARROWER:
        raise ValueError(f"float32 to float16 or bfloat16 is rounded at random, not {values.dtype} to {dtype}")
    dropped_bits = _FP32.num_fraction_bits - _NARROWER[dtype].num_fraction_bits
    bits = values.contiguous().view(_INT32)
    noise = torch.empty_like(bits).random_(0, 1 << dropped_bits, generator=generator)
    fixed = None
    if dtype == torch.float16:  # below its normal range the spacing is fixed; all of bfloat16's normals are float32's
        steps = values / _FP16.smallest_subnormal
        fixed = (steps + noise / (1 << dropped_bits)).floor() * _FP16.smallest_subnormal
    # In place: weights of 16 bits are rounded where memory is scarce.
    rounded = noise.add_(bits).bitwise_and_(-(1 << dropped_bits)).view(torch.float32)
    if fixed is not None:
        rounded = torch.where(values.abs() < _FP16.smallest_normal, fixed, rounded)
    return torch.where(values.isfinite(), rounded, values).to(dtype)

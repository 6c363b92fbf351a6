"""Which operations autocast puts in which type: how much of a training step runs in 16 bits."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from perfsuite.measure.numerics.study import StudyResult
from perfsuite.measure.operators import count_operators
from perfsuite.precisions import POLICIES
from perfsuite.records.numerics import Claim
from perfsuite.workloads.precision import resolve_precision

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.measure.numerics.study import StudyContext
    from perfsuite.records.operators import Operator

SOURCE = "PyTorch, Automatic Mixed Precision, op reference"

PRODUCTS = ("convolution", "matrix product")
"""Kinds of operators that autocast puts in 16 bits."""


def study_types(context: StudyContext) -> StudyResult:
    """Count the operators of a training step under autocast by type, on fake tensors."""
    given, _ = context.network()
    precision = resolve_precision("amp", context.device.type)
    workload = dataclasses.replace(given, precision=precision)
    context.report_stage(f"operators of {workload.model} in {precision}")
    operators = count_operators(workload)
    narrow = POLICIES[precision].autocast
    in_16_bits = [one for one in operators if one.dtype == narrow]
    products = [one for one in operators if one.kind in PRODUCTS]
    losses = [one for one in operators if one.kind == "loss"]
    updates = [one for one in operators if one.kind == "optimizer"]
    claims = (
        _share_claim(
            "operations of convolutions and matrix products in 16 bits", _flops(products, narrow), _flops(products)
        ),
        _share_claim("operators of the loss in FP32", _calls(losses, "float32"), _calls(losses)),
        _share_claim("bytes that the optimizer moves in FP32", _bytes(updates, "float32"), _bytes(updates)),
    )
    by_calls = _calls(in_16_bits) / max(_calls(operators), 1)
    by_bytes = _bytes(in_16_bits) / max(_bytes(operators), 1)
    by_flops = _flops(in_16_bits) / max(_flops(operators), 1)
    note = (
        f"{workload.model}: {by_flops:.1%} of the arithmetic of a training step (its convolutions and matrix products) "
        f"runs in {narrow}, {by_bytes:.0%} of the bytes and {by_calls:.0%} of the operators; what stays in float32 is "
        "the loss, the optimizer and the casts from it."
    )
    settings: dict[str, str | int | float | bool] = {
        "flops_ratio": by_flops,
        "bytes_ratio": by_bytes,
        "operators_ratio": by_calls,
    }
    return StudyResult(claims=claims, notes=(note,), operators=operators, settings=settings, workload=workload)


def _share_claim(name: str, part: int, whole: int) -> Claim:
    return Claim(
        name=name,
        measured=part / max(whole, 1),
        expected=1.0,
        tolerance=0.0,
        unit="share",
        source=SOURCE,
    )


def _calls(operators: Iterable[Operator], dtype: str | None = None) -> int:
    return sum(one.num_calls for one in operators if dtype in {None, one.dtype})


def _flops(operators: Iterable[Operator], dtype: str | None = None) -> int:
    return sum(one.num_calls * one.flops for one in operators if dtype in {None, one.dtype})


def _bytes(operators: Iterable[Operator], dtype: str | None = None) -> int:
    return sum(one.num_calls * one.num_bytes for one in operators if dtype in {None, one.dtype})

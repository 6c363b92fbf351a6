"""Operators of an iteration: as they are counted, and as a record keeps those that stay behind their arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.errors import RecordError


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Calls of an operator that are alike.

    Attributes:
        name: As torch's dispatcher calls it.
        kind: What it is for: convolution, matrix product, normalisation, activation, pooling, loss, cast, elementwise,
            optimizer.
        dtype: Of its first input, without `torch.`.
        num_calls: In an iteration.
        flops: Floating-point operations of a call; a multiply-add counts as two. 0 where no product is computed.
        num_bytes: That a call reads and writes.
    """

    name: str
    kind: str
    dtype: str
    num_calls: int
    flops: int
    num_bytes: int

    def __post_init__(self) -> None:
        for field in ("num_calls", "flops", "num_bytes"):
            if getattr(self, field) < 0:
                raise RecordError(f"{field} of the operator {self.name[:40]!r} is below 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCost:
    """All calls of an operator of one name in an iteration, at the eager roofline.

    Attributes:
        name: As torch's dispatcher calls it.
        kind: What it is for; see `Operator`.
        num_calls: In an iteration.
        flops: Of all of them.
        num_bytes: Of all of them.
        roofline_s: Seconds that they take at least, by the device's own peak and bandwidth.
        lost_s: How much of that is memory's: beyond what their arithmetic takes at the peak.
    """

    name: str
    kind: str
    num_calls: int
    flops: int
    num_bytes: int
    roofline_s: float
    lost_s: float

    def __post_init__(self) -> None:
        for field in ("num_calls", "flops", "num_bytes", "roofline_s", "lost_s"):
            if getattr(self, field) < 0:
                raise RecordError(f"{field} of the operator {self.name[:40]!r} is below 0")

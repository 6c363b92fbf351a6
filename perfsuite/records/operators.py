"""An operator of an iteration, as a record keeps it and as an answer without measuring computes with it."""

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

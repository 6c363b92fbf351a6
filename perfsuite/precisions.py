"""The registry of precisions: how each computes, how that is verified, what it is compared with, and its colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BASELINE = "fp32"
"""The precision that all others are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBand:
    """Relative errors against float64 that are consistent with a number format.

    Attributes:
        low: Smallest; less means that a finer format was used. Asked of forward passes only, since a library may
            well do a backward pass in a finer format.
        high: Largest; more means that a coarser format was used.
    """

    low: float
    high: float


# Norm-wise error of a product of random operands, each rounded to a format of p fraction bits, is about 2**-p * 0.4:
# 5e-8 for IEEE FP32 (p = 23, plus what accumulation adds), 4e-4 for TF32 and FP16 (p = 10), 3e-3 for BF16 (p = 7). The
# bands reach from about an eighth of that to about six times that; IEEE FP32 gets room for Winograd transforms.
# Source of p: NVIDIA A100 whitepaper, "TF32 Tensor Cores"; IEEE 754-2019 table 3.5.
IEEE_BAND = ErrorBand(low=0.0, high=1.5e-5)
TF32_BAND = ErrorBand(low=5e-5, high=2.5e-3)
FP16_BAND = ErrorBand(low=5e-5, high=2.5e-3)
BF16_BAND = ErrorBand(low=4e-4, high=2e-2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionPolicy:
    """In which formats a network is trained.

    Attributes:
        name: Its name.
        autocast: Type that autocast casts to, by its name in torch, or None for no autocast.
        weights: Type of weights, gradients and momentum, by its name in torch. Batch normalisations keep theirs, and
            their running statistics, in float32: see `workloads.precision.cast_weights`.
        stochastic_rounding: Whether an update of the weights is computed in FP32 and rounded up or down at random.
        loss_scaling: Whether a GradScaler scales the loss.
        allow_tf32: Whether FP32 convolutions and matrix products may run in TF32.
        band: Errors that show the policy to be active.
        gradient_tolerance: Largest ||difference|| / ||gradient|| between two backward passes over the same batch. Far
            above what reordered sums do (0 on a CPU), far below what another graph would do (about 1).
        thesis: The precision of the thesis whose accuracy is the target, and whose figures it is compared with; None
            where the thesis has none like it: there is no target then, and no comparison.
        thesis_note: What is said where it is compared with the thesis, or None.
        color: In every figure. Source: Okabe, Ito, Color Universal Design (2008), moved until each has a contrast of
            3:1 and more to white and any two differ by 10 and more (CIEDE2000) for all kinds of colour vision.
    """

    name: str
    autocast: Literal["float16", "bfloat16"] | None
    weights: Literal["float32", "bfloat16"] = "float32"
    stochastic_rounding: bool = False
    loss_scaling: bool
    allow_tf32: bool
    band: ErrorBand
    gradient_tolerance: float
    thesis: Literal["fp32", "amp-fp16"] | None
    thesis_note: str | None = None
    color: str

    @property
    def compute(self) -> Literal["float16", "bfloat16", "float32"]:
        """The type that convolutions and matrix products compute in, by its name in torch."""
        return self.autocast or self.weights

    @property
    def arithmetic(self) -> Literal["fp16", "bf16", "tf32", "fp32"]:
        """The format of their products, by the name that data sheets give it."""
        if self.compute == "float32":
            return "tf32" if self.allow_tf32 else "fp32"
        return "fp16" if self.compute == "float16" else "bf16"

    @property
    def is_half(self) -> bool:
        """Whether they compute in 16 bits."""
        return self.compute != "float32"

    @property
    def bytes_per_weight(self) -> int:
        """Bytes of a weight, of its gradient and of its momentum."""
        return 4 if self.weights == "float32" else 2


POLICIES: dict[str, PrecisionPolicy] = {
    policy.name: policy
    for policy in (
        PrecisionPolicy(
            name="fp32",
            autocast=None,
            loss_scaling=False,
            allow_tf32=False,
            band=IEEE_BAND,
            gradient_tolerance=1e-3,
            thesis="fp32",
            color="#0076e9",
        ),
        PrecisionPolicy(
            name="tf32",
            autocast=None,
            loss_scaling=False,
            allow_tf32=True,
            band=TF32_BAND,
            gradient_tolerance=2e-2,
            thesis="fp32",
            color="#9c4f86",
        ),
        PrecisionPolicy(
            name="amp-fp16",
            autocast="float16",
            loss_scaling=True,
            allow_tf32=False,
            band=FP16_BAND,
            gradient_tolerance=5e-2,
            thesis="amp-fp16",
            color="#d55e00",
        ),
        PrecisionPolicy(
            name="amp-bf16",
            autocast="bfloat16",
            loss_scaling=False,
            allow_tf32=False,
            band=BF16_BAND,
            gradient_tolerance=2e-1,
            thesis="amp-fp16",
            thesis_note="amp-bf16 is compared with the thesis's AMP, which computed in float16",
            color="#05835c",
        ),
        PrecisionPolicy(
            name="bf16",
            autocast=None,
            weights="bfloat16",
            loss_scaling=False,
            allow_tf32=False,
            band=BF16_BAND,
            gradient_tolerance=2e-1,
            thesis=None,
            color="#46008c",
        ),
        PrecisionPolicy(
            name="bf16-sr",
            autocast=None,
            weights="bfloat16",
            stochastic_rounding=True,
            loss_scaling=False,
            allow_tf32=False,
            band=BF16_BAND,
            gradient_tolerance=2e-1,
            thesis=None,
            color="#591b00",
        ),
    )
}
"""In the order in which they are shown."""

"""What a study of mixed precision found: claims that were measured, and the curves and histograms behind them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from perfsuite.errors import RecordError
from perfsuite.records.environment import Process  # noqa: TC001 - read at run time, to check files
from perfsuite.records.operators import Operator  # noqa: TC001 - read at run time, to check files
from perfsuite.records.schema import SCHEMA_VERSION
from perfsuite.records.strict_json import to_strict_json
from perfsuite.records.workload import Workload  # noqa: TC001 - read at run time, to check files

STUDIES = ("formats", "updates", "weights", "gradients", "scaling", "scales", "accumulation", "types")
"""The studies of mixed precision, in the order of the argument: what FP16 cannot hold, and what is done about it."""

Study = Literal["formats", "updates", "weights", "gradients", "scaling", "scales", "accumulation", "types"]

BASELINE_SETTING = "baseline"
"""The setting of an ablation that names the arm whose losses the others' are above."""

Relation = Literal["equal", "at least", "at most"]

Unit = Literal["", "ratio", "log2", "share", "exponent"]
"""What a claim's numbers are: plain; a ratio of two; a base-2 logarithm of what is printed, for what JSON's numbers
here cannot hold; a share of 1, printed in percent; an exponent of 2, printed as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One thing that is said of mixed precision, measured.

    Attributes:
        name: What is said, in a few words.
        measured: What this device does.
        expected: What it should be, computed another way.
        tolerance: How far the two may be apart, in the same unit.
        relation: Whether `measured` is to equal `expected`, or to be on one side of it.
        unit: Of the three numbers.
        source: Where the claim or the expectation comes from.
    """

    name: str
    measured: float
    expected: float
    tolerance: float
    relation: Relation = "equal"
    unit: Unit = ""
    source: str

    def __post_init__(self) -> None:
        if self.tolerance < 0:
            raise RecordError(f"a claim's tolerance is {self.tolerance!r}, 0 or more is needed")

    @property
    def holds(self) -> bool:
        """Whether the measurement agrees with the claim."""
        difference = self.measured - self.expected
        if self.relation == "at least":
            return difference >= -self.tolerance
        if self.relation == "at most":
            return difference <= self.tolerance
        return abs(difference) <= self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Values along an axis, or of named things.

    Attributes:
        name: Which line of its study it is: `fp16`, `bf16 stochastic`.
        x: Where, in ascending order [num]; empty where `labels` name the values.
        y: The values [num].
        low: Lower ends of their 95% intervals [num], or empty.
        high: Upper ends [num], or empty.
        labels: What the values are of [num], or empty.
    """

    name: str
    y: tuple[float, ...]
    x: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        num = len(self.y)
        if not num or (len(self.x), len(self.labels)) not in {(num, 0), (0, num)}:
            raise RecordError(
                f"curve {self.name!r:.40} has {num} values at {len(self.x)} places and {len(self.labels)} labels"
            )
        if len(self.low) not in {0, num} or len(self.high) != len(self.low):
            raise RecordError(f"curve {self.name!r:.40} has {num} values and {len(self.low)} intervals")


Tensors = Literal["activation gradients", "weight gradients"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentHistogram:
    """How large the values of a tensor are: how many have which exponent of 2.

    Attributes:
        layer: Whose.
        tensors: Gradients of its outputs, or of its parameters.
        stage: `early` or `late` in training.
        num_zeros: Values that are 0.
        min_exponent: Of the first count; smaller values are counted with it.
        counts: Values v with 2**e <= abs(v) < 2**(e + 1), for e from `min_exponent` on [num].
    """

    layer: str
    tensors: Tensors
    stage: Literal["early", "late"]
    num_zeros: int
    min_exponent: int
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.num_zeros < 0 or any(count < 0 for count in self.counts) or abs(self.min_exponent) > MAX_EXPONENT:
            raise RecordError(f"the histogram of {self.layer!r:.40} has a negative count or no exponent of a float")


MAX_EXPONENT = 1100
"""Of any float64, subnormal ones included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericsRecord:
    """One study of mixed precision.

    Attributes:
        study: Which one.
        workload: The network and batch that it is of; None where it is of none.
        images: What the network was given, in words; empty where it is of none.
        claims: What was measured, with what it should be.
        notes: What it shows, in words.
        curves: What its pictures are drawn from.
        histograms: The same, of gradients.
        operators: Of one training step, by type.
        settings: What was pinned, and what was measured besides the claims, by name.
        findings: What a reader should know before trusting the numbers, in words.
        process: Which process measured.
    """

    study: Study
    workload: Workload | None
    images: str
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]
    curves: tuple[Curve, ...]
    histograms: tuple[ExponentHistogram, ...] = ()
    operators: tuple[Operator, ...] = ()
    settings: dict[str, str | int | float | bool]
    findings: tuple[str, ...]
    process: Process

    def __post_init__(self) -> None:
        if not self.claims:
            raise RecordError(f"study {self.study!r} has no claims")

    @property
    def failed(self) -> tuple[Claim, ...]:
        """The claims that do not hold."""
        return tuple(claim for claim in self.claims if not claim.holds)

    @property
    def subject(self) -> str:
        """What it is of, in words: `resnet18 b128`; the device alone where it is of no network."""
        return "" if self.workload is None else f"{self.workload.model} b{self.workload.batch_size}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `extra_info["perfsuite"]`.

        Raises:
            RecordError: A value that JSON cannot carry without loss.
        """
        return to_strict_json({"schema_version": SCHEMA_VERSION, "kind": "numerics", **dataclasses.asdict(self)})

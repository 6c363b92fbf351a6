"""A step that several ranks do together, as what it is compared by."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perfsuite.formatting import plural
from perfsuite.records.workload import Workload

if TYPE_CHECKING:
    from perfsuite.records.scaling import Compression, ScalingRecord, Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadWorkload(Workload):
    """The step of one rank, and how it is spread: the identity under which steps on several devices are compared.

    Attributes:
        world_size: Ranks, one a device.
        strategy: `ddp` or `fsdp2`.
        compression: Of the gradients that are exchanged.
        scaling: `weak` or `strong`.
    """

    world_size: int
    strategy: Strategy
    compression: Compression
    scaling: Literal["weak", "strong"]

    @classmethod
    def of_record(cls, record: ScalingRecord) -> SpreadWorkload:
        """Return what a record is of."""
        return cls(
            **dataclasses.asdict(record.workload),
            world_size=record.world_size,
            strategy=record.strategy,
            compression=record.compression,
            scaling=record.scaling,
        )

    @property
    def of_a_rank(self) -> Workload:
        """The step of one rank."""
        return Workload(**{spec.name: getattr(self, spec.name) for spec in dataclasses.fields(Workload)})

    @property
    def label(self) -> str:
        """It in words: `resnet18 amp-fp16 train_step b128 2 ranks ddp`."""
        return (
            f"{self.of_a_rank.label} {spread_in_words(self.world_size, self.strategy, self.compression, self.scaling)}"
        )


def spread_in_words(world_size: int, strategy: str, compression: str, scaling: str) -> str:
    """Return how a step is spread, the usual left out: `2 ranks ddp`, `4 ranks ddp bf16-gradients strong`."""
    parts = [plural(world_size, "rank"), strategy]
    if compression != "none":
        parts.append(f"{compression}-gradients")
    if scaling != "weak":
        parts.append(scaling)
    return " ".join(parts)

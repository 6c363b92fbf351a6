"""What all measurements of a run share: where, by which clock, in which process, with how much time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.measure.budget import DEFAULT_EFFORT

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from perfsuite.measure.budget import Budget, Effort
    from perfsuite.measure.clock import DeviceClock
    from perfsuite.records.environment import Process


def _tell_nobody(_stage: str) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """The part of a measurement that is the same for every cell of a run.

    Attributes:
        device: Where.
        clock: The timer that pytest-benchmark's fixture reads, and that times interleaved turns.
        process: Which process this is.
        effort: How much time the user gives.
        report_stage: Called with the current stage, in a word or two.
    """

    device: torch.device
    clock: DeviceClock
    process: Process
    effort: Effort = DEFAULT_EFFORT
    report_stage: Callable[[str], None] = _tell_nobody

    @property
    def budget(self) -> Budget:
        """How long the parts of a measurement take on this type of device."""
        return self.effort.budget(self.device.type)

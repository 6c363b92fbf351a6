"""Peak memory of one iteration of a phase, as training or inference runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.measure.memory import measure_peak_memory

if TYPE_CHECKING:
    from perfsuite.measure.memory import PeakMemory
    from perfsuite.workloads.measurable import Measurable


def measure_step_memory(step: Measurable) -> PeakMemory:
    """Measure the iteration that `memory_iteration` returns."""
    iteration = step.memory_iteration()
    return measure_peak_memory(
        prepare=iteration.prepare,
        run=iteration.run,
        device=step.device,
        resident=step.resident_tensors,
        is_allocating=iteration.is_allocating,
    )

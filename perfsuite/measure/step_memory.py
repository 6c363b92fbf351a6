"""Peak memory of a step's phase, as training runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.measure.memory import measure_peak_memory

if TYPE_CHECKING:
    import torch

    from perfsuite.measure.memory import PeakMemory
    from perfsuite.workloads.step import TrainingStep


def measure_step_memory(step: TrainingStep) -> PeakMemory:
    """Measure the phase as training runs it: the backward pass on a fresh graph that is freed as it is consumed."""
    step.release_graph()
    step.zero_gradients()
    graph: list[torch.Tensor] = []

    def prepare_backward() -> None:
        step.zero_gradients()
        graph[:] = [step.scaler.scale(step.forward())]

    def run_backward() -> None:
        graph.pop().backward()  # type: ignore[no-untyped-call]

    prepare, run = {
        "forward": (step.zero_gradients, step.forward),
        "backward": (prepare_backward, run_backward),
        "train_step": (lambda: None, step.train_step),
    }[step.workload.phase]
    return measure_peak_memory(prepare=prepare, run=run, device=step.device, resident=step.resident_tensors)

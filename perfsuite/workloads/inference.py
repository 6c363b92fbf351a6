"""A network that is only asked for its outputs: eval mode, no graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perfsuite.errors import InvalidChoiceError
from perfsuite.records.workload import INFERENCE
from perfsuite.workloads.built_network import BuiltNetwork
from perfsuite.workloads.measurable import Iteration
from perfsuite.workloads.model_spec import run_network
from perfsuite.workloads.precision import autocast, cast_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.workload import Workload


class Inference(BuiltNetwork):
    """A network in eval mode and one batch on a device."""

    def __init__(self, workload: Workload, *, device: torch.device, seed: int = 0) -> None:
        """Build the network and its batch.

        Raises:
            InvalidChoiceError: A name in the workload is unknown.
            InstallationError: torchvision does not import.
            ModelError: What builds the network or its batch raises, or returns none.
        """
        if workload.phase != INFERENCE:
            raise InvalidChoiceError(f"unknown phase {workload.phase!r}; {INFERENCE} is needed")
        super().__init__(workload, device=device, seed=seed)
        self.model.eval()

    @property
    def body(self) -> Callable[[], object]:
        """The body of the phase."""
        return self.infer

    def infer(self) -> object:
        """Return the outputs.

        Inside the window: autocast region, casts of the weights or of the batch, network. Outside: everything else; the
        batch is on the device, and the outputs stay there.
        """
        self.num_iterations += 1
        with torch.inference_mode(), autocast(self.policy, self.device.type):
            return run_network(self.network, cast_inputs(self.policy, self.inputs))

    def settle(self) -> None:
        """Run once."""
        self.body()

    def memory_iteration(self) -> Iteration:
        """Return the phase itself."""
        return Iteration(prepare=lambda: None, run=self.infer)

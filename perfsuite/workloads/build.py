"""What is built for a workload, by its phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.records.workload import INFERENCE
from perfsuite.workloads.inference import Inference
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    import torch

    from perfsuite.records.workload import Workload
    from perfsuite.workloads.built_network import BuiltNetwork


def build_workload(workload: Workload, device: torch.device) -> BuiltNetwork:
    """Build the network and the batch of a workload.

    Raises:
        InvalidChoiceError: A name in the workload is unknown.
        InstallationError: torchvision does not import.
        ModelError: What builds the network or its batch raises, or returns none.
    """
    if workload.phase == INFERENCE:
        return Inference(workload, device=device)
    return TrainingStep(workload, device=device)

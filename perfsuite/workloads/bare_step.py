"""The training step as a user would write it, without instruments: what a reported step is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perfsuite.workloads.model_spec import run_network
from perfsuite.workloads.optimizer import make_sgd
from perfsuite.workloads.precision import autocast_dtype, cast_inputs, cast_outputs
from perfsuite.workloads.step import LEARNING_RATE, MOMENTUM

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.workloads.step import TrainingStep


def bare_step(step: TrainingStep) -> Callable[[], None]:
    """Return one iteration of a plain training loop over the network and the batch of `step`.

    It has an optimizer and a scaler of its own, so that no hook of `step` runs in it: no skipped step is counted, no
    pass either. Network, batch, precision, kinds of optimizer and scaler are the same.
    """
    network, inputs, targets, loss_of = step.network, step.inputs, step.targets, step.spec.loss
    policy, device_type, dtype = step.policy, step.device.type, autocast_dtype(step.policy)
    set_to_none = step.workload.gradients == "freed"
    optimizer = make_sgd(step.model, policy, device_type=device_type, learning_rate=LEARNING_RATE, momentum=MOMENTUM)
    scaler = torch.amp.GradScaler(device_type, enabled=policy.loss_scaling)
    scaler.load_state_dict(step.scaler.state_dict())

    def run() -> None:
        optimizer.zero_grad(set_to_none=set_to_none)
        with torch.autocast(device_type=device_type, dtype=dtype, enabled=dtype is not None):
            outputs = run_network(network, cast_inputs(policy, inputs))
            loss = loss_of(cast_outputs(policy, outputs), targets)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()

    return run

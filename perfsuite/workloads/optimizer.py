"""The optimizer of every training step here, and the count of steps that the loss scaler skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


def make_sgd(model: nn.Module, *, learning_rate: float, momentum: float, weight_decay: float = 0.0) -> torch.optim.SGD:
    """Return fused SGD with momentum that starts from zeros, of the parameters that are trained.

    Fused: one kernel for all parameters, and the only form in which the scaler never asks the device for its overflow
    flag on the host (https://github.com/pytorch/pytorch/issues/80167). On a CPU it is fused as well.

    Fused SGD leaves a fresh momentum buffer uninitialised when the loss scaler skips the very first step (seen in torch
    2.13: momentum of 7.9e+31, and weights to match one step later). From zeros, a first step is the same.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=learning_rate, momentum=momentum, weight_decay=weight_decay, fused=True)
    for parameter in trained:
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


class SkippedSteps:
    """Counts on the device the steps that the loss scaler skipped; reading it waits for the device.

    Attributes:
        count: [] float32 on the device.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        """Count the steps of an optimizer from now on."""
        self.count = torch.zeros((), device=device)
        optimizer.register_step_pre_hook(self._look)

    def _look(self, optimizer: torch.optim.Optimizer, _args: object, _kwargs: object) -> None:
        # GradScaler.step gives a fused optimizer its overflow flag, a tensor on the device: 1.0 skips the step.
        found_inf = getattr(optimizer, "found_inf", None)
        if found_inf is not None:
            self.count += found_inf

"""The optimizers of every training step here, and the count of steps that the loss scaler skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim.sgd import sgd

from perfsuite.workloads.rounding import stochastically_rounded

if TYPE_CHECKING:
    from torch import nn

    from perfsuite.precisions import PrecisionPolicy


def make_sgd(
    model: nn.Module,
    policy: PrecisionPolicy,
    *,
    device_type: str,
    learning_rate: float,
    momentum: float,
    weight_decay: float = 0.0,
    seed: int = 0,
) -> torch.optim.SGD:
    """Return SGD with momentum that starts from zeros, of the parameters that are trained.

    Fused: one kernel for all parameters, and the only form in which the scaler never asks the device for its overflow
    flag on the host (https://github.com/pytorch/pytorch/issues/80167). On a CPU it is fused as well.

    Fused SGD leaves a fresh momentum buffer uninitialised when the loss scaler skips the very first step (seen in torch
    2.13: momentum of 7.9e+31, and weights to match one step later). From zeros, a first step is the same.

    Of BF16 weights, fused SGD on a GPU computes an update in FP32 and rounds weight and momentum to nearest. On a CPU
    it skips most of them (torch 2.13, https://github.com/pytorch/pytorch/issues/191763): there it is torch's for-loop
    SGD, which rounds after each operation.

    Args:
        model: The network, its weights in the type of the policy.
        policy: How weights are rounded.
        device_type: Of the device that is trained on; of a dry run, of the device that it is about.
        learning_rate: Of every step.
        momentum: Of every step.
        weight_decay: Of every step.
        seed: Of the random bits of stochastic rounding.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    values: dict[str, Any] = {"lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay}
    optimizer: torch.optim.SGD
    if policy.stochastic_rounding:
        generator = torch.Generator(trained[0].device).manual_seed(seed)
        optimizer = StochasticallyRoundedSGD(trained, **values, generator=generator)
    elif policy.weights == "bfloat16" and device_type == "cpu":
        optimizer = torch.optim.SGD(trained, **values, foreach=False)
    else:
        optimizer = torch.optim.SGD(trained, **values, fused=True)
    for parameter in trained:
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def rounding_generator(optimizer: torch.optim.Optimizer) -> torch.Generator | None:
    """Return the generator of the random bits by which an optimizer rounds; None where it rounds to nearest."""
    return optimizer.generator if isinstance(optimizer, StochasticallyRoundedSGD) else None


class StochasticallyRoundedSGD(torch.optim.SGD):
    """SGD with momentum of BF16 weights: an update is computed in FP32, weight and momentum are rounded stochastically.

    Momentum as well: SGD is linear in both, so that the mean of the weights is, for given gradients, what FP32 gives.
    Rounded to nearest, momentum stops up to 2% away from the gradients that it averages.

    One weight after the other, for the FP32 values and the random bits of all at once would take more memory than the
    weights. Parameters that are float32, those of batch normalisations, are updated by torch's fused SGD.

    Attributes:
        generator: Of the random bits, on the device of the weights.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)
        self.generator = generator

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; nothing waits for the device.

        Raises:
            ValueError: A closure, which torch's own optimizers call.
        """
        if closure is not None:
            raise ValueError("no closure is called")
        for group in self.param_groups:
            trained = [parameter for parameter in group["params"] if parameter.grad is not None]
            self._update_fused([parameter for parameter in trained if parameter.dtype != torch.bfloat16], group)
            for parameter in trained:
                if parameter.dtype == torch.bfloat16:
                    self._update_rounded(parameter, group)

    def _update_fused(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        if not parameters:
            return
        sgd(
            list(parameters),
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [self.state[parameter]["momentum_buffer"] for parameter in parameters],
            fused=True,
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            lr=group["lr"],
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

    def _update_rounded(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        if gradient is None:
            return
        momentum = self.state[parameter]["momentum_buffer"]
        weight, average = parameter.float(), momentum.float()
        average.mul_(group["momentum"]).add_(gradient.float())
        if group["weight_decay"]:
            average.add_(weight, alpha=group["weight_decay"])
        weight.add_(average, alpha=-group["lr"])
        parameter.copy_(stochastically_rounded(weight, torch.bfloat16, generator=self.generator))
        del weight  # its memory is that of the next random bits
        momentum.copy_(stochastically_rounded(average, torch.bfloat16, generator=self.generator))


def optimizer_in_words(policy: PrecisionPolicy, device_type: str) -> str:
    """Return how `make_sgd` updates weights, for the record."""
    if policy.stochastic_rounding:
        return "FP32 updates, rounded stochastically"
    return "for-loop" if policy.weights == "bfloat16" and device_type == "cpu" else "fused"


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

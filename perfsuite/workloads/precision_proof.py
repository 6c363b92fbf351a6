"""Shows by numbers, types and updates that a precision is active: in probes, in a network, in its optimizer."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from perfsuite.errors import PrecisionNotActiveError
from perfsuite.records.proof import ProofReading
from perfsuite.workloads.model_spec import run_network, tensors_in
from perfsuite.workloads.optimizer import make_sgd, rounding_generator
from perfsuite.workloads.precision import (
    BATCH_NORMS,
    autocast,
    cast_inputs,
    cast_weights,
    compute_dtype,
    weight_dtype,
)

if TYPE_CHECKING:
    from perfsuite.precisions import PrecisionPolicy
    from perfsuite.workloads.model_spec import Tensors


def verify(policy: PrecisionPolicy, device: torch.device) -> tuple[ProofReading, ...]:
    """Show by numbers that the policy is active: a convolution and a matrix product against float64.

    To be called inside `applied(policy)`. Each is computed forward and backward on random operands, and its norm-wise
    relative error must lie in the policy's band: IEEE FP32 errs by about 1e-7, TF32 and FP16 by 4e-4, BF16 by 3e-3.
    Where weights are BF16, two updates of them are looked at as well: see `_update_readings`.

    Returns:
        Six readings: forward, input gradient and weight gradient of either operation; and two of BF16 weights.

    Raises:
        PrecisionNotActiveError: An error outside the band, or an output of another type.
    """
    generator = torch.Generator().manual_seed(0)
    conv_operands = (
        torch.randn(8, 64, 16, 16, generator=generator),  # N C H W
        torch.randn(64, 64, 3, 3, generator=generator),
        torch.randn(8, 64, 16, 16, generator=generator),
    )
    matmul_operands = (
        torch.randn(128, 512, generator=generator),
        torch.randn(256, 512, generator=generator),
        torch.randn(128, 256, generator=generator),
    )
    readings = []
    for operation, operands in (("conv2d", conv_operands), ("matmul", matmul_operands)):
        on_device = tuple(operand.to(device) for operand in operands)
        # Copies, for both ask for gradients of their operands.
        cast = tuple(operand.to(weight_dtype(policy), copy=True) for operand in on_device)
        outputs = _forward_backward(operation, cast, autocast(policy, device.type))
        references = _forward_backward(
            operation, tuple(operand.double() for operand in on_device), contextlib.nullcontext()
        )
        for index, part in enumerate(("forward", "input gradient", "weight gradient")):
            error = float((outputs[index].double() - references[index]).norm() / references[index].norm())
            readings.append(
                ProofReading(
                    probe=f"{operation} {part}",
                    relative_error=error,
                    dtype=_dtype_name(outputs[index].dtype),
                    low=policy.band.low if part == "forward" else 0.0,
                    high=policy.band.high,
                )
            )
    if weight_dtype(policy) != torch.float32:
        readings += _update_readings(policy, device)
    check_readings(policy, tuple(readings))
    return tuple(readings)


NUM_UPDATED = 2**16
"""Weights whose update is looked at. A share of a quarter of them is known to 0.7% (one standard deviation), by a
binomial distribution."""

UPDATE_ERROR = 0.05
"""Seven standard deviations of that."""

BF16_SPACING = 2.0**-7
"""Of BF16 from 1 to 2."""


def _update_readings(policy: PrecisionPolicy, device: torch.device) -> tuple[ProofReading, ProofReading]:
    """Read by how much updates of BF16 weights are off.

    One of three spacings of BF16, in two steps, is made by every weight: an error of 0. One of a quarter of a spacing
    is lost where it is rounded to nearest: an error of 1. Rounded stochastically, a quarter of the weights move by a
    spacing, and the mean of all by the update.
    """
    low, high = (0.0, UPDATE_ERROR) if policy.stochastic_rounding else (1.0, 1.0)
    return (
        _update_reading("weight update", policy, device, spacings=1.0, num_steps=2, low=0.0, high=0.0),
        _update_reading("small weight update", policy, device, spacings=0.25, num_steps=1, low=low, high=high),
    )


def _update_reading(
    probe: str,
    policy: PrecisionPolicy,
    device: torch.device,
    *,
    spacings: float,
    num_steps: int,
    low: float,
    high: float,
) -> ProofReading:
    """Read the error of an update of weights that are 1; gradients are -1, and their sum is the momentum."""
    # Not initialised: no random number of torch's own generator is drawn.
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, NUM_UPDATED, 1, bias=False, device=device)  # type: ignore[no-untyped-call]
    nn.init.ones_(layer.weight)
    cast_weights(layer, policy)
    learning_rate = spacings * BF16_SPACING
    optimizer = make_sgd(layer, policy, device_type=device.type, learning_rate=learning_rate, momentum=1.0)
    for _ in range(num_steps):
        layer.weight.grad = torch.full_like(layer.weight, -1.0)
        optimizer.step()
    expected = learning_rate * num_steps * (num_steps + 1) / 2
    moved = layer.weight.detach().double() - 1
    return ProofReading(
        probe=probe,
        relative_error=abs(float(moved.mean()) / expected - 1),
        dtype=_dtype_name(layer.weight.dtype),
        low=low,
        high=high,
    )


def _forward_backward(
    operation: str, operands: tuple[torch.Tensor, ...], region: contextlib.AbstractContextManager[Any]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x, weight = operands[0].requires_grad_(), operands[1].requires_grad_()
    with region:
        out = nn.functional.conv2d(x, weight, padding=1) if operation == "conv2d" else nn.functional.linear(x, weight)
    grad_x, grad_weight = torch.autograd.grad(out, (x, weight), operands[2].to(out.dtype))
    return out.detach(), grad_x, grad_weight


def check_readings(policy: PrecisionPolicy, readings: tuple[ProofReading, ...]) -> None:
    """Check probes against what the policy promises.

    Raises:
        PrecisionNotActiveError: An error outside its band (NaN is), or a forward output of another type.
    """
    for reading in readings:
        is_computed = reading.probe.endswith(("forward", "weight update"))
        if is_computed and reading.dtype != _dtype_name(compute_dtype(policy)):
            raise PrecisionNotActiveError(
                f"{policy.name} is not active: {reading.probe} gave {reading.dtype}, "
                f"not {_dtype_name(compute_dtype(policy))}"
            )
        reference = "what was asked for" if reading.probe.endswith("update") else "float64"
        if not reading.low <= reading.relative_error <= reading.high:
            raise PrecisionNotActiveError(
                f"{policy.name} is not active: {reading.probe} is off by {reading.relative_error:.1e} "
                f"from {reference}, {reading.low:.0e} to {reading.high:.1e} is consistent with it"
            )


def check_model(policy: PrecisionPolicy, model: nn.Module, inputs: Tensors, *, is_strict: bool = True) -> list[str]:
    """Show that the network itself computes in the policy's type: one forward pass, every convolution looked at.

    Args:
        policy: The policy that is applied.
        model: The network, not compiled, its weights in the type of the policy.
        inputs: Of the network, on its device; [N, 3, H, W] float32 for a ResNet.
        is_strict: Whether every convolution and linear layer must compute in the policy's type, or one of them.

    Returns:
        Layers that compute in another type; empty where all must compute in the policy's.

    Raises:
        PrecisionNotActiveError: Parameters of another type than the policy's (under AMP: no master weights), or
            convolutions and linear layers whose output is of another type.
    """
    check_weights(policy, model)
    seen: dict[str, torch.dtype] = {}

    def note(name: str, output: torch.Tensor) -> None:
        seen[name] = output.dtype

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    device_type = next(tensors_in(inputs)).device.type
    try:
        with autocast(policy, device_type), torch.no_grad():
            run_network(model, cast_inputs(policy, inputs))
    finally:
        for handle in handles:
            handle.remove()
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    other = {name: dtype for name, dtype in seen.items() if dtype != compute_dtype(policy)}
    if other and (is_strict or len(other) == len(seen)):
        name, dtype = next(iter(other.items()))
        raise PrecisionNotActiveError(
            f"{policy.name} is not active: layer {name} computed in {_dtype_name(dtype)}, "
            f"not {_dtype_name(compute_dtype(policy))}"
        )
    return [f"{name} in {_dtype_name(dtype)}" for name, dtype in other.items()]


def check_weights(policy: PrecisionPolicy, model: nn.Module) -> None:
    """Check the type of every parameter.

    Raises:
        PrecisionNotActiveError: One is of another type than the policy's; of a batch normalisation, than float32.
    """
    for module in model.modules():
        wanted = torch.float32 if isinstance(module, BATCH_NORMS) else weight_dtype(policy)
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.is_floating_point() and parameter.dtype != wanted:
                raise PrecisionNotActiveError(
                    f"{policy.name} is not active: parameters are {_dtype_name(parameter.dtype)} "
                    f"({type(module).__name__}.{name}), not {_dtype_name(wanted)}"
                )


def check_optimizer(policy: PrecisionPolicy, optimizer: torch.optim.Optimizer) -> None:
    """Check that momentum is of the type of its weights, and that updates are rounded as the policy says.

    Raises:
        PrecisionNotActiveError: They are not.
    """
    for parameter, state in optimizer.state.items():
        momentum = state["momentum_buffer"]
        if momentum.dtype != parameter.dtype:
            raise PrecisionNotActiveError(
                f"{policy.name} is not active: momentum is {_dtype_name(momentum.dtype)} "
                f"where weights are {_dtype_name(parameter.dtype)}"
            )
    is_stochastic = rounding_generator(optimizer) is not None
    if is_stochastic != policy.stochastic_rounding:
        found = "stochastically" if is_stochastic else "to nearest"
        raise PrecisionNotActiveError(f"{policy.name} is not active: updates are rounded {found}")


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

"""Which updates of a real step would be lost if the weights were kept in 16 bits: why AMP keeps them in FP32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from perfsuite.measure.numerics.formats import DTYPES
from perfsuite.measure.numerics.real_steps import gradients_of, training_of
from perfsuite.measure.numerics.study import StudyResult
from perfsuite.number_formats import FORMATS
from perfsuite.records.numerics import Claim, Curve
from perfsuite.workloads.precision import applied_to

if TYPE_CHECKING:
    from perfsuite.measure.numerics.study import StudyContext
    from perfsuite.workloads.training import Training

NUM_STEPS = 3
"""Before the step that is looked at: enough for momentum to be of several batches."""

NUM_HALVINGS = 4
"""Of the learning rate: the thesis halves it twice in its 50 epochs, longer trainings more often."""

SHARE_TOLERANCE = 0.005
"""Between the two ways to count: they differ where an update is just half the spacing, and at powers of two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The next update of the parameters of a layer.

    Attributes:
        layer: Name of the parameter.
        weights: [num] float32.
        velocity: [num] float32; the update is the learning rate times this, subtracted.
        is_matrix: Whether the layer multiplies by them: not the scales and shifts of a normalisation, nor biases.
    """

    layer: str
    weights: torch.Tensor
    velocity: torch.Tensor
    is_matrix: bool = True


def study_updates(context: StudyContext) -> StudyResult:
    """Count the updates of a real step that FP16 and BF16 weights would swallow, by layer and by learning rate."""
    workload, _ = context.network()
    learning_rate = context.recipe.learning_rate
    with applied_to(workload):
        training = training_of(context, workload)
        try:
            updates = next_updates(training, context)
        finally:
            training.close()
    rates = [learning_rate * 0.5**halving for halving in range(NUM_HALVINGS, -1, -1)]
    # Convolutions and linear layers have nearly all of the weights.
    matrices = [update for update in updates if update.is_matrix]
    layers = tuple(update.layer.removesuffix(".weight") for update in matrices)
    claims: list[Claim] = []
    curves: list[Curve] = []
    swallowed: dict[str, float] = {}
    for name, dtype in (*DTYPES.items(), ("fp32", torch.float32)):
        context.report_stage(f"updates in {name}")
        rates_here = rates if name in DTYPES else rates[-1:]
        shares = [share_swallowed(updates, dtype, rate) for rate in rates_here]
        swallowed[name] = shares[-1]
        claims.append(
            Claim(
                name=f"{name.upper()} weights: updates swallowed at learning rate {learning_rate:g}",
                measured=swallowed[name],
                expected=share_below_half_spacing(updates, name, learning_rate),
                tolerance=SHARE_TOLERANCE,
                unit="share",
                source="updates below half the spacing of their weight, counted in float64 by numpy",
            )
        )
        if name not in DTYPES:
            continue
        claims.append(
            Claim(
                name=f"{name.upper()} weights: the same after {NUM_HALVINGS} halvings",
                measured=shares[0],
                expected=swallowed[name],
                tolerance=0.0,
                relation="at least",
                unit="share",
                source="smaller updates of the same weights",
            )
        )
        by_layer = tuple(share_swallowed([update], dtype, learning_rate) for update in matrices)
        curves.append(Curve(name=name, labels=layers, y=by_layer))
        curves.append(Curve(name=f"{name} by learning rate", x=tuple(rates), y=tuple(shares)))
    note = (
        f"{swallowed['fp16']:.1%} of the updates of a step would not change an FP16 weight, "
        f"{swallowed['bf16']:.1%} a BF16 weight (learning rate {learning_rate:g}, {NUM_STEPS} steps after the start): "
        "this is why AMP keeps the weights in FP32."
    )
    settings: dict[str, str | int | float | bool] = {
        "learning_rate": learning_rate,
        "momentum": context.recipe.momentum,
        "weight_decay": context.recipe.weight_decay,
        "num_steps": NUM_STEPS,
    }
    return StudyResult(claims=tuple(claims), notes=(note,), curves=tuple(curves), settings=settings)


def next_updates(training: Training, context: StudyContext) -> list[Update]:
    """Train for a few steps, and return the update of the step that would come next."""
    batches = training.endless_batches()
    for number in range(NUM_STEPS):
        context.report_stage(f"step {number + 1} of {NUM_STEPS + 1}")
        training.train_batch(*next(batches))
    context.report_stage(f"step {NUM_STEPS + 1} of {NUM_STEPS + 1}")
    gradients_of(training, *next(batches))
    (group,) = training.optimizer.param_groups
    found = []
    for layer, parameter in training.model.named_parameters():
        if parameter.grad is None:
            continue
        weights = parameter.detach().flatten()
        gradient = parameter.grad.flatten() + group["weight_decay"] * weights
        momentum = training.optimizer.state[parameter]["momentum_buffer"].flatten()
        velocity = group["momentum"] * momentum + gradient
        found.append(Update(layer=layer, weights=weights.clone(), velocity=velocity, is_matrix=parameter.dim() > 1))
    return found


def rounded(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return float32 values rounded to the nearest of another format, as float32."""
    return values.to(dtype).float()


def share_swallowed(updates: list[Update], dtype: torch.dtype, learning_rate: float) -> float:
    """Return how many updates other than 0 leave a weight that is kept in a format as it is, as a ratio."""
    num_swallowed = num_updates = 0
    for update in updates:
        weights = rounded(update.weights, dtype)
        step = learning_rate * update.velocity
        is_update = step != 0
        after = rounded((weights.double() - step.double()).float(), dtype)
        num_swallowed += int(((after == weights) & is_update).sum())
        num_updates += int(is_update.sum())
    return num_swallowed / max(num_updates, 1)


def share_below_half_spacing(updates: list[Update], name: str, learning_rate: float) -> float:
    """Return the same by another way: how many updates are below half the spacing of numbers at their weight."""
    number_format = FORMATS[name]
    num_swallowed = num_updates = 0
    for update in updates:
        weights = update.weights.cpu().numpy().astype(np.float64)
        steps = learning_rate * update.velocity.cpu().numpy().astype(np.float64)
        is_update = steps != 0
        half = spacing(weights, number_format.num_fraction_bits, number_format.smallest_normal) / 2
        num_swallowed += int((np.abs(steps) < half)[is_update].sum())
        num_updates += int(is_update.sum())
    return num_swallowed / max(num_updates, 1)


def spacing(
    values: np.ndarray[Any, np.dtype[np.float64]], num_fraction_bits: int, smallest_normal: float
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the spacing of a format's numbers at each value [...]."""
    _, exponents = np.frexp(np.maximum(np.abs(values), smallest_normal))
    found: np.ndarray[Any, np.dtype[np.float64]] = np.ldexp(1.0, exponents - 1 - num_fraction_bits)
    return found

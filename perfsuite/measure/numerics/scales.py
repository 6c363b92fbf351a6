"""Training with gradients stored in FP16: without loss scaling, with a static scale too low, right, too high, dynamic.

What is stored between layers, activations and gradients of both kinds, is rounded to FP16; each layer computes in FP32,
as tensor cores accumulate. This is the same on every device, whatever FP16 kernels it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from perfsuite.formatting import counted
from perfsuite.measure.numerics.ablation import (
    Arm,
    curves_of,
    differences,
    in_words,
    mean_of,
    run_arms,
    seeds_in_words,
)
from perfsuite.measure.numerics.gradients import to_fp16
from perfsuite.measure.numerics.study import StudyResult
from perfsuite.measure.numerics.weights import MIN_HIGHER
from perfsuite.records.numerics import BASELINE_SETTING, Claim
from perfsuite.workloads.model_spec import classification_loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.numerics.ablation import AblationRun, Step
    from perfsuite.measure.numerics.study import StudyContext
    from perfsuite.workloads.training import Training

LEARNING_RATE = 1e-3
"""Small, so that the same training is much the same again: at the rates of the recipes single roundings grow."""

NUM_STEPS = 64

TOO_LOW, RIGHT, TOO_HIGH = -20, 10, 24
"""Exponents of the static scales: the first makes zeros of most gradients, the last overflows at once."""

DYNAMIC_START = 18
"""Exponent of the scale that a dynamic one begins with: a few halvings too high, each of which costs a step."""

MAX_DIFFERENCE = 0.06
"""Of the final loss from that of FP32 storage, for an arm that is as good: four times the scatter of a seed here."""

SOURCE = "same seeds, same images; Micikevicius et al., Mixed Precision Training, 2018, section 3.2"


class StoredInFp16(torch.autograd.Function):
    """Rounds what passes to FP16, forward and backward; a value stays float32."""

    @staticmethod
    def forward(_ctx: Any, values: torch.Tensor) -> torch.Tensor:
        """Round activations [...] float32."""
        return to_fp16(values)

    @staticmethod
    def backward(_ctx: Any, gradients: torch.Tensor) -> torch.Tensor:
        """Round gradients [...] float32."""
        return to_fp16(gradients)


def store_in_fp16(training: Training) -> None:
    """Have every layer of a network store its outputs and all gradients in FP16 from now on."""

    def store(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        stored: torch.Tensor = StoredInFp16.apply(output)  # type: ignore[no-untyped-call]
        return stored

    for module in training.model.modules():
        if not any(module.children()):
            module.register_forward_hook(store)
    for parameter in training.model.parameters():
        parameter.register_hook(to_fp16)  # type: ignore[no-untyped-call]


def scaled_by(exponent: int) -> Callable[[Training], Step]:
    """Return what makes a training step with FP16 storage and a static loss scale 2**exponent."""
    scale = 2.0**exponent

    def make(training: Training) -> Step:
        store_in_fp16(training)

        def step(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            training.optimizer.zero_grad(set_to_none=True)
            loss = classification_loss(training.model(images), labels)
            (scale * loss).backward()  # type: ignore[no-untyped-call]
            for parameter in training.model.parameters():
                if parameter.grad is not None:
                    parameter.grad /= scale
            training.optimizer.step()
            return loss.detach()

        return step

    return make


def scaled_dynamically(training: Training) -> Step:
    """Return a training step with FP16 storage and torch's own dynamic scale, which begins a little too high."""
    store_in_fp16(training)
    device_type = next(training.model.parameters()).device.type
    scaler = torch.amp.GradScaler(device_type, init_scale=2.0**DYNAMIC_START)

    def step(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        training.optimizer.zero_grad(set_to_none=True)
        loss = classification_loss(training.model(images), labels)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(training.optimizer)
        scaler.update()
        return loss.detach()

    return step


FP32, NONE, DYNAMIC = "fp32 storage", "no scaling", "dynamic"
ARMS = (
    Arm(name=FP32, make_step=lambda training: training.train_batch),
    Arm(name=NONE, make_step=scaled_by(0)),
    *(Arm(name=f"2^{exponent}", make_step=scaled_by(exponent)) for exponent in (TOO_LOW, RIGHT, TOO_HIGH)),
    Arm(name=DYNAMIC, make_step=scaled_dynamically),
)


def study_scales(context: StudyContext) -> StudyResult:
    """Train with each loss scale, and compare the losses with those of FP32 storage."""
    workload, _ = context.network()
    runs = run_arms(context, workload, ARMS, num_steps=NUM_STEPS, learning_rate=LEARNING_RATE)
    low, right, high = (f"2^{exponent}" for exponent in (TOO_LOW, RIGHT, TOO_HIGH))
    by_seed = {name: differences(runs[name], runs[FP32]) for name in (NONE, low, right, DYNAMIC)}
    more = {name: mean_of(values) for name, values in by_seed.items()}
    claims = [
        _same_claim(f"static scale {right}", more[right].value),
        _same_claim("dynamic scale", more[DYNAMIC].value),
        Claim(
            name=f"scale {low} is too low: loss above that of FP32 storage (least of all seeds)",
            measured=min(by_seed[low]),
            expected=MIN_HIGHER,
            tolerance=0.0,
            relation="at least",
            source=SOURCE,
        ),
        Claim(
            name=f"scale {high} is too high: steps until the loss is not finite",
            measured=float(max(len(run.losses) for run in runs[high])),
            expected=_MAX_STEPS_TOO_HIGH,
            tolerance=0.0,
            relation="at most",
            source="gradients overflow, and without a skipped step the weights with them",
        ),
    ]
    none = more[NONE]
    shown = "shows" if none.low > 0 else "does not show"
    note = (
        f"Without loss scaling the loss after {NUM_STEPS} steps differs from that of FP32 storage by {in_words(none)}: "
        f"at this network and batch size FP16's underflow {shown}. A scale of {low} makes {in_words(more[low])}, "
        f"{right} {in_words(more[right])}, a dynamic scale that begins at 2^{DYNAMIC_START} {in_words(more[DYNAMIC])}; "
        f"a static {high} ends in NaN after {_steps(runs[high])}; {seeds_in_words(context.seeds)}."
    )
    settings: dict[str, str | int | float | bool] = {
        "learning_rate": LEARNING_RATE,
        "num_steps": NUM_STEPS,
        "num_seeds": len(context.seeds),
        BASELINE_SETTING: FP32,
    }
    return StudyResult(
        claims=tuple(claims),
        notes=(note,),
        curves=tuple(curves_of(runs, FP32, NUM_STEPS)),
        settings=settings,
    )


_MAX_STEPS_TOO_HIGH = 4.0


def _steps(runs: list[AblationRun]) -> str:
    counts = sorted({len(run.losses) for run in runs})
    return counted(" to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1]))), "step")


def _same_claim(name: str, measured: float) -> Claim:
    return Claim(
        name=f"{name}: loss above that of FP32 storage (mean)",
        measured=measured,
        expected=0.0,
        tolerance=MAX_DIFFERENCE,
        relation="at most",
        source=SOURCE,
    )

"""Dynamic loss scaling traced: how torch's GradScaler finds its scale, and what a skipped step does and takes."""

from __future__ import annotations

import dataclasses
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from perfsuite.measure.clock import DeviceClock, device_synchronizer
from perfsuite.measure.numerics.gradients import FP16
from perfsuite.measure.numerics.real_steps import gradients_of, training_of
from perfsuite.measure.numerics.study import StudyResult
from perfsuite.records.numerics import Claim, Curve
from perfsuite.workloads.precision import applied_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.measure.numerics.study import StudyContext
    from perfsuite.records.workload import Workload
    from perfsuite.workloads.training import Training

START_EXPONENT = 26
"""Of the scale: 2**10 above torch's default, so that it has to be found."""

STEPS_AFTER = 4
"""That are traced once no step is skipped any more."""

MAX_STEPS = 40

BACKOFF = 0.5
"""What the scale is multiplied by at a skipped step. Source: PyTorch, `torch.amp.GradScaler`, `backoff_factor`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedStep:
    """One step.

    Attributes:
        scale: Before it.
        scale_after: After it.
        is_skipped: Whether the scaler skipped it.
        moved: Largest absolute change of a weight.
        seconds: It took.
    """

    scale: float
    scale_after: float
    is_skipped: bool
    moved: float
    seconds: float


def study_scaling(context: StudyContext) -> StudyResult:
    """Train with AMP-FP16 and a scale that begins much too high, step by step."""
    given, _ = context.network()
    workload = dataclasses.replace(given, precision="amp-fp16")
    context.report_stage("gradients in fp32")
    with applied_to(given):
        reference = training_of(context, given)
        try:
            gradients_of(reference, *next(reference.endless_batches()))
            largest = max(
                float(parameter.grad.abs().max())
                for parameter in reference.model.parameters()
                if parameter.grad is not None
            )
        finally:
            reference.close()
    with applied_to(workload):
        training = training_of(context, workload)
        try:
            traced = trace(training, context)
        finally:
            training.close()
    return _result(traced, largest, workload=workload)


def trace(training: Training, context: StudyContext) -> list[TracedStep]:
    """Return the steps from a scale that overflows to the first few that do not."""
    training.scaler = torch.amp.GradScaler(context.device.type, init_scale=2.0**START_EXPONENT)
    clock = DeviceClock(device_synchronizer(context.device))
    batches = training.endless_batches()
    parameters = list(training.model.parameters())
    training.model.train()
    traced: list[TracedStep] = []
    while len(traced) < MAX_STEPS and sum(not step.is_skipped for step in traced) < STEPS_AFTER:
        context.report_stage(f"step {len(traced) + 1} with dynamic loss scaling")
        images, labels = next(batches)
        before = [parameter.detach().clone() for parameter in parameters]
        scale = float(training.scaler.get_scale())
        num_skipped = training.num_skipped_steps
        began = clock()
        training.train_batch(images, labels)
        seconds = clock() - began
        with torch.no_grad():
            moved = max(float((now - then).abs().max()) for now, then in zip(parameters, before, strict=True))
        traced.append(
            TracedStep(
                scale=scale,
                scale_after=float(training.scaler.get_scale()),
                is_skipped=training.num_skipped_steps > num_skipped,
                moved=moved,
                seconds=seconds,
            )
        )
    return traced


def _result(traced: list[TracedStep], largest: float, *, workload: Workload) -> StudyResult:
    """Put together what a trace shows.

    Args:
        traced: All steps.
        largest: The largest weight gradient in FP32.
        workload: What was trained.
    """
    skipped = [step for step in traced if step.is_skipped]
    taken = [step for step in traced if not step.is_skipped]
    settings: dict[str, str | int | float | bool] = {
        "start_scale": 2.0**START_EXPONENT,
        "num_skipped": len(skipped),
        "num_taken": len(taken),
    }
    if taken:
        note = (
            f"From 2^{START_EXPONENT} the scale was halved at each of {len(skipped)} skipped steps, to "
            f"2^{math.log2(taken[0].scale):.0f}, and the weights did not move in them."
        )
    else:
        note = f"No step of {len(traced)} was taken: every scale overflowed."
    # Without the first, which loads and plans kernels.
    skipped_s, taken_s = [step.seconds for step in skipped[1:]], [step.seconds for step in taken]
    if skipped_s and taken_s:
        ratio = statistics.median(skipped_s) / statistics.median(taken_s)
        settings["skipped_step_ratio"] = ratio
        note += (
            f" A skipped step took {ratio:.2f} of the time of one that was not (medians of {len(skipped_s)} and "
            f"{len(taken_s)})."
        )
    numbers = tuple(float(number) for number in range(1, len(traced) + 1))
    curves = (
        Curve(name="loss scale", x=numbers, y=tuple(math.log2(step.scale) for step in traced)),
        Curve(name="skipped", x=numbers, y=tuple(float(step.is_skipped) for step in traced)),
    )
    return StudyResult(
        claims=_claims(skipped, taken, largest), notes=(note,), curves=curves, settings=settings, workload=workload
    )


def _claims(skipped: Sequence[TracedStep], taken: Sequence[TracedStep], largest: float) -> tuple[Claim, ...]:
    """Return what is checked; see `_result`."""
    num_halved = sum(step.scale_after == BACKOFF * step.scale for step in skipped)
    num_moved = sum(step.moved > 0 for step in taken)
    first_scale = taken[0].scale if taken else 0.0
    return (
        Claim(
            name="a skipped step leaves the weights as they are: largest change",
            measured=max((step.moved for step in skipped), default=0.0),
            expected=0.0,
            tolerance=0.0,
            source="PyTorch, torch.amp.GradScaler.step",
        ),
        Claim(
            name="skipped steps at which the scale was halved",
            measured=num_halved / max(len(skipped), 1),
            expected=1.0,
            tolerance=0.0,
            unit="share",
            source="PyTorch, torch.amp.GradScaler, backoff_factor",
        ),
        Claim(
            name="steps that were not skipped and moved the weights",
            measured=num_moved / max(len(taken), 1),
            expected=1.0,
            tolerance=0.0,
            unit="share",
            source="PyTorch, torch.amp.GradScaler.step",
        ),
        Claim(
            name="first scale without overflow",
            measured=math.log2(first_scale) if first_scale > 0 else 0.0,
            expected=math.floor(math.log2(FP16.largest / largest)),
            tolerance=MAX_HALVINGS_APART,
            unit="exponent",
            source="65504 / the largest weight gradient of this batch in FP32; activations may overflow first",
        ),
    )


MAX_HALVINGS_APART = 2.0
"""Between the scale that is found and the one that the weight gradients of one batch allow."""

"""How large gradients are, layer by layer, and what FP16 makes of them at each loss scale: why the loss is scaled."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch

from perfsuite.measure.numerics.real_steps import gradients_of, training_of
from perfsuite.measure.numerics.study import StudyResult
from perfsuite.number_formats import FORMATS
from perfsuite.records.numerics import Claim, Curve, ExponentHistogram
from perfsuite.workloads.precision import applied_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from perfsuite.measure.numerics.study import StudyContext
    from perfsuite.records.numerics import Tensors
    from perfsuite.workloads.training import Training

    Stage = Literal["early", "late"]

SCALE_EXPONENTS = tuple(range(25))
"""Loss scales 2**0 to 2**24. Source: PyTorch, `torch.amp.GradScaler` starts at 2**16."""

MIN_EXPONENT, MAX_EXPONENT = -64, 24
"""Of the histograms: FP16 at the largest of these scales reaches down to 2**-48."""

MAX_SAMPLES = 2**18
"""Values of a tensor that are counted: every k-th of a larger one."""

EARLY_STEPS = 1
LATE_STEPS, LATE_STEPS_CPU = 2000, 30
"""Training steps before the gradients are looked at late in training."""

CPU_BATCH = 32
"""Of these steps on a CPU, which would take minutes with the batch of the workload."""

MAX_LOST = 1e-3
"""Share of the gradients that may be lost to zero for a scale to count as safe."""

SHOWN_SCALES = (0, 8, 16)
"""For claims: none, and where a static scale and a dynamic one usually lie."""

SHARE_TOLERANCE = 2e-3
"""Between casting to FP16 and counting exponents: values at the very edge."""

FP16 = FORMATS["fp16"]
MIN_KEPT_EXPONENT = round(-FP16.bias + 1 - FP16.num_fraction_bits) - 1
"""Half the smallest subnormal number: what is not above it is rounded to 0."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Gradients:
    """What was seen of the gradients of a kind of tensor of a layer.

    Attributes:
        counts: By exponent [MAX_EXPONENT - MIN_EXPONENT + 1].
        num_zeros: Exact zeros; ReLU makes many.
        lost: At each of `SCALE_EXPONENTS`: zeros, subnormal numbers and overflows that FP16 makes [scales, 3].
        largest: Largest absolute value of all.
    """

    counts: torch.Tensor
    num_zeros: int = 0
    lost: torch.Tensor
    largest: float = 0.0


def study_gradients(context: StudyContext) -> StudyResult:
    """Count the exponents of gradients early and late in training, and what FP16 keeps of them at each loss scale."""
    workload, _ = context.network()
    is_cpu = context.device.type == "cpu"
    late_steps = LATE_STEPS_CPU if is_cpu else LATE_STEPS
    batch_size = min(CPU_BATCH, workload.batch_size) if is_cpu else workload.batch_size
    seen: dict[Stage, dict[tuple[str, Tensors], Gradients]] = {}
    with applied_to(workload):
        training = training_of(context, dataclasses.replace(workload, batch_size=batch_size))
        try:
            batches = training.endless_batches()
            stages: tuple[tuple[Stage, int], ...] = (("early", EARLY_STEPS), ("late", late_steps))
            done = 0
            for stage, num_steps in stages:
                for done in range(done + 1, num_steps + 1):  # noqa: B020 - after the steps of the stage before
                    context.report_stage(f"step {done} of {late_steps}")
                    training.train_batch(*next(batches))
                context.report_stage(f"gradients after {num_steps} steps")
                seen[stage] = look(training, *_joined(batches, workload.batch_size))
        finally:
            training.close()
    return _result(seen, late_steps)


def _joined(batches: Iterator[tuple[torch.Tensor, torch.Tensor]], size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return so many images and labels, of as many batches as that takes."""
    images, labels = next(batches)
    while len(labels) < size:
        more_images, more_labels = next(batches)
        images, labels = torch.cat([images, more_images]), torch.cat([labels, more_labels])
    return images[:size], labels[:size]


def look(training: Training, images: torch.Tensor, labels: torch.Tensor) -> dict[tuple[str, Tensors], Gradients]:
    """Return the gradients of one batch by layer and kind of tensor; in FP32, without a step.

    Args:
        training: In FP32.
        images: [n, 3, H, W] float32.
        labels: [n] int64.
    """
    seen: dict[tuple[str, Tensors], Gradients] = defaultdict(_nothing)

    def watch(layer: str) -> Callable[..., None]:
        def seen_forward(_module: Any, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.requires_grad:
                output.register_hook(lambda gradient: count(seen[layer, "activation gradients"], gradient))  # type: ignore[no-untyped-call]

        return seen_forward

    hooks = [
        module.register_forward_hook(watch(name))
        for name, module in training.model.named_modules()
        if not any(module.children())
    ]
    try:
        gradients_of(training, images, labels)
    finally:
        for hook in hooks:
            hook.remove()
    for name, parameter in training.model.named_parameters():
        if parameter.grad is not None:
            count(seen[name, "weight gradients"], parameter.grad)
    training.optimizer.zero_grad(set_to_none=True)
    return dict(seen)


def _nothing() -> Gradients:
    counts = torch.zeros(MAX_EXPONENT - MIN_EXPONENT + 1, dtype=torch.int64)
    return Gradients(counts=counts, lost=torch.zeros(len(SCALE_EXPONENTS), 3, dtype=torch.int64))


def to_fp16(values: torch.Tensor) -> torch.Tensor:
    """Return float32 values as FP16 stores them, in float32."""
    return values.half().float()


def count(gradients: Gradients, tensor: torch.Tensor) -> None:
    """Add the values of a float32 tensor [...], or every k-th of them, each as k."""
    values = tensor.detach().flatten()
    # Odd, so that it does not meet the same column of every row.
    every = -(-values.numel() // MAX_SAMPLES) | 1 if values.numel() > MAX_SAMPLES else 1
    gradients.largest = max(gradients.largest, float(values.abs().max()))
    values = values[::every]
    nonzero = values[values != 0]
    gradients.num_zeros += every * (len(values) - len(nonzero))
    _, exponents = torch.frexp(nonzero)  # of a fraction in [0.5, 1)
    bins = (exponents.long() - 1).clamp(MIN_EXPONENT, MAX_EXPONENT) - MIN_EXPONENT
    gradients.counts += every * torch.bincount(bins, minlength=len(gradients.counts)).cpu()
    for index, exponent in enumerate(SCALE_EXPONENTS):
        scaled = to_fp16(nonzero * 2.0**exponent)
        is_zero = scaled == 0
        is_subnormal = (scaled.abs() < FP16.smallest_normal) & ~is_zero
        found = torch.stack([is_zero.sum(), is_subnormal.sum(), (~scaled.isfinite()).sum()])
        gradients.lost[index] += every * found.cpu()


def _result(seen: dict[Stage, dict[tuple[str, Tensors], Gradients]], late_steps: int) -> StudyResult:
    claims: list[Claim] = []
    curves: list[Curve] = []
    histograms: list[ExponentHistogram] = []
    kinds: tuple[Tensors, ...] = ("activation gradients", "weight gradients")
    notes: list[str] = []
    settings: dict[str, str | int | float | bool] = {"num_early_steps": EARLY_STEPS, "num_late_steps": late_steps}
    for stage, layers in seen.items():
        for tensors in kinds:
            own = {layer: gradients for (layer, kind), gradients in layers.items() if kind == tensors}
            total = _total(own)
            shares = total.lost.double() / int(total.counts.sum())
            name = f"{tensors}, {stage}"
            for column, what in enumerate(("zero", "subnormal", "overflow")):
                curves.append(
                    Curve(
                        name=f"{name}, {what}",
                        x=tuple(map(float, SCALE_EXPONENTS)),
                        y=tuple(shares[:, column].tolist()),
                    )
                )
            histograms += [_histogram(layer, tensors, stage, gradients) for layer, gradients in own.items()]
            claims += _zero_claims(name, total, shares)
            claims += _window_claims(name, total, shares)
            low, high = safe_scales(total, shares)
            settings |= {f"{name}, safe from 2**": low, f"{name}, safe to 2**": high}
            worst = max(own, key=lambda layer: lost_share(own[layer]))
            notes.append(
                f"{name}: FP16 makes {float(shares[0, 0]):.2%} of them 0 without a scale, {float(shares[8, 0]):.2%} at "
                f"2^8 and {float(shares[16, 0]):.2%} at 2^16; most in {worst}, {lost_share(own[worst]):.0%} without a "
                f"scale. A static scale is safe from {_power(low)} to {_power(high)}."
            )
    return StudyResult(
        claims=tuple(claims),
        notes=tuple(notes),
        curves=tuple(curves),
        histograms=tuple(histograms),
        settings=settings,
    )


def _power(exponent: int) -> str:
    return f"2^{exponent}"


def _total(layers: dict[str, Gradients]) -> Gradients:
    total = _nothing()
    for gradients in layers.values():
        total.counts += gradients.counts
        total.lost += gradients.lost
        total.num_zeros += gradients.num_zeros
        total.largest = max(total.largest, gradients.largest)
    return total


def lost_share(gradients: Gradients) -> float:
    """Return the share of the values other than 0 that FP16 makes 0 without a scale."""
    return float(gradients.lost[0, 0]) / max(int(gradients.counts.sum()), 1)


def _histogram(layer: str, tensors: Tensors, stage: Stage, gradients: Gradients) -> ExponentHistogram:
    return ExponentHistogram(
        layer=layer,
        tensors=tensors,
        stage=stage,
        num_zeros=gradients.num_zeros,
        min_exponent=MIN_EXPONENT,
        counts=tuple(gradients.counts.tolist()),
    )


def below(gradients: Gradients, exponent: int) -> float:
    """Return the share of the values other than 0 that are below 2**exponent, by their exponents."""
    return float(gradients.counts[: max(exponent - MIN_EXPONENT, 0)].sum()) / max(int(gradients.counts.sum()), 1)


def _zero_claims(name: str, total: Gradients, shares: torch.Tensor) -> list[Claim]:
    return [
        Claim(
            name=f"{name}: lost to 0 at scale {_power(exponent)}",
            measured=float(shares[exponent, 0]),
            expected=below(total, MIN_KEPT_EXPONENT - exponent),
            tolerance=SHARE_TOLERANCE,
            unit="share",
            source=f"values below 2**({MIN_KEPT_EXPONENT} - scale's exponent), by their exponents",
        )
        for exponent in SHOWN_SCALES
    ]


def safe_scales(total: Gradients, shares: torch.Tensor) -> tuple[int, int]:
    """Return the exponents of the smallest and the largest scale that are safe.

    From where at most `MAX_LOST` of the gradients become 0, to where the largest is still below FP16's largest number;
    the first is above the second where none is safe.
    """
    is_kept = (shares[:, 0] <= MAX_LOST).tolist()
    low = is_kept.index(True) if True in is_kept else len(SCALE_EXPONENTS)
    high = -1
    while high + 1 < len(SCALE_EXPONENTS) and total.largest * 2.0 ** (high + 1) <= FP16.largest:
        high += 1
    return low, high


def _window_claims(name: str, total: Gradients, shares: torch.Tensor) -> list[Claim]:
    """Return a claim on the largest scale without overflow, found from the largest gradient and by casting."""
    _, high = safe_scales(total, shares)
    largest = torch.tensor(total.largest, dtype=torch.float32)
    overflows = [not bool(to_fp16(largest * 2.0**exponent).isfinite()) for exponent in SCALE_EXPONENTS]
    first_overflow = overflows.index(True) if True in overflows else len(SCALE_EXPONENTS)
    return [
        Claim(
            name=f"{name}: largest scale without overflow",
            measured=float(first_overflow - 1),
            expected=float(high),
            tolerance=0.0,
            unit="exponent",
            source="largest absolute gradient x scale at most 65504",
        )
    ]

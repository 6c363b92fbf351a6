"""Studies of mixed precision as they might come out: formats, gradients around 2**-18, losses of several seeds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from builders import ENVIRONMENT, make_claim, make_content, make_numerics, make_numerics_entry, make_workload

from perfsuite.number_formats import FORMATS
from perfsuite.records.numerics import STUDIES, Curve, ExponentHistogram
from perfsuite.records.operators import Operator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from perfsuite.records.environment import Environment
    from perfsuite.records.numerics import NumericsRecord
    from perfsuite.records.workload import Workload

NUM_STEPS = 200
ARMS = ("fp32", "fp16", "bf16", "fp16 stochastic", "bf16 stochastic")
SCALE_ARMS = ("no scaling", "2^3", "2^12", "2^24", "dynamic")


def layer_names(num: int = 21) -> tuple[str, ...]:
    """Name layers as torchvision's ResNets do."""
    blocks = [f"layer{1 + index // 5}.{index % 5 // 2}.conv{1 + index % 2}" for index in range(num - 2)]
    return ("conv1", *blocks, "fc")


def study(
    kind: str, *, model: str = "resnet18", seed: int = 0, run_id: str = "run-1", **changes: Any
) -> NumericsRecord:
    """Build one of the studies."""
    random = np.random.default_rng([seed, STUDIES.index(kind)])
    workload = None if kind in {"formats", "accumulation"} else make_workload(model=model, precision="amp-fp16")
    made = BUILDERS[kind](random, workload)
    values = {"study": kind, "workload": workload, "run_id": run_id, "images": "CIFAR-10" if workload else ""}
    return make_numerics(**{**values, **made, **changes})


def studies_file(
    path: Path,
    kinds: Iterable[str] = STUDIES,
    *,
    models: Sequence[str] = ("resnet18",),
    environment: Environment = ENVIRONMENT,
    run_id: str = "run-1",
    **changes: Any,
) -> Path:
    """Write a file of studies, those of a network for each of the networks."""
    records = [study(kind, model=model, run_id=run_id, **changes) for model in models for kind in kinds]
    alike = {(one.study, one.subject): one for one in records}
    content = make_content([make_numerics_entry(one) for one in alike.values()], environment=environment)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _formats(_: Any, __: Workload | None) -> dict[str, Any]:
    claims = [
        make_claim(name="largest FP32 number", measured=127.99999991, expected=127.99999991, unit="log2"),
        make_claim(),
        make_claim(name="smallest FP16 number, subnormal", measured=-24.0, expected=-24.0, unit="log2"),
        make_claim(name="largest BF16 number", measured=127.994353, expected=127.994353, unit="log2"),
        make_claim(name="relative rounding error of FP16", measured=-11.0, expected=-11.0, unit="exponent"),
        make_claim(
            name="weight / smallest update that changes an FP16 weight, at most",
            measured=4096.0,
            expected=4096.0,
            unit="ratio",
            relation="at most",
            source="Micikevicius et al. 2018, section 3.1",
        ),
    ]
    weights = np.linspace(1, 4, 97)[:-1]
    curves = []
    for name in ("fp16", "bf16"):
        spacing = FORMATS[name].spacing_at_one * 2.0 ** np.floor(np.log2(weights))
        curves.append(Curve(name=name, x=tuple(weights), y=tuple(weights / (spacing / 2))))
    return {
        "claims": tuple(claims),
        "curves": tuple(curves),
        "notes": ("an update below 1/4096 of an FP16 weight is always lost, one above 1/2048 never",),
    }


def _updates(random: Any, _: Workload | None) -> dict[str, Any]:
    layers = layer_names()
    depth = np.linspace(0, 1, len(layers))
    fp16 = np.clip(0.05 + 0.5 * depth + random.normal(0, 0.06, len(layers)), 0, 1)
    bf16 = np.clip(fp16 + 0.38 + random.normal(0, 0.03, len(layers)), 0, 1)
    rates = tuple(0.1 / 2.0**halving for halving in range(9, -1, -1))
    lost = [1 / (1 + (rate / middle) ** 0.9) for middle in (0.02, 0.3) for rate in rates]
    return {
        "claims": (
            make_claim(
                name="weight updates that FP16 swallows",
                measured=float(fp16.mean()),
                expected=0.05,
                tolerance=0.0,
                relation="at least",
                unit="share",
                source="Micikevicius et al. 2018, section 3.1",
            ),
        ),
        "curves": (
            Curve(name="fp16", labels=layers, y=tuple(fp16)),
            Curve(name="bf16", labels=layers, y=tuple(bf16)),
            Curve(name="fp16 by learning rate", x=rates, y=tuple(lost[:10])),
            Curve(name="bf16 by learning rate", x=rates, y=tuple(lost[10:])),
        ),
        "notes": (f"FP16 swallows {fp16.mean():.0%} of the updates, BF16 {bf16.mean():.0%}",),
    }


def _ablation(random: Any, arms: dict[str, tuple[float, float]], diverged: str = "") -> tuple[Curve, ...]:
    """Return losses that fall towards the level of each arm, its final losses and accuracies."""
    curves, finals, accuracies = [], [], []
    for name, (level, accuracy) in arms.items():
        num = 60 if name == diverged else NUM_STEPS
        steps = np.arange(1, num + 1)
        loss = level + (2.3 - level) * np.exp(-steps / 45) + random.normal(0, 0.03, num)
        if name == diverged:
            loss = 2.3 * np.exp(steps / 14)
        width = 0.05 + 0.05 * np.exp(-steps / 80)
        ends = {"low": tuple(loss - width), "high": tuple(loss + width)}
        curves.append(Curve(name=name, x=tuple(map(float, steps)), y=tuple(loss), **ends))
        finals.append(float(loss[-1]))
        accuracies.append(accuracy + float(random.normal(0, 0.003)))
    spread = {"low": -0.05, "high": 0.05}
    final = {end: tuple(value + by for value in finals) for end, by in spread.items()}
    accurate = {end: tuple(value + by / 4 for value in accuracies) for end, by in spread.items()}
    return (
        *curves,
        Curve(name="final loss", labels=tuple(arms), y=tuple(finals), **final),
        Curve(name="accuracy", labels=tuple(arms), y=tuple(accuracies), **accurate),
    )


def _weights(random: Any, _: Workload | None) -> dict[str, Any]:
    levels = dict(zip(ARMS, ((0.55, 0.71), (0.85, 0.62), (1.35, 0.45), (0.57, 0.70), (0.66, 0.68)), strict=True))
    return {
        "claims": (
            make_claim(name="loss: BF16 weights minus FP32 weights", measured=0.8, expected=0.1, relation="at least"),
            make_claim(name="loss: FP16 stochastic minus FP32", measured=0.02, expected=0.0, tolerance=0.05),
        ),
        "curves": _ablation(random, levels),
        "notes": ("weights in BF16 stop learning; stochastic rounding recovers most of it",),
        "settings": {"seeds": 5},
    }


def _scales(random: Any, _: Workload | None) -> dict[str, Any]:
    levels = dict(zip(SCALE_ARMS, ((0.95, 0.58), (0.7, 0.66), (0.55, 0.71), (0.0, 0.1), (0.55, 0.71)), strict=True))
    return {
        "claims": (make_claim(name="loss: no scaling minus dynamic", measured=0.4, expected=0.1, relation="at least"),),
        "curves": _ablation(random, levels, diverged="2^24"),
        "notes": ("without loss scaling, FP16 learns less",),
    }


def _gradients(random: Any, _: Workload | None) -> dict[str, Any]:
    histograms, totals = [], {}
    for tensors, middle in (("activation gradients", -21.0), ("weight gradients", -13.0)):
        for stage, shift in (("early", 0.0), ("late", -4.0)):
            together = np.zeros(60)
            zeros = 0
            for index, layer in enumerate(layer_names()):
                num = 20_000
                values = random.normal(middle + shift + 0.25 * index, 3.4, num)
                counts, _edges = np.histogram(np.clip(values, -50, 9.99), bins=60, range=(-50, 10))
                num_zeros = int(num * 0.03 * (index % 4))
                own: dict[str, Any] = {"tensors": tensors, "stage": stage, "num_zeros": num_zeros, "min_exponent": -50}
                histograms.append(ExponentHistogram(layer=layer, counts=tuple(map(int, counts)), **own))
                together += counts
                zeros += num_zeros
            totals[f"{tensors}, {stage}"] = together / together.sum()
    exponents = np.arange(-50, 10)
    curves = []
    for name, shares in totals.items():
        for what, low, high in (("zero", -99, -26), ("subnormal", -25, -15), ("overflow", 16, 99)):
            lost = [
                float(shares[(exponents + scale >= low) & (exponents + scale <= high)].sum()) for scale in range(25)
            ]
            curves.append(Curve(name=f"{name}, {what}", x=tuple(map(float, range(25))), y=tuple(lost)))
    return {
        "claims": (
            make_claim(
                name="activation gradients that FP16 makes 0 without loss scaling",
                measured=curves[0].y[0],
                expected=0.01,
                relation="at least",
                unit="share",
                source="Micikevicius et al. 2018, figure 3",
            ),
        ),
        "histograms": tuple(histograms),
        "curves": tuple(curves),
        "notes": ("a scale of 2^8 to 2^14 moves nearly all gradients into the range of FP16",),
    }


def _scaling(_: Any, __: Workload | None) -> dict[str, Any]:
    scale, scales, skipped = 24.0, [], []
    for step in range(NUM_STEPS):
        overflows = scale > 17.5 or step in {90, 91}
        scales.append(scale)
        skipped.append(float(overflows))
        scale += -1 if overflows else float(step % 40 == 39)
    steps = tuple(map(float, range(1, NUM_STEPS + 1)))
    return {
        "claims": (make_claim(name="skipped steps leave the weights as they were", measured=0.0, expected=0.0),),
        "curves": (
            Curve(name="loss scale", x=steps, y=tuple(scales)),
            Curve(name="skipped", x=steps, y=tuple(skipped)),
        ),
        "notes": (f"{sum(skipped):.0f} of {NUM_STEPS} steps were skipped",),
    }


def _accumulation(random: Any, _: Workload | None) -> dict[str, Any]:
    lengths = 2.0 ** np.arange(4, 17)
    curves = []
    for name, error in (("fp16", 2.0**-11), ("bf16", 2.0**-8)):
        noise = random.normal(1, 0.05, len(lengths))
        curves.append(
            Curve(name=f"{name} added one by one", x=tuple(lengths), y=tuple(error * lengths**0.5 / 3 * noise))
        )
        for what, factor in (("matrix product", 0.3), ("convolution", 0.4)):
            curves.append(Curve(name=f"{name} {what}", x=tuple(lengths), y=tuple(error * factor * noise)))
    return {
        "claims": (make_claim(name="error of a product of 4096", measured=1.4e-4, expected=5e-4, relation="at most"),),
        "curves": tuple(curves),
        "notes": ("products are accumulated in FP32: their error does not grow with the length",),
    }


def _types(_: Any, __: Workload | None) -> dict[str, Any]:
    def operator(name: str, kind: str, dtype: str, num_calls: int, flops: int, num_bytes: int) -> Operator:
        return Operator(name=name, kind=kind, dtype=dtype, num_calls=num_calls, flops=flops, num_bytes=num_bytes)

    return {
        "claims": (
            make_claim(
                name="operations in FP16",
                measured=0.999,
                expected=0.99,
                relation="at least",
                unit="share",
                source="PyTorch documentation, automatic mixed precision: ops that can autocast to float16",
            ),
        ),
        "curves": (),
        "operators": (
            operator("aten.convolution", "convolution", "float16", 20, 4_832_000_000, 33_000_000),
            operator("aten.convolution_backward", "convolution", "float16", 20, 9_664_000_000, 71_000_000),
            operator("aten.addmm", "matrix product", "float16", 1, 1_310_720, 146_000),
            operator("aten.cudnn_batch_norm", "normalisation", "float16", 20, 0, 33_500_000),
            operator("aten.cudnn_batch_norm_backward", "normalisation", "float16", 20, 0, 50_300_000),
            operator("aten.relu_", "activation", "float16", 17, 0, 33_500_000),
            operator("aten.threshold_backward", "activation", "float16", 17, 0, 50_000_000),
            operator("aten.add_", "elementwise", "float16", 8, 0, 50_000_000),
            operator("aten._to_copy", "cast", "float32", 62, 0, 1_080_000),
            operator("aten._to_copy", "cast", "float16", 62, 0, 1_080_000),
            operator("aten._log_softmax", "loss", "float32", 1, 0, 10_240),
            operator("aten.nll_loss_forward", "loss", "float32", 1, 0, 6_144),
            operator("aten._fused_sgd_", "optimizer", "float32", 1, 0, 223_000_000),
        ),
    }


BUILDERS = {
    "formats": _formats,
    "updates": _updates,
    "weights": _weights,
    "gradients": _gradients,
    "scaling": _scaling,
    "scales": _scales,
    "accumulation": _accumulation,
    "types": _types,
}


def claims_of(num: int, *, num_failed: int) -> tuple[Any, ...]:
    """Build claims, of which the first do not hold."""
    return tuple(
        make_claim(name=f"claim {number}", measured=1.0 + (number < num_failed), expected=1.0) for number in range(num)
    )

"""Training with weights kept in FP32, FP16 and BF16, rounded to the nearest and at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perfsuite.measure.numerics.ablation import (
    Arm,
    curves_of,
    differences,
    in_words,
    mean_of,
    run_arms,
    seeds_in_words,
)
from perfsuite.measure.numerics.study import StudyResult
from perfsuite.measure.numerics.updates import rounded
from perfsuite.records.numerics import BASELINE_SETTING, Claim
from perfsuite.workloads.rounding import stochastically_rounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.numerics.ablation import Step
    from perfsuite.measure.numerics.study import StudyContext
    from perfsuite.workloads.training import Training

LEARNING_RATE = 1e-4
"""Small, as late in a training: at the recipe's own rate most updates are large enough, and nothing shows."""

NUM_STEPS = 128

SOURCE = "same seeds, same images; Gupta et al., Deep Learning with Limited Numerical Precision, 2015"

MIN_HIGHER = 1e-3
"""Of a loss, to be higher at all: that of other arms is the same in all digits where nothing is rounded."""

MIN_WON_BACK = 0.5
"""Share of what rounding to the nearest loses that rounding at random gives back at least."""


def kept_in(dtype: torch.dtype, *, stochastic: bool) -> Callable[[Training], Step]:
    """Return what makes a training step after which the weights are rounded to a format.

    Args:
        dtype: float16 or bfloat16.
        stochastic: Whether they are rounded at random instead of to the nearest.
    """

    def make(training: Training) -> Step:
        parameters = list(training.model.parameters())
        generator = torch.Generator(device=parameters[0].device).manual_seed(0)

        def round_weights() -> None:
            with torch.no_grad():
                for parameter in parameters:
                    if stochastic:
                        parameter.copy_(stochastically_rounded(parameter, dtype, generator=generator))
                    else:
                        parameter.copy_(rounded(parameter, dtype))

        def step(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            loss = training.train_batch(images, labels)
            round_weights()
            return loss

        round_weights()
        return step

    return make


ARMS = (
    Arm(name="fp32", make_step=lambda training: training.train_batch),
    Arm(name="fp16", make_step=kept_in(torch.float16, stochastic=False)),
    Arm(name="bf16", make_step=kept_in(torch.bfloat16, stochastic=False)),
    Arm(name="fp16 stochastic", make_step=kept_in(torch.float16, stochastic=True)),
    Arm(name="bf16 stochastic", make_step=kept_in(torch.bfloat16, stochastic=True)),
)


def study_weights(context: StudyContext) -> StudyResult:
    """Train with weights in each format, and compare the losses with those of FP32 weights."""
    workload, _ = context.network()
    runs = run_arms(context, workload, ARMS, num_steps=NUM_STEPS, learning_rate=LEARNING_RATE)
    by_seed = {name: differences(of_arm, runs["fp32"]) for name, of_arm in runs.items() if name != "fp32"}
    more = {name: mean_of(values) for name, values in by_seed.items()}
    claims = [
        Claim(
            name=f"{name.upper()} weights: loss above that of FP32 weights (least of all seeds)",
            measured=min(by_seed[name]),
            expected=MIN_HIGHER,
            tolerance=0.0,
            relation="at least",
            source=SOURCE,
        )
        for name in ("fp16", "bf16")
    ]
    claims.append(
        Claim(
            name="BF16 weights lose more than FP16 weights (mean)",
            measured=more["bf16"].value - more["fp16"].value,
            expected=MIN_HIGHER,
            tolerance=0.0,
            relation="at least",
            source="three bits less of the fraction",
        )
    )
    claims += [
        Claim(
            name=f"{name.upper()} weights: share of that loss won back by stochastic rounding",
            measured=1 - more[f"{name} stochastic"].value / more[name].value if more[name].value else 0.0,
            expected=MIN_WON_BACK,
            tolerance=0.0,
            relation="at least",
            unit="share",
            source=SOURCE,
        )
        for name in ("fp16", "bf16")
    ]
    note = (
        f"After {NUM_STEPS} steps at learning rate {LEARNING_RATE:g} the loss is higher than with FP32 weights by "
        f"{', '.join(f'{in_words(mean)} ({name})' for name, mean in more.items())}; {seeds_in_words(context.seeds)}. "
        "At larger learning rates fewer updates are swallowed, and less of this shows."
    )
    settings: dict[str, str | int | float | bool] = {
        "learning_rate": LEARNING_RATE,
        "num_steps": NUM_STEPS,
        "num_seeds": len(context.seeds),
        BASELINE_SETTING: "fp32",
    }
    return StudyResult(
        claims=tuple(claims),
        notes=(note,),
        curves=tuple(curves_of(runs, "fp32", NUM_STEPS)),
        settings=settings,
    )

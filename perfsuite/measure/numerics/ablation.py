"""The same training several times, one thing changed: losses and accuracies side by side, over the same seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.mean_margin import student_quantile
from perfsuite.measure.numerics.real_steps import training_of
from perfsuite.records.numerics import Curve
from perfsuite.workloads.precision import applied_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import torch

    from perfsuite.measure.numerics.study import StudyContext
    from perfsuite.records.workload import Workload
    from perfsuite.workloads.training import Training

    Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """One training step on images [n, 3, H, W] and labels [n]; its loss [] float32."""

CONFIDENCE = 0.95

FINAL_STEPS = 32
"""Whose mean loss is the final one."""

WINDOW = 8
"""Steps that are averaged for a curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to train.

    Attributes:
        name: Its name.
        make_step: Makes a training step of a training that has just begun.
    """

    name: str
    make_step: Callable[[Training], Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationRun:
    """One training of an arm.

    Attributes:
        losses: Of its steps; shorter than asked for where one was not finite, which is left out.
        held_out_loss: On images that it was not trained on.
        accuracy: On the same, as a ratio.
    """

    losses: tuple[float, ...]
    held_out_loss: float
    accuracy: float

    @property
    def final_loss(self) -> float:
        """Mean training loss of the last steps; NaN where it diverged."""
        return float(np.mean(self.losses[-FINAL_STEPS:])) if self.losses else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean over seeds.

    Attributes:
        value: The mean.
        margin: Half the width of its 95% interval; 0 where there is one seed only, which has none.
    """

    value: float
    margin: float

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.value - self.margin

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.value + self.margin


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean of values of several seeds, with Student's interval."""
    num = len(values)
    if num < 2:  # noqa: PLR2004 - a variance needs two
        return Mean(value=float(values[0]), margin=0.0)
    error = float(np.std(values, ddof=1)) / math.sqrt(num)
    return Mean(value=float(np.mean(values)), margin=student_quantile(0.5 + CONFIDENCE / 2, num - 1) * error)


def run_arms(
    context: StudyContext, workload: Workload, arms: Sequence[Arm], *, num_steps: int, learning_rate: float
) -> dict[str, list[AblationRun]]:
    """Train every arm with every seed: the same initial weights, images and order for all arms of a seed."""
    found: dict[str, list[AblationRun]] = {arm.name: [] for arm in arms}
    total = len(context.seeds) * len(arms)
    with applied_to(workload):
        for seed in context.seeds:
            for arm in arms:
                number = 1 + sum(map(len, found.values()))
                context.report_stage(f"training {number} of {total}: {arm.name}, seed {seed}")
                training = training_of(context, workload, seed=seed, learning_rate=learning_rate)
                try:
                    found[arm.name].append(_run(training, arm, num_steps))
                finally:
                    training.close()
    return found


def _run(training: Training, arm: Arm, num_steps: int) -> AblationRun:
    batches = training.endless_batches()
    training.model.train()
    step = arm.make_step(training)
    losses: list[float] = []
    for _ in range(num_steps):
        loss = float(step(*next(batches)))
        if not math.isfinite(loss):
            break
        losses.append(loss)
    evaluation = training.evaluate("validation")
    return AblationRun(losses=tuple(losses), held_out_loss=evaluation.loss, accuracy=evaluation.accuracy)


def differences(arm: Sequence[AblationRun], baseline: Sequence[AblationRun]) -> list[float]:
    """Return how much higher the final loss of an arm is, seed by seed."""
    return [one.final_loss - other.final_loss for one, other in zip(arm, baseline, strict=True)]


def curves_of(runs: dict[str, list[AblationRun]], baseline: str, num_steps: int) -> list[Curve]:
    """Return what is drawn of an ablation, each with its interval over seeds.

    The loss of every arm but the baseline, step by step and above that of the baseline, paired by seed: seeds differ by
    more than arms do. Then final losses and accuracies of all arms.
    """
    curves = []
    final_losses: dict[str, Mean] = {}
    accuracies: dict[str, Mean] = {}
    for name, of_arm in runs.items():
        if name != baseline:
            above = _above(name, of_arm, runs[baseline])
            if above is not None:
                curves.append(above)
        if all(len(run.losses) == num_steps for run in of_arm):  # else one diverged, and has no final loss
            final_losses[name] = mean_of([run.final_loss for run in of_arm])
        accuracies[name] = mean_of([run.accuracy for run in of_arm])
    if final_losses:
        curves.append(_curve("final loss", final_losses.values(), labels=tuple(final_losses)))
    curves.append(_curve("accuracy", accuracies.values(), labels=tuple(accuracies)))
    return curves


def _above(name: str, runs: Sequence[AblationRun], baseline: Sequence[AblationRun]) -> Curve | None:
    """Return how much higher the losses of an arm are, in windows of steps."""
    num_windows = min(len(run.losses) for run in (*runs, *baseline)) // WINDOW
    if not num_windows:
        return None
    num_steps = num_windows * WINDOW
    differences = [
        np.subtract(run.losses[:num_steps], other.losses[:num_steps]).reshape(num_windows, WINDOW).mean(1)
        for run, other in zip(runs, baseline, strict=True)
    ]
    means = [mean_of(of_seeds) for of_seeds in zip(*differences, strict=True)]
    last_steps = tuple(float(WINDOW * (index + 1)) for index in range(num_windows))
    return _curve(name, means, x=last_steps)


def _curve(name: str, means: Iterable[Mean], *, x: tuple[float, ...] = (), labels: tuple[str, ...] = ()) -> Curve:
    """Return means with their intervals as a curve, over numbers or over labels."""
    values = tuple(means)
    return Curve(
        name=name,
        x=x,
        labels=labels,
        y=tuple(mean.value for mean in values),
        low=tuple(mean.low for mean in values),
        high=tuple(mean.high for mean in values),
    )


def in_words(mean: Mean) -> str:
    """Return a difference of losses with its interval: `+0.115 ± 0.160`."""
    return f"{mean.value:+.3f} ± {mean.margin:.3f}" if mean.margin else f"{mean.value:+.3f}"


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Return how many seeds there are, and what one alone lacks."""
    return f"n = {len(seeds)} seeds" if len(seeds) > 1 else "n = 1 seed, without an interval"

"""What a search for hyperparameters found: every trial and its epochs, and no times; to and from strict JSON."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from perfsuite.errors import RecordError
from perfsuite.records.strict_json import kind_of, read_dataclass, to_strict_json
from perfsuite.records.workload import Recipe  # noqa: TC001 - strict_json reads the types of fields at run time

SCHEMA = "perfsuite-study-1"

NAMES = ("learning_rate", "momentum", "weight_decay", "batch_size")
"""Hyperparameters that are searched, as `Recipe` names them."""

MAX_TRIALS = 10_000
"""Of a study; beyond it lies a typing error."""

Score = Literal["loss", "accuracy"]
State = Literal["complete", "pruned", "diverged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The hyperparameters of one trial.

    Attributes:
        learning_rate: Of the first epochs after the warm-up.
        momentum: Of SGD.
        weight_decay: Of SGD.
        batch_size: N, images in a batch.
    """

    learning_rate: float
    momentum: float
    weight_decay: float
    batch_size: int

    def applied_to(self, recipe: Recipe) -> Recipe:
        """Return a recipe with these values."""
        return dataclasses.replace(recipe, **dataclasses.asdict(self))

    @property
    def label(self) -> str:
        """The values in words, `learning rate 0.0015, momentum 0.9, weight decay 1e-05, batch 8`."""
        return (
            f"learning rate {self.learning_rate:g}, momentum {self.momentum:g}, weight decay {self.weight_decay:g}, "
            f"batch {self.batch_size}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A trial under one precision, epoch by epoch.

    Attributes:
        precision: Its name.
        loss: Validation loss after each epoch that was trained; None where it was not finite.
        accuracy: Validation accuracy after each, as a ratio.
        is_diverged: Whether the training loss of the next epoch was not finite, which ended it.
    """

    precision: str
    loss: tuple[float | None, ...]
    accuracy: tuple[float, ...]
    is_diverged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTrial:
    """One setting, trained under every precision of the search with the same seed.

    Attributes:
        number: From 0.
        setting: Its hyperparameters.
        state: `complete`; `pruned`: ended early under all precisions; `diverged`: under all of them.
        curves: One per precision, in their order.
    """

    number: int
    setting: Setting
    state: State
    curves: tuple[Curve, ...]

    def curve(self, precision: str) -> Curve:
        """Return the curve of a precision."""
        return next(curve for curve in self.curves if curve.precision == precision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A search: what was searched, and its trials so far.

    Nothing in it depends on test images, or on how long anything took.

    Attributes:
        model: Name of the network.
        model_digest: What distinguishes it from others of its name.
        precisions: Names of precisions, the same settings are tried under each.
        recipe: What the trials have in common; their settings replace its values.
        ranges: Of each hyperparameter the lowest and highest value, or all its values where `is_range` is false.
        is_range: Whether a hyperparameter is taken from anywhere between two values.
        sampler: Name of the sampler.
        pruner: Name of the pruner.
        seed: Of the proposals, and of split, weights and order in every trial.
        score: What a trial is scored by, on the validation images after its last epoch.
        num_workers: How many trials run at once, where proposals or pruning depend on it; else None.
        num_threads: Threads of the CPU in a training.
        memory_format: Of the network.
        image_size: H and W in pixels.
        num_classes: K.
        num_train: Images that are trained on.
        num_validation: Images that are validated on.
        data_sha256: Of the training images with their labels, which contain those to validate on.
        environment: What changes a training's last digits: versions and device.
        trials: Those that are finished, by number.
    """

    model: str
    model_digest: str
    precisions: tuple[str, ...]
    recipe: Recipe
    ranges: dict[str, tuple[float, ...]]
    is_range: dict[str, bool]
    sampler: str
    pruner: str
    seed: int
    score: Score
    num_workers: int | None
    num_threads: int
    memory_format: str
    image_size: int
    num_classes: int
    num_train: int
    num_validation: int
    data_sha256: str
    environment: dict[str, str | int | None]
    trials: tuple[StudyTrial, ...] = ()

    def __post_init__(self) -> None:
        if not self.precisions or set(self.ranges) != set(NAMES) or set(self.is_range) != set(NAMES):
            raise RecordError("a study names its precisions, and the range of each hyperparameter")
        if len(self.trials) > MAX_TRIALS or not all(self.ranges.values()):
            raise RecordError("a study has no empty range, and not that many trials")
        numbers = [trial.number for trial in self.trials]
        if numbers != sorted(set(numbers)) or any(number < 0 for number in numbers):
            raise RecordError("the trials of a study are in the order of their numbers")
        for trial in self.trials:
            check_trial(trial, self)

    def to_json(self) -> dict[str, Any]:
        """Return it as strict JSON."""
        return to_strict_json({"schema": SCHEMA, **dataclasses.asdict(self)})


def read_study(value: object) -> Study:
    """Read a study.

    Raises:
        RecordError: Another schema, a field missing or of the wrong type, or trials that do not fit it.
    """
    if not isinstance(value, dict):
        raise RecordError(f"study is {kind_of(value)}, an object is needed")
    if value.get("schema") != SCHEMA:
        raise RecordError(f"study.schema is {value.get('schema')!r:.40}, {SCHEMA} is needed")
    return read_dataclass(Study, value, "study")


def check_trial(trial: StudyTrial, study: Study) -> None:
    """Check that a trial is one of a study.

    Raises:
        RecordError: It has other precisions, a number of epochs that it cannot have, or a value out of range.
    """
    where = f"trial {trial.number}"
    if tuple(curve.precision for curve in trial.curves) != study.precisions:
        raise RecordError(f"{where} has other precisions than its study")
    for name in NAMES:
        value, allowed = getattr(trial.setting, name), study.ranges[name]
        is_inside = min(allowed) <= value <= max(allowed) if study.is_range[name] else value in allowed
        if not is_inside:
            raise RecordError(f"{where}: {name} is {value}, which is not in the range of its study")
    for curve in trial.curves:
        _check_curve(curve, where, num_epochs=study.recipe.epochs, may_be_short=trial.state == "pruned")
    if (trial.state == "diverged") != all(curve.is_diverged for curve in trial.curves):
        raise RecordError(f"{where} is {trial.state}, its curves are not")


def _check_curve(curve: Curve, where: str, *, num_epochs: int, may_be_short: bool) -> None:
    num = len(curve.loss)
    is_whole = num == num_epochs or curve.is_diverged or may_be_short
    if num != len(curve.accuracy) or num > num_epochs or not is_whole:
        raise RecordError(f"{where} has {num} epochs in {curve.precision}, its recipe {num_epochs}")
    if not all(0 <= accuracy <= 1 for accuracy in curve.accuracy):
        raise RecordError(f"{where}: an accuracy is no ratio from 0 to 1")


def errors_by_epoch(study: Study, curve: Curve) -> list[float | None]:
    """Return what is to be small after each epoch: validation loss, or 1 - validation accuracy."""
    if study.score == "loss":
        return list(curve.loss)
    return [None if loss is None else 1 - accuracy for loss, accuracy in zip(curve.loss, curve.accuracy, strict=True)]


def guessing_error(study: Study) -> float:
    """Return the error of a network that knows nothing: ln K, or 1 - 1 / K."""
    return math.log(study.num_classes) if study.score == "loss" else 1 - 1 / study.num_classes


def mean_errors(study: Study, curves: tuple[Curve, ...]) -> list[float]:
    """Return the mean error over all precisions after each epoch: what the sampler and the pruner see.

    Worse than guessing counts as guessing, and so does a training that diverged: how bad a bad setting is teaches
    nothing about good ones.
    """
    worst = guessing_error(study)
    num_epochs = max(len(curve.loss) for curve in curves)
    means = []
    for epoch in range(num_epochs):
        total = 0.0
        for curve in curves:
            errors = errors_by_epoch(study, curve)
            error = errors[epoch] if epoch < len(errors) else None
            total += worst if error is None else min(error, worst)
        means.append(total / len(curves))
    return means


def final_error(study: Study, trial: StudyTrial, precision: str) -> float | None:
    """Return the error of a trial after its last epoch; None where it was pruned or diverged."""
    curve = trial.curve(precision)
    if trial.state != "complete" or curve.is_diverged:
        return None
    return errors_by_epoch(study, curve)[-1]


def chosen_trial(study: Study, precision: str) -> StudyTrial | None:
    """Return the trial with the smallest error under a precision; of equal ones that of the smaller loss, or the first.

    None where none finished.
    """

    def rank(trial: StudyTrial) -> tuple[float, float, int]:
        error, loss = final_error(study, trial, precision), trial.curve(precision).loss[-1]
        return error or 0.0, loss or 0.0, trial.number

    ended = [trial for trial in study.trials if final_error(study, trial, precision) is not None]
    return min(ended, key=rank, default=None)


TUNED = "tuned"


def chosen_recipe(study: Study, precision: str) -> Recipe | None:
    """Return the recipe with the chosen setting of a precision, or None."""
    trial = chosen_trial(study, precision)
    if trial is None:
        return None
    recipe = dataclasses.replace(study.recipe, name=TUNED, source=f"perfsuite tune, chosen for {precision}")
    return trial.setting.applied_to(recipe)

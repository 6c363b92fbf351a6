"""Recipes of full trainings, by name and from files."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from perfsuite.errors import InvalidChoiceError, RecordError, ResultFileError
from perfsuite.precisions import POLICIES
from perfsuite.records.strict_json import read_dataclass
from perfsuite.records.workload import Recipe
from perfsuite.small_files import read_toml
from perfsuite.thesis import BATCH_SIZE, EPOCHS, thesis_result

if TYPE_CHECKING:
    from pathlib import Path

THESIS = Recipe(
    name="thesis",
    epochs=50,
    batch_size=BATCH_SIZE,
    learning_rate=0.1,
    decay_factor=0.5,
    decay_every_epochs=20,
    momentum=0.9,
    weight_decay=0.0,
    num_train=None,
    num_validation=None,
    num_test=None,
    target_accuracy=None,
    source="the thesis of 2021: SGD 0.1 with momentum 0.9, halved every 20 epochs, no augmentation, no weight decay",
)
"""50 epochs, 60 for ResNet-50; see `recipe_for`."""

SMOKE = Recipe(
    name="smoke",
    epochs=5,
    batch_size=8,
    learning_rate=0.0015,
    decay_factor=0.5,
    decay_every_epochs=1,
    warmup_epochs=1,
    warmup_factor=0.2,
    momentum=0.9,
    weight_decay=0.0,
    num_train=1024,
    num_validation=256,
    num_test=512,
    target_accuracy=0.19,
    source="the same code on a small part of the images, in minutes on a CPU; all that its accuracy shows is learning",
)
"""Set so that ResNet-50 learns as well: at batch 16 without a warm-up it ended at 20%, with one at 20 to 26%, and at
batch 32 at 20%; with a learning rate of 0.01 its first epoch had a loss of 6.1, and with 0.0005 throughout it learned
nothing in three epochs (seed 0, amp-bf16, channels_last).

The target minus the tolerance is 5 binomial standard deviations of 512 images above chance, a ratio of 0.1, and as far
below what ResNet-50 reaches; tests/measure/test_smoke_recipe.py trains all three."""

RECIPES = {recipe.name: recipe for recipe in (THESIS, SMOKE)}

TARGET_TOLERANCE = 0.02
"""How far below the thesis's accuracy a training may end. Both accuracies are counts of 10,000 images, with a binomial
deviation of sqrt(0.83 * 0.17 / 10000) = 0.0038 each, and of one seed each, with about as much between seeds: 2.6
standard deviations of the difference, sqrt(4) * 0.0038, are 0.02."""


def recipe_for(recipe: Recipe, model: str, precision: str, *, is_of_cifar10: bool = True) -> Recipe:
    """Return the recipe as it is for a network and its images.

    Args:
        recipe: By name, or a user's own, which is returned as it is.
        model: Name of the network: the thesis's recipe has the thesis's epochs and target for it.
        precision: Name of the precision, likewise; one without a counterpart in the thesis has no target.
        is_of_cifar10: Whether images and classes are as those of CIFAR-10, which the targets of recipes by name are of.
    """
    if recipe.name not in RECIPES:
        return recipe
    if not is_of_cifar10:
        recipe = dataclasses.replace(recipe, target_accuracy=None)
    if recipe.name != THESIS.name:
        return recipe
    counterpart = POLICIES[precision].thesis
    theirs = thesis_result(model, counterpart) if is_of_cifar10 and counterpart is not None else None
    return dataclasses.replace(
        recipe,
        epochs=EPOCHS.get(model, recipe.epochs),
        target_accuracy=None if theirs is None else theirs.test_accuracy,
    )


def is_target_checked(recipe: Recipe, *, is_of_data: bool) -> bool:
    """Whether a training is checked for the target of its recipe.

    Args:
        recipe: Its recipe. That `smoke` learns at all is checked on any images of CIFAR-10's form.
        is_of_data: Whether the target is one for its images; see `TrainingRecord.is_target_of_its_data`.
    """
    return recipe.target_accuracy is not None and (is_of_data or recipe == SMOKE)


def missed_target(recipe: Recipe, *, test_accuracy: float, is_of_data: bool) -> str | None:
    """Return in words that a training missed the target of its recipe, or None; see `is_target_checked`."""
    target = recipe.target_accuracy
    is_checked = is_target_checked(recipe, is_of_data=is_of_data)
    if target is None or not is_checked or test_accuracy >= target - TARGET_TOLERANCE:
        return None
    tolerance = f"{100 * TARGET_TOLERANCE:.0f} points of tolerance"
    return f"test accuracy {test_accuracy:.2%}; the target is {target:.2%} minus {tolerance}"


def read_recipe(text: str, folder: Path, *, option: str = "--perf-recipe") -> Recipe:
    """Return a recipe by name, or from a TOML file that says what differs from the thesis's.

    Args:
        text: `thesis`, `smoke` or the path of a file.
        folder: Where a relative path begins.
        option: What it was given by.

    Raises:
        InvalidChoiceError: No such name, and no such file.
        ResultFileError: The file is not TOML, or a field is unknown or of the wrong type.
    """
    if text in RECIPES:
        return RECIPES[text]
    path = folder / text
    if not text.endswith(".toml"):
        raise InvalidChoiceError(
            f"{option}: unknown recipe {text[:100]!r}; choose from {', '.join(RECIPES)}, or name a .toml file"
        )
    try:
        content = read_toml(path)
    except ResultFileError as error:
        raise ResultFileError(f"{option} {error}") from None
    fields = {field.name for field in dataclasses.fields(Recipe)}
    unknown = sorted(set(content) - fields)
    if unknown:
        raise ResultFileError(f"{option} {text}: unknown field {unknown[0]!r}; choose from {', '.join(sorted(fields))}")
    base = {**dataclasses.asdict(THESIS), "name": path.stem, "source": path.name}
    try:
        recipe = read_dataclass(Recipe, {**base, **content}, "recipe")
    except RecordError as error:
        raise ResultFileError(f"{option} {text}: {error}") from None
    _check(recipe, f"{option} {text}")
    return recipe


def _check(recipe: Recipe, where: str) -> None:
    limits: dict[str, tuple[float, float]] = {
        "epochs": (1, 100_000),
        "batch_size": (1, 65_536),
        "learning_rate": (1e-12, 1e3),
        "decay_factor": (1e-6, 1.0),
        "decay_every_epochs": (1, 100_000),
        "warmup_epochs": (0, 100_000),
        "warmup_factor": (1e-6, 1.0),
        "momentum": (0.0, 0.9999),
        "weight_decay": (0.0, 10.0),
        "num_train": (1, 10_000_000),
        "num_validation": (1, 10_000_000),
        "num_test": (1, 10_000_000),
        "target_accuracy": (0.0, 1.0),
    }
    for name, (least, most) in limits.items():
        value = getattr(recipe, name)
        if value is not None and not least <= value <= most:
            raise ResultFileError(f"{where}: {name} is {value}; from {least:g} to {most:g} is allowed")
    if recipe.name in RECIPES:
        raise ResultFileError(f"{where}: the name {recipe.name!r} is taken; call the file otherwise")

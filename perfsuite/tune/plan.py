"""What the user asked for, read once and checked before anything is trained."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import torch

from perfsuite.errors import InvalidChoiceError, ModelError, PerfsuiteError
from perfsuite.measure.device import choose_device, use_device
from perfsuite.measure.environment import read_environment
from perfsuite.measure.training_job import ENVIRONMENT_FIELDS
from perfsuite.parsing import parse_whole_number, require_device_name, split_names
from perfsuite.recipes import read_recipe, recipe_for
from perfsuite.records.study import MAX_TRIALS, Study
from perfsuite.tune.proposals import PRUNERS, SAMPLERS, depends_on_history, num_grid_points
from perfsuite.tune.space import make_space
from perfsuite.workloads import image_store
from perfsuite.workloads.images import split_training_images
from perfsuite.workloads.model_sources import load_model
from perfsuite.workloads.models import MEMORY_FORMATS, model_digest
from perfsuite.workloads.precision import policy_named, require_support, resolve_precision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfsuite.records.environment import Environment
    from perfsuite.records.study import Score
    from perfsuite.records.workload import Recipe
    from perfsuite.tune.space import Space
    from perfsuite.workloads.images import ImageSet, Split

MAX_WORKERS = 64
MAX_SEEDS = 100
MAX_SEED = 2**31 - 1 - MAX_SEEDS

MIN_IMAGES_FOR_ACCURACY = 2000
"""Validation images from which on trials are scored by accuracy.

Accuracy is what is asked for, and the loss of a long training without augmentation rises while its accuracy stays: it
would choose what trains too little. But 256 images know an accuracy of 30% to 2.9 points (binomial standard deviation),
more than settings differ by, and give many trials the same one; their loss is finer. 2,000 know 80% to 0.9 points."""

SCORES = ("auto", "loss", "accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user wrote; None is an option not given.

    Attributes:
        model: Of `--model`.
        precisions: Of `--precisions`.
        recipe: Of `--recipe`.
        trials: Of `--trials`.
        sampler: Of `--sampler`.
        pruner: Of `--pruner`.
        score: Of `--score`.
        seed: Of `--seed`.
        seeds: Of `--seeds`.
        workers: Of `--workers`.
        data: Of `--data`.
        device: Of `--device`.
        memory_format: Of `--memory-format`.
        ranges: Of each hyperparameter, by its name in a recipe.
    """

    model: str
    precisions: str
    recipe: str
    trials: str
    sampler: str
    pruner: str
    score: str
    seed: str
    seeds: str
    workers: str
    data: Path | None
    device: str
    memory_format: str
    ranges: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """A whole search.

    Attributes:
        study: What is searched, without trials.
        space: Its hyperparameters.
        num_trials: How many are wanted.
        num_workers: How many trainings run at once.
        seeds: Of the retraining; the search has used none of them.
        model: The network as the user wrote it.
        data: The file of the images.
        device: Where.
        environment: In which it is trained.
    """

    study: Study
    space: Space
    num_trials: int
    num_workers: int
    seeds: tuple[int, ...]
    model: str
    data: Path
    device: str
    environment: Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """The whole numbers that the user wrote."""

    seed: int
    num_seeds: int
    num_trials: int
    num_workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    """What is trained, and on what."""

    model: str
    precisions: tuple[str, ...]
    images: ImageSet
    split: Split
    environment: Environment


def make_plan(request: Request) -> StudyPlan:
    """Return the plan of what the user wrote.

    Raises:
        PerfsuiteError: A value that is not allowed, or images that cannot be read; the message names the option.
    """
    _check_names(request)
    counts = _counts(request)
    recipe = read_recipe(request.recipe, Path.cwd(), option="--recipe")
    space = make_space(request.ranges, recipe)
    device = _device(request.device)
    model = _model(request.model)
    precisions = _precisions(request.precisions, device)
    data = _data(request.data)
    images = image_store.load_training_images(data)
    recipe = recipe_for(recipe, model, precisions[0], is_of_cifar10=images.is_of_cifar10)
    split = split_training_images(
        images, seed=counts.seed, num_train=recipe.num_train, num_validation=recipe.num_validation
    )
    environment = read_environment(device, folder=Path.cwd())
    trained = _Trained(model=model, precisions=precisions, images=images, split=split, environment=environment)
    num_trials = counts.num_trials
    return StudyPlan(
        study=_study(request, counts, recipe, space, trained),
        space=space,
        num_trials=min(num_trials, num_grid_points(space)) if request.sampler == "grid" else num_trials,
        num_workers=counts.num_workers,
        seeds=tuple(range(counts.seed + 1, counts.seed + 1 + counts.num_seeds)),
        model=request.model,
        data=data,
        device=str(device),
        environment=environment,
    )


def _check_names(request: Request) -> None:
    for option, table, name in (
        ("--sampler", SAMPLERS, request.sampler),
        ("--pruner", PRUNERS, request.pruner),
        ("--score", dict.fromkeys(SCORES), request.score),
        ("--memory-format", MEMORY_FORMATS, request.memory_format),
    ):
        if name not in table:
            raise InvalidChoiceError(f"{option}: unknown name {name[:20]!r}; choose from {', '.join(table)}")


def _counts(request: Request) -> _Counts:
    return _Counts(
        seed=parse_whole_number("--seed", request.seed, "a seed", least=0, most=MAX_SEED),
        num_seeds=parse_whole_number("--seeds", request.seeds, "a number of seeds", least=0, most=MAX_SEEDS),
        num_trials=parse_whole_number("--trials", request.trials, "a number of trials", least=1, most=MAX_TRIALS),
        num_workers=parse_whole_number("--workers", request.workers, "a number of workers", least=1, most=MAX_WORKERS),
    )


def _model(text: str) -> str:
    try:
        spec = load_model(text)
    except PerfsuiteError as error:
        raise InvalidChoiceError(f"--model: {error}") from None
    if not spec.classifies_images:
        raise ModelError(f"--model {text}: full trainings are of networks that classify images")
    return spec.name


def _precisions(text: str, device: torch.device) -> tuple[str, ...]:
    try:
        names = [resolve_precision(name, device.type) for name in split_names("--precisions", text)]
    except InvalidChoiceError as error:
        raise InvalidChoiceError(f"--precisions: {str(error).removeprefix('--precisions: ')}") from None
    for name in names:
        require_support(policy_named(name), device)
    return tuple(dict.fromkeys(names))


def _data(given: Path | None) -> Path:
    path = (image_store.default_path() if given is None else given).absolute()
    if path.suffix != ".npz":
        raise InvalidChoiceError(
            f"--data {path}: the file is named .npz; `perfsuite data import PATH` reads folders and archives"
        )
    return path


def _device(name: str) -> torch.device:
    require_device_name("--device", name)
    # Read by cuBLAS when it starts. Source: PyTorch, Reproducibility.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    device = choose_device(name)
    use_device(device)
    return device


def _study(request: Request, counts: _Counts, recipe: Recipe, space: Space, trained: _Trained) -> Study:
    images, split = trained.images, trained.split
    versions = {name: getattr(trained.environment, name, None) for name in ENVIRONMENT_FIELDS}
    is_dependent = depends_on_history(request.sampler, request.pruner)
    return Study(
        model=trained.model,
        model_digest=model_digest(trained.model, image_size=images.image_size, num_classes=images.num_classes),
        precisions=trained.precisions,
        recipe=recipe,
        ranges={dimension.name: dimension.values for dimension in space},
        is_range={dimension.name: dimension.is_range for dimension in space},
        sampler=request.sampler,
        pruner=request.pruner,
        seed=counts.seed,
        score=_score(request.score, len(split.validation)),
        num_workers=counts.num_workers if is_dependent else None,
        num_threads=max(1, torch.get_num_threads() // counts.num_workers),
        memory_format=request.memory_format,
        image_size=images.image_size,
        num_classes=images.num_classes,
        num_train=len(split.train),
        num_validation=len(split.validation),
        data_sha256=images.fingerprint,
        environment={**versions, "optuna": optuna.__version__},
    )


def _score(asked: str, num_validation: int) -> Score:
    if asked == "accuracy" or (asked == "auto" and num_validation >= MIN_IMAGES_FOR_ACCURACY):
        return "accuracy"
    return "loss"

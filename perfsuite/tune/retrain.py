"""The end of a study: what was chosen is trained with seeds that the search has not used, and tested once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from perfsuite.measure.active_clock import ActiveClock
from perfsuite.measure.train import train
from perfsuite.measure.training_job import Job
from perfsuite.records.environment import Process
from perfsuite.records.retraining import Retraining
from perfsuite.records.study import chosen_recipe
from perfsuite.tune.folder import TRAININGS, write_retraining
from perfsuite.tune.trial import study_images, workload_of
from perfsuite.workloads.image_store import load_image_set
from perfsuite.workloads.model_sources import load_model
from perfsuite.workloads.threads import threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from perfsuite.records.environment import Environment
    from perfsuite.records.study import Study
    from perfsuite.records.training import TrainingRecord
    from perfsuite.records.workload import Recipe
    from perfsuite.tune.plan import StudyPlan
    from perfsuite.tune.workers import Workers
    from perfsuite.workloads.images import ImageSet


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainingTask:
    """What a process needs to train a chosen setting.

    Attributes:
        study: What was searched.
        recipe: With the chosen setting.
        precision: To train in; not always the one that the setting was chosen for.
        seed: Of split, weights and order.
        model: The network as the user wrote it.
        data: The file of the images.
        device: Where.
        folder: Of all trainings.
        environment: In which it is trained.
    """

    study: Study
    recipe: Recipe
    precision: str
    seed: int
    model: str
    data: Path
    device: str
    folder: Path
    environment: Environment


@functools.lru_cache(maxsize=1)
def _all_images(data: Path) -> ImageSet:
    """Return the images, those to test on with them: the one place of `tune` that reads them."""
    return load_image_set(data)


def retrain(task: RetrainingTask, report: Callable[[str], None] = lambda _text: None) -> TrainingRecord:
    """Train, resume or replay one training.

    Raises:
        PerfsuiteError: The images are others than when the search began, or the training fails.
    """
    device, recipe = torch.device(task.device), task.recipe
    load_model(task.model)
    study_images(task.data, task.study)
    job = Job(
        workload=workload_of(task.study, task.precision, device.type, recipe.batch_size),
        recipe=recipe,
        seed=task.seed,
        images=_all_images(task.data),
        folder=task.folder,
        environment=task.environment,
        deterministic=True,
    )
    now = dt.datetime.now(dt.UTC)
    process = Process(run_id=uuid.uuid4().hex, pid=os.getpid(), started=now.isoformat(timespec="seconds"))
    with threads(task.study.num_threads):
        return train(job, device=device, process=process, clock=ActiveClock(), report=report)


def retraining_tasks(study: Study, plan: StudyPlan, folder: Path) -> list[RetrainingTask]:
    """Return each chosen setting under each precision with each seed; a setting that is chosen twice once."""
    chosen = {precision: chosen_recipe(study, precision) for precision in study.precisions}
    recipes: list[Recipe] = []
    for recipe in chosen.values():
        if recipe is not None and not any(_same_setting(recipe, other) for other in recipes):
            recipes.append(recipe)
    return [
        RetrainingTask(
            study=dataclasses.replace(study, trials=()),
            recipe=recipe,
            precision=precision,
            seed=seed,
            model=plan.model,
            data=plan.data,
            device=plan.device,
            folder=folder / TRAININGS,
            environment=plan.environment,
        )
        for seed in plan.seeds
        for recipe in recipes
        for precision in study.precisions
    ]


def _same_setting(one: Recipe, other: Recipe) -> bool:
    return dataclasses.replace(one, source="") == dataclasses.replace(other, source="")


def retrain_all(
    study: Study, plan: StudyPlan, folder: Path, workers: Workers, say: Callable[[str, bool], None]
) -> Retraining:
    """Run all trainings, and keep their results; what is finished is replayed.

    Args:
        study: With its trials.
        plan: Seeds, device and images.
        folder: Of the search.
        workers: Where they run.
        say: Called with a line, and whether it is final or may be overwritten.
    """
    tasks = retraining_tasks(study, plan, folder)
    found: dict[int, TrainingRecord] = {}
    running: dict[int, Future[TrainingRecord]] = {}
    waiting = list(range(len(tasks)))
    while waiting or running:
        while waiting and len(running) < plan.num_workers:
            index = waiting.pop(0)
            running[index] = workers.submit(retrain, tasks[index])
        done = workers.any_done(list(running.values()))
        for index in [index for index, future in running.items() if future in done]:
            record = found[index] = running.pop(index).result()
            label = f"[{len(found)}/{len(tasks)}] retrained"
            how = "already finished" if record.replayed else f"test accuracy {record.test_accuracy:.2%}"
            say(
                f"{label} {record.workload.precision} with seed {record.seed}, batch {record.recipe.batch_size}: {how}",
                True,
            )
    retraining = Retraining(trainings=tuple(found[index] for index in range(len(tasks))))
    write_retraining(folder, retraining)
    return retraining

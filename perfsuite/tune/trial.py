"""One trial: a setting, trained under every precision epoch by epoch, and scored by its validation images alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from perfsuite.errors import DataError, MeasurementError, OutOfMemoryError
from perfsuite.records.study import Curve, StudyTrial
from perfsuite.records.workload import Workload
from perfsuite.tune.proposals import is_pruned
from perfsuite.workloads.device_errors import is_out_of_memory
from perfsuite.workloads.image_store import load_training_images
from perfsuite.workloads.images import split_training_images
from perfsuite.workloads.model_sources import load_model
from perfsuite.workloads.precision import applied, policy_named, require_support
from perfsuite.workloads.precision_proof import verify
from perfsuite.workloads.threads import threads
from perfsuite.workloads.training import Training, deterministic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.records.study import Setting, State, Study
    from perfsuite.tune.space import Space
    from perfsuite.workloads.images import ImageSet


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialTask:
    """What a process needs to run a trial.

    Attributes:
        study: What is searched; without its trials.
        space: Its hyperparameters.
        model: The network as the user wrote it.
        data: The file of the images.
        device: Where.
        number: Of the trial.
        setting: What is tried.
        history: The trials before, which decide whether this one is ended early.
    """

    study: Study
    space: Space
    model: str
    data: Path
    device: str
    number: int
    setting: Setting
    history: tuple[StudyTrial, ...]


def run_trial(task: TrialTask, report: Callable[[str], None] = lambda _text: None) -> StudyTrial:
    """Run a trial to its end, or until it is pruned; the same task gives the same trial.

    Args:
        task: What to do.
        report: Called with the current stage, in a few words.

    Raises:
        DataError: The images are others than when the search began.
        OutOfMemoryError: The batch does not fit the device.
        PerfsuiteError: The precision is not supported or not active, or the network cannot be trained.
    """
    study, device = task.study, torch.device(task.device)
    load_model(task.model)
    images = study_images(task.data, study)
    with threads(study.num_threads), deterministic(on=True):
        _verify(study.precisions, device)
        try:
            return _Run(task, images, device).to_the_end(report)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
    raise OutOfMemoryError(
        f"trial {task.number}: batch {task.setting.batch_size} does not fit the memory of {device}; leave it out of "
        "--batch-size and name another folder with --study"
    )


@functools.lru_cache(maxsize=1)
def _loaded(data: Path) -> ImageSet:
    return load_training_images(data)


def study_images(data: Path, study: Study) -> ImageSet:
    """Return the training images of a study, which has no others.

    Raises:
        DataError: They are others than when it was begun.
    """
    images = _loaded(data)
    if images.fingerprint != study.data_sha256:
        _loaded.cache_clear()
        raise DataError(f"{data}: other training images than when the search began; name another folder with --study")
    return images


@functools.lru_cache(maxsize=8)
def _verify(precisions: tuple[str, ...], device: torch.device) -> None:
    """Check once a process that each precision is supported, and what is computed in."""
    for name in precisions:
        policy = policy_named(name)
        require_support(policy, device)
        with applied(policy):
            verify(policy, device)


def workload_of(study: Study, precision: str, device_type: str, batch_size: int) -> Workload:
    """Return what is trained under a precision."""
    return Workload(
        model=study.model,
        precision=precision,
        phase="full_training",
        batch_size=batch_size,
        image_size=study.image_size,
        memory_format=study.memory_format,
        device_type=device_type,
        num_classes=study.num_classes,
        model_digest=study.model_digest,
    )


class _Run:
    """A trial while it runs."""

    def __init__(self, task: TrialTask, images: ImageSet, device: torch.device) -> None:
        study, setting = task.study, task.setting
        self._task, self._study, self._device = task, study, device
        split = split_training_images(
            images, seed=study.seed, num_train=study.num_train, num_validation=study.num_validation
        )
        self._trainings = {
            name: Training(
                workload_of(study, name, device.type, setting.batch_size),
                setting.applied_to(study.recipe),
                images,
                split,
                device=device,
                seed=study.seed,
            )
            for name in study.precisions
        }
        self._curves = {name: Curve(precision=name, loss=(), accuracy=()) for name in study.precisions}

    def to_the_end(self, report: Callable[[str], None]) -> StudyTrial:
        """Train epoch by epoch, the precisions one after the other: a trial is ended under all of them or none."""
        task, num_epochs = self._task, self._study.recipe.epochs
        state: State = "complete"
        try:
            for epoch in range(num_epochs):
                for name, curve in self._curves.items():
                    report(f"epoch {epoch + 1} of {num_epochs}, {name}")
                    if not curve.is_diverged:
                        self._curves[name] = self._after_epoch(curve, epoch)
                if all(curve.is_diverged for curve in self._curves.values()):
                    state = "diverged"
                    break
                curves = tuple(self._curves.values())
                is_last = epoch + 1 == num_epochs
                if not is_last and is_pruned(self._study, task.space, task.setting, task.history, curves):
                    state = "pruned"
                    break
        finally:
            for training in self._trainings.values():
                training.close()
        return StudyTrial(number=task.number, setting=task.setting, state=state, curves=tuple(self._curves.values()))

    def _after_epoch(self, curve: Curve, epoch: int) -> Curve:
        training = self._trainings[curve.precision]
        devices = [self._device] if self._device.type == "cuda" else []
        with applied(policy_named(curve.precision)), torch.random.fork_rng(devices=devices):
            # The same draws under every precision, whatever was trained in this process before.
            torch.manual_seed((self._study.seed << 20) + epoch)
            try:
                training.train_epoch()
            except MeasurementError:
                return Curve(precision=curve.precision, loss=curve.loss, accuracy=curve.accuracy, is_diverged=True)
            found = training.evaluate("validation")
        loss = found.loss if abs(found.loss) < float("inf") else None
        return Curve(precision=curve.precision, loss=(*curve.loss, loss), accuracy=(*curve.accuracy, found.accuracy))

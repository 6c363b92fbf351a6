"""Trainings on several ranks as tests run them: small networks and generated images, each rank a real process."""

from __future__ import annotations

import dataclasses
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import ENVIRONMENT, make_workload
from generated_images import generated_parts
from torch import nn

from perfsuite.measure import train as train_module
from perfsuite.measure.active_clock import ActiveClock
from perfsuite.measure.train import train
from perfsuite.measure.training_job import Job
from perfsuite.recipes import SMOKE
from perfsuite.records.environment import Process
from perfsuite.testing import ModelSpec
from perfsuite.workloads.images import make_image_set, split_images
from perfsuite.workloads.models import MODELS
from perfsuite.workloads.ranks import ALONE, Ranks, joined
from perfsuite.workloads.threads import threads
from perfsuite.workloads.training import Training

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.measure.device_pool import Seat
    from perfsuite.records.workload import Recipe, Workload

CPU = torch.device("cpu")


def plain(num_classes: int) -> nn.Module:
    """A network whose images have nothing to do with each other."""
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(196, num_classes))


def normalised(num_classes: int) -> nn.Module:
    """A network with a batch normalisation, dropout, and enough parameters for several orders of a sum."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.2), nn.Conv2d(16, 32, 3, stride=2),
        nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(), nn.Linear(288, 64), nn.ReLU(), nn.Linear(64, num_classes),
    )  # fmt: skip


def know_networks() -> None:
    """Have the networks known by their names; after a test they are forgotten."""
    for network in (plain, normalised):
        MODELS[network.__name__] = ModelSpec(
            name=network.__name__,
            build=lambda sizes, network=network: network(sizes.num_classes),  # type: ignore[misc]
            source=b"rank_tasks",
        )


def small_recipe(**changes: Any) -> Recipe:
    values = {"epochs": 3, "batch_size": 6, "num_train": 16, "num_validation": 4, "num_test": 20, "learning_rate": 0.05}
    return dataclasses.replace(SMOKE, name="ranks", target_accuracy=None, **{**values, **changes})


def small_workload(model: str, precision: str = "fp32") -> Workload:
    return make_workload(
        model=model, precision=precision, phase="full_training", batch_size=6, device_type="cpu", image_size=16
    )


def small_images() -> Any:
    parts = {name: (images[:, :, ::2, ::2], labels) for name, (images, labels) in generated_parts().items()}
    return make_image_set(parts, source="generated")


def small_training(model: str, ranks: Ranks, *, precision: str = "fp32", **changes: Any) -> Training:
    know_networks()
    recipe, images = small_recipe(**changes), small_images()
    split = split_images(
        images, seed=0, num_train=recipe.num_train, num_validation=recipe.num_validation, num_test=recipe.num_test
    )
    return Training(small_workload(model, precision), recipe, images, split, device=CPU, seed=0, ranks=ranks)


def ranks_of(seat: Seat) -> Any:
    return joined(rank=seat.rank, world_size=seat.world_size, device=CPU, meeting_point=seat.meeting_point)


def losses_of(training: Training, num_epochs: int = 3) -> dict[str, Any]:
    """Train, and return what can be compared."""
    losses = [training.train_epoch()[0] for _ in range(num_epochs)]
    return {
        "losses": losses,
        "weights": torch.cat([parameter.detach().flatten() for parameter in training.model.parameters()]).tolist(),
        "sha256": training.ranks.each(training.parameters_sha256()),
        "loss_scale": training.ranks.each(training.loss_scale),
        "num_skipped": training.ranks.each(training.num_skipped_steps),
    }


def losses_on_ranks(task: tuple[int, ...], seat: Seat, tell: Callable[[Any], None]) -> dict[str, Any]:
    """Train on several ranks, with so many images each time; and with an overflow. Starting takes longest by far."""
    del tell
    with threads(1), ranks_of(seat) as ranks:
        found = {str(num): losses_of(small_training("plain", ranks, num_train=num)) for num in task}
        return {**found, "overflow": _overflow_on_one_rank(ranks)}


def losses_alone(num_train: int) -> dict[str, Any]:
    """Train the same in this process."""
    with threads(1):
        return losses_of(small_training("plain", ALONE, num_train=num_train))


def _overflow_on_one_rank(ranks: Ranks) -> dict[str, Any]:
    """Train with loss scaling; in the second step, the gradient of the last rank overflows before it is averaged."""
    training = small_training("plain", ranks, precision="amp-fp16")
    weight = next(training.model.parameters())

    def overflowing(gradient: torch.Tensor) -> torch.Tensor:
        is_second = training.step == 1 and training.epoch == 0
        return gradient * float("inf") if is_second and ranks.rank == ranks.world_size - 1 else gradient

    weight.register_hook(overflowing)  # type: ignore[no-untyped-call]
    return losses_of(training)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KilledTask:
    """A training that may be killed on the way, or stopped where it is in the process of the test.

    Attributes:
        folder: Of all trainings.
        killed_rank: Which one kills itself; None for none.
        after_step: In the second epoch; a checkpoint has been written before.
    """

    folder: Path
    killed_rank: int | None = None
    after_step: int = 2


def train_or_die(task: KilledTask, seat: Seat, tell: Callable[[Any], None]) -> dict[str, Any]:
    """Train, or go on with the training in the folder; a rank dies in the midst of its second epoch."""

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch, threads(1), ranks_of(seat) as ranks:
        tell(("pid", os.getpid()))
        return _train(task, ranks, die, tell, patch)


def train_or_stop(task: KilledTask) -> dict[str, Any]:
    """Do the same in this process, sharing nothing; it is stopped by a KeyboardInterrupt."""

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, threads(1):
        return _train(task, ALONE, stop, lambda _: None, patch)


def _train(
    task: KilledTask, ranks: Ranks, end: Callable[[], None], tell: Callable[[Any], None], patch: pytest.MonkeyPatch
) -> dict[str, Any]:
    original = Training.train_batch

    def train_batch(self: Training, *arguments: Any, **options: Any) -> torch.Tensor:
        if ranks.rank == task.killed_rank and (self.epoch, self.step) == (1, task.after_step):
            end()
        return original(self, *arguments, **options)

    patch.setattr(Training, "train_batch", train_batch)
    patch.setattr(train_module, "evaluation_batch_size", lambda _step: 4)
    patch.setattr(train_module, "AGREE_EVERY_STEPS", 2)
    know_networks()
    job = Job(
        workload=small_workload("normalised"),
        recipe=small_recipe(num_train=40),
        seed=0,
        images=small_images(),
        folder=task.folder,
        environment=ENVIRONMENT,
        deterministic=True,
        checkpoint_every_s=0.0,
        world_size=ranks.world_size,
    )
    record = train(
        job,
        device=CPU,
        process=Process(run_id="run", pid=os.getpid(), started="2026-01-05T10:00:00+00:00"),
        clock=ActiveClock(),
        epoch_ended=lambda epoch, _images_per_s, _left: tell(("epoch", epoch.epoch)),
        warn=lambda text: tell(("warning", text)),
        ranks=ranks,
    )
    again = train(job, device=CPU, process=record.process, clock=ActiveClock(), ranks=ranks)
    return {"record": record.to_json(), "again": again.to_json()}

"""A full training in a process of its own, on a device of its own: what it is given, and what it tells meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from perfsuite.errors import DataError
from perfsuite.formatting import duration_in_words, plural

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from perfsuite.measure.device_pool import Seat
    from perfsuite.records.environment import Process
    from perfsuite.records.training import EpochRecord
    from perfsuite.records.workload import Recipe, Workload

STAGE_EVERY_S = 1.0
"""Between two stages that are told: a small network does hundreds of steps in that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTask:
    """What a process needs to train.

    Attributes:
        workload: Network, precision and layout.
        recipe: How.
        seed: Of split, weights and order.
        models: The networks of the run as the user wrote them: what makes them known to the process.
        data: The file of the images.
        data_sha256: Their fingerprint; a file that was replaced meanwhile is refused.
        folder: Of all trainings.
        checkout: A folder of the checkout whose commit is recorded.
        process: Which run of pytest this belongs to.
        deterministic: Whether to choose the same algorithms every time.
        restart: Whether to start over.
        num_places: Trainings that are done at the same time.
    """

    workload: Workload
    recipe: Recipe
    seed: int
    models: tuple[str, ...]
    data: Path
    data_sha256: str
    folder: Path
    checkout: Path
    process: Process
    deterministic: bool
    restart: bool
    num_places: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLine:
    """What a training tells the user.

    Attributes:
        kind: `stage` is replaced by the next one, `epoch` and `warning` stay.
        text: In one line.
        left_s: How long the training will take from now on; None where that is not told.
    """

    kind: Literal["stage", "epoch", "warning"]
    text: str
    left_s: float | None = None


def epoch_line(epoch: EpochRecord, num_epochs: int, images_per_second: float, left_s: float) -> TrainingLine:
    """Return what is told of an epoch that has ended.

    Args:
        epoch: It.
        num_epochs: Of the training.
        images_per_second: In it.
        left_s: How long the rest of the training takes.
    """
    text = (
        f"epoch {epoch.epoch} of {num_epochs}: loss {epoch.train_loss:.4f}, validation "
        f"{epoch.validation_accuracy:.2%}, {images_per_second:,.0f} images/s"
    )
    if left_s > 0:
        text += f", {duration_in_words(left_s)} left in this cell"
    return TrainingLine(kind="epoch", text=text, left_s=left_s)


def shared_in_words(num_places: int, world_size: int, device_type: str) -> str | None:
    """Return what a reader should know of a training beside which others were done; None where there were none.

    Args:
        num_places: Trainings that are done at the same time.
        world_size: Processes of each.
        device_type: `cuda` or `cpu`.
    """
    if num_places == 1:
        if device_type == "cpu" and world_size > 1:
            return f"the {world_size} ranks share one CPU: times are not those of as many machines"
        return None
    shared = "the CPU" if device_type == "cpu" else "the host's CPU, memory and power"
    others = plural(num_places - 1, "other training")
    return f"trained side by side with up to {others}, which shared {shared}: times are not those of a training alone"


def run_training(task: TrainingTask, seat: Seat, tell: Callable[[TrainingLine], None]) -> dict[str, Any]:
    """Train, resume or replay in this process; returns the record as JSON.

    Raises:
        PerfsuiteError: The training fails, or the images are others than the first process read.
    """
    # Here, not above: the process is to end with its parent before it imports torch, which takes seconds.
    import torch

    from perfsuite.measure.active_clock import ActiveClock
    from perfsuite.measure.cell_setup import problem_of
    from perfsuite.measure.device import choose_device, use_device
    from perfsuite.measure.environment import read_environment
    from perfsuite.measure.train import train
    from perfsuite.measure.training_job import Job
    from perfsuite.workloads.image_store import load_image_set
    from perfsuite.workloads.model_sources import load_model
    from perfsuite.workloads.ranks import ALONE, joined
    from perfsuite.workloads.threads import threads

    device = choose_device("cpu" if seat.device.startswith("cpu") else seat.device)
    use_device(device)
    tell(TrainingLine(kind="stage", text="reading images"))
    if seat.rank > 0:  # the first one speaks for all
        tell = _nobody
    with contextlib.ExitStack() as joining, threads(seat.num_threads):
        for name in task.models:
            load_model(name)
        images = load_image_set(task.data)
        if images.fingerprint != task.data_sha256:
            raise DataError(f"{task.data}: other images than when the run began; start the run again")
        _warn_of_machine(device, task, tell)
        job = Job(
            workload=task.workload,
            recipe=task.recipe,
            seed=task.seed,
            images=images,
            folder=task.folder,
            environment=read_environment(device, folder=task.checkout),
            deterministic=task.deterministic,
            restart=task.restart,
            world_size=seat.world_size,
            side_by_side=shared_in_words(task.num_places, seat.world_size, device.type),
        )
        ranks = ALONE
        if seat.world_size > 1:
            ranks = joining.enter_context(
                joined(rank=seat.rank, world_size=seat.world_size, device=device, meeting_point=seat.meeting_point)
            )
        try:
            record = train(
                job,
                device=device,
                process=dataclasses.replace(task.process, pid=os.getpid()),
                clock=ActiveClock(),
                report=_now_and_then(tell),
                warn=lambda text: tell(TrainingLine(kind="warning", text=text)),
                epoch_ended=lambda epoch, images_per_second, left_s: tell(
                    epoch_line(epoch, task.recipe.epochs, images_per_second, left_s)
                ),
                ranks=ranks,
            )
        except Exception as error:
            # Of several ranks, the device is not asked whether it is lost: it may wait for another rank for good.
            asked = device if ranks.is_alone else torch.device("cpu")
            problem = problem_of(error, task.workload.label, asked)
            if problem is not None:
                raise problem from None
            raise
    return record.to_json()


def _nobody(_line: TrainingLine) -> None:
    """Tell nobody."""


def _now_and_then(
    tell: Callable[[TrainingLine], None], now: Callable[[], float] = time.monotonic
) -> Callable[[str], None]:
    """Return what tells a stage, unless the last one was told a moment ago."""
    told_s = now() - STAGE_EVERY_S

    def report(text: str) -> None:
        nonlocal told_s
        if now() - told_s >= STAGE_EVERY_S:
            told_s = now()
            tell(TrainingLine(kind="stage", text=text))

    return report


def _warn_of_machine(device: torch.device, task: TrainingTask, tell: Callable[[TrainingLine], None]) -> None:
    """Tell what would spoil the numbers, as far as it can be told at once.

    On a GPU alone: on a CPU the other trainings are what is found.
    """
    from perfsuite.measure.doctor import diagnose
    from perfsuite.measure.machine_state import read_condition

    if device.type != "cuda":
        return
    for check in diagnose(read_condition(str(device), results=task.folder, short=True)):
        if check.status == "unfit":
            tell(
                TrainingLine(
                    kind="warning", text=f"{check.name}: {check.found}" + (f" ({check.fix})" if check.fix else "")
                )
            )

"""A full training to be done: what it is, what identifies it, and its result once it is finished."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.errors import DataError, RecordError
from perfsuite.files import write_atomically
from perfsuite.folder_lock import NAME as LOCK_NAME
from perfsuite.folder_lock import folder_locked
from perfsuite.record_kinds import read_record
from perfsuite.training_record import TrainingRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import torch

    from perfsuite.records import Environment, Recipe, Workload
    from perfsuite.workloads.images import ImageSet, Split

FINISHED = "finished.json"

CHECKPOINT_EVERY_S = 600.0
"""Between checkpoints within an epoch, which takes an hour where a CPU has other work: no interruption costs more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A training to be done.

    Attributes:
        workload: Network, precision and layout; its phase is `full_training`.
        recipe: How.
        seed: Of split, weights and order.
        images: On what.
        folder: Where checkpoint and result of all trainings lie.
        environment: In which it is trained.
        deterministic: Whether to choose the same algorithms every time.
        restart: Whether to start over.
        checkpoint_every_s: Between checkpoints within an epoch; there is one after every epoch anyway.
    """

    workload: Workload
    recipe: Recipe
    seed: int
    images: ImageSet
    folder: Path
    environment: Environment
    deterministic: bool = False
    restart: bool = False
    checkpoint_every_s: float = CHECKPOINT_EVERY_S


ENVIRONMENT_FIELDS = ("torch", "torchvision", "cuda", "cudnn", "driver", "device")
"""What a training must share with one that is finished or was interrupted, to be replayed or resumed."""


def identity_of(job: Job, split: Split, device: torch.device) -> str:
    """Return what determines a training; a checkpoint or result of another identity is never used."""
    return json.dumps(
        {
            "environment": {name: getattr(job.environment, name) for name in ENVIRONMENT_FIELDS},
            "workload": dataclasses.asdict(job.workload),
            "recipe": {k: v for k, v in dataclasses.asdict(job.recipe).items() if k not in {"source", "name"}},
            "seed": job.seed,
            "split": split.fingerprint,
            "deterministic": job.deterministic,
            "device_type": device.type,
        },
        sort_keys=True,
    )


def folder_name(job: Job, identity: str) -> str:
    """Return the name of a training's own folder: readable, and different where the identity is."""
    words = f"{job.workload.model}-{job.workload.precision}-{job.recipe.name}-seed{job.seed}"
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', words)}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


@contextlib.contextmanager
def training_folder(job: Job, identity: str) -> Iterator[Path]:
    """Hold a training's own folder alone, freed of what killed processes left half written, and empty at a restart.

    Raises:
        FolderInUseError: Another process trains there.
        DataError: The folder cannot be written.
    """
    folder = job.folder / folder_name(job, identity)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(folder_locked(folder))
            for path in folder.glob("*" if job.restart else ".*.*"):
                if path.name != LOCK_NAME:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"{folder}: cannot be used: {error.strerror}") from None
        yield folder


def read_finished(folder: Path, warn: Callable[[str], None]) -> TrainingRecord | None:
    """Return the result of a training that came to its end before, or None."""
    path = folder / FINISHED
    try:
        record = read_record(json.loads(path.read_text(encoding="utf-8")), FINISHED)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecordError) as error:
        warn(f"{path}: damaged ({str(error)[:100]}); trained again")
        return None
    return record if isinstance(record, TrainingRecord) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What trainings have left on the disk.

    Attributes:
        num_finished: Trainings whose result is kept, to be replayed.
        unfinished: Folders of those that are not finished: their checkpoints, to be resumed.
        unfinished_bytes: What these hold.
    """

    num_finished: int
    unfinished: tuple[Path, ...]
    unfinished_bytes: int


def kept_in(folder: Path) -> Kept:
    """Look at the folder of all trainings."""
    found = [path for path in sorted(folder.glob("*/")) if (path / LOCK_NAME).exists()]
    unfinished = tuple(path for path in found if not (path / FINISHED).exists() and any(path.glob("checkpoint*")))
    sizes = [file.stat().st_size for path in unfinished for file in path.iterdir() if file.is_file()]
    return Kept(
        num_finished=sum((path / FINISHED).exists() for path in found),
        unfinished=unfinished,
        unfinished_bytes=sum(sizes),
    )


def write_finished(folder: Path, record: TrainingRecord) -> None:
    """Keep the result of a training.

    Raises:
        DataError: The disk is full.
    """
    path = folder / FINISHED
    try:
        write_atomically(path, json.dumps(record.to_json(), indent=1))
    except OSError as error:
        raise DataError(f"{path}: the result cannot be written: {error.strerror}") from None

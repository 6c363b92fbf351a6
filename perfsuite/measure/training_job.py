"""A full training to be done: what it is, what identifies it, and its result once it is finished."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import DataError, RecordError, ResultFileError
from perfsuite.folder_lock import NAME as LOCK_NAME
from perfsuite.folder_lock import folder_locked
from perfsuite.records.predictions import MAX_CONFUSION_CLASSES
from perfsuite.records.reading import read_record
from perfsuite.records.training import TrainingRecord
from perfsuite.records.workload import CIFAR10_CLASSES, NOT_COMPILED, NUM_CLASSES
from perfsuite.small_files import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import torch

    from perfsuite.records.environment import Environment
    from perfsuite.records.reading import AnyRecord
    from perfsuite.records.workload import Recipe, Workload
    from perfsuite.workloads.images import ImageSet, Split

FINISHED = "finished.json"

MAX_FINISHED_BYTES = 64 * 1024**2
"""Of a result; that of a thousand epochs takes 400 KB."""

FIRST_WITH_DIGEST = 5
"""Schema version from which on a kept result has a digest."""

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
        world_size: Processes that share each batch of the recipe, one a device.
        side_by_side: In words, that other trainings run on the same machine; None where none do.
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
    world_size: int = 1
    side_by_side: str | None = None


ENVIRONMENT_FIELDS = ("torch", "torchvision", "cuda", "cudnn", "driver", "device")
"""What a training must share with one that is finished or was interrupted, to be replayed or resumed."""


def kept_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of classes as a record keeps them: none where there are too many."""
    return classes if len(classes) <= MAX_CONFUSION_CLASSES else ()


def identity_of(job: Job, split: Split, device: torch.device) -> str:
    """Return what determines a training; a checkpoint or result of another identity is never used."""
    return _identity(
        job.environment,
        job.workload,
        job.recipe,
        seed=job.seed,
        split=split.fingerprint,
        classes=kept_names(job.images.classes),
        deterministic=job.deterministic,
        device_type=device.type,
        world_size=job.world_size,
    )


def _identity(  # noqa: PLR0913 - all that determines a training
    environment: Environment | None,
    workload: Workload,
    recipe: Recipe,
    *,
    seed: int,
    split: str,
    classes: tuple[str, ...],
    deterministic: bool,
    device_type: str,
    world_size: int,
) -> str:
    known = dataclasses.asdict(workload)
    # As identities were before schema version 8, so that trainings of before are found again.
    mode = known.pop("compile_mode")
    known["compiled"] = workload.is_compiled if mode in {NOT_COMPILED, "default"} else mode
    for name, default in {"num_classes": NUM_CLASSES, "cuda_graphs": False, "model_digest": ""}.items():
        if known[name] == default:
            del known[name]
    return json.dumps(
        {
            "environment": {name: getattr(environment, name, None) for name in ENVIRONMENT_FIELDS},
            "workload": known,
            "recipe": {k: v for k, v in dataclasses.asdict(recipe).items() if k not in {"source", "name"}},
            "seed": seed,
            "split": split,
            # As identities were before there were other classes.
            **({} if classes in {(), CIFAR10_CLASSES} else {"classes": classes}),
            "deterministic": deterministic,
            "device_type": device_type,
            # As identities were before there were several ranks.
            **({} if world_size == 1 else {"world_size": world_size}),
        },
        sort_keys=True,
    )


def folder_name(job: Job, identity: str) -> str:
    """Return the name of a training's own folder: readable, and different where the identity is."""
    words = f"{job.workload.model}-{job.workload.precision}-{job.recipe.name}-seed{job.seed}"
    words += "" if job.world_size == 1 else f"-{job.world_size}ranks"
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


def read_finished(folder: Path, identity: str, warn: Callable[[str], None]) -> TrainingRecord | None:
    """Return the result of a training that finished before, or None.

    Args:
        folder: The training's own.
        identity: What determines the training; the result of another one is never returned.
        warn: Called with one line on why a result was skipped.
    """
    path = folder / FINISHED
    try:
        content = read_json(path, max_bytes=MAX_FINISHED_BYTES)
        record = read_record(content, FINISHED)
        _check_finished(content, record, identity)
    except FileNotFoundError:
        return None
    except (ResultFileError, RecordError) as error:
        warn(f"{str(error).removeprefix(f'{path}: '):.200} ({path}); trained again")
        return None
    return record if isinstance(record, TrainingRecord) else None


def _check_finished(content: dict[str, Any], record: AnyRecord, identity: str) -> None:
    """Check that a result is whole, and that of this training.

    The record itself says what it is the result of. Its digest is as old as schema version 5: one of an older version
    is checked by its fields alone.

    Raises:
        RecordError: It is damaged, or of another training.
    """
    digest = content.get("sha256")
    if digest != _digest_of(content) and (digest is not None or content["schema_version"] >= FIRST_WITH_DIGEST):
        raise RecordError("damaged: its digest is not that of its content")
    if not isinstance(record, TrainingRecord) or identity != _identity_of_record(record):
        raise RecordError("the result of another training: other recipe, seed, data or versions")


def _identity_of_record(record: TrainingRecord) -> str:
    """Return the identity of the training that a record is the result of."""
    return _identity(
        record.environment,
        record.workload,
        record.recipe,
        seed=record.seed,
        split=record.data.split_fingerprint,
        classes=record.data.classes,
        deterministic=record.deterministic,
        device_type=record.workload.device_type,
        world_size=record.world_size,
    )


def _digest_of(content: dict[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


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
        if not path.is_file():  # a pipe would be written to, and waited for
            path.unlink(missing_ok=True)
        content = record.to_json()
        write_atomically(path, json.dumps({**content, "sha256": _digest_of(content)}, indent=1))
    except OSError as error:
        raise DataError(f"{path}: the result cannot be written: {error.strerror}") from None

"""Full trainings whose accuracy is known, as records with consistent test predictions, and as result files."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from builders import ENVIRONMENT, make_content
from training_builders import make_training, make_training_entry

from perfsuite.records.environment import Process
from perfsuite.records.predictions import confusion_of, pack_predictions
from perfsuite.records.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from perfsuite.records.environment import Environment
    from perfsuite.records.training import TrainingRecord

NUM_IMAGES = 10_000


def moment(hour: int) -> str:
    """Return a time so many hours after the first of the year."""
    return f"2026-01-{1 + hour // 24:02d}T{hour % 24:02d}:00:00+00:00"


def outcomes_of(seed: int, correct: Sequence[bool] | np.ndarray[Any, Any]) -> bytes:
    """Return a byte per test image; the images of a seed are the same whoever predicts them."""
    truth = np.random.default_rng(seed).integers(0, 10, len(correct))
    predicted = np.where(correct, truth, (truth + 1) % 10)
    return bytes((10 * truth + predicted).astype(np.uint8))


def trained(
    precision: str = "fp32",
    *,
    seed: int = 0,
    run_id: str = "run",
    accuracy: float = 0.83,
    flips: int = 400,
    hour: int = 0,
    environment: Environment = ENVIRONMENT,
    **changes: Any,
) -> TrainingRecord:
    """Build a training that predicts `accuracy` of the images of its seed correctly.

    Args:
        precision: Its precision.
        seed: Of its split and weights.
        run_id: Of its process; also decides which images it predicts correctly.
        accuracy: As a ratio.
        flips: Images that two trainings of a seed predict differently by chance: half of them are correct in each.
        hour: When its process started.
        environment: In which it was trained.
        changes: Other values of the record.
    """
    hard = np.random.default_rng([seed, 1]).permutation(NUM_IMAGES)
    own = np.random.default_rng([seed, *f"{run_id}{precision}".encode()])
    num_correct = round(accuracy * NUM_IMAGES)
    sure = num_correct - flips // 2
    correct = np.zeros(NUM_IMAGES, dtype=bool)
    correct[hard[:sure]] = True
    unsure = hard[sure : sure + flips]
    correct[own.choice(unsure, num_correct - sure, replace=False)] = True
    outcomes = outcomes_of(seed, correct)
    values: dict[str, Any] = {
        "confusion": confusion_of(outcomes),
        "test_predictions": pack_predictions(outcomes),
        "weights_sha256": f"{precision}-{seed}-{run_id}",
        "process": Process(run_id=run_id, pid=1, started=moment(hour)),
        "environment": environment,
    }
    return make_training(precision, seed=seed, accuracy=num_correct / NUM_IMAGES, **{**values, **changes})


def replayed(record: TrainingRecord) -> TrainingRecord:
    """Return a training as a later run copies it into its file."""
    return dataclasses.replace(record, replayed=True)


def of_schema(record: TrainingRecord, version: int) -> dict[str, Any]:
    """Return the entry of a training as an older perfsuite wrote it."""
    entry = make_training_entry(record)
    written = entry["extra_info"][KEY]
    written["schema_version"] = version
    for name in ("environment", "reasons", "test_predictions"):
        del written[name]
    del written["telemetry"]
    return entry


def write_trainings(
    folder: Path,
    name: str,
    trainings: Iterable[TrainingRecord | dict[str, Any]],
    *,
    environment: Environment = ENVIRONMENT,
    steps: Iterable[dict[str, Any]] = (),
    hour: int = 0,
) -> Path:
    """Write a result file.

    Args:
        folder: Where.
        name: Of the file, without its ending.
        trainings: Records, or entries as `of_schema` returns them.
        environment: Of the process that wrote the file.
        steps: Other entries of `benchmarks`.
        hour: When it was written.
    """
    entries = [one if isinstance(one, dict) else make_training_entry(one) for one in trainings]
    content = make_content([*steps, *entries], environment=environment)
    content["datetime"] = moment(hour)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return path

"""Records of full trainings, as tests need them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from builders import make_entry, make_record, make_workload

from perfsuite.recipes import THESIS, recipe_for
from perfsuite.records.environment import Process
from perfsuite.records.predictions import confusion_of, pack_predictions
from perfsuite.records.training import DataIdentity, EpochRecord, TrainingRecord


def make_training(
    precision: str = "fp32", *, accuracy: float = 0.83, seed: int = 0, seconds: float = 3600.0, **changes: Any
) -> TrainingRecord:
    confusion = np.full((10, 10), 10)
    np.fill_diagonal(confusion, 910)
    confusion[1, 9] = 100
    epoch = EpochRecord(
        epoch=1,
        learning_rate=0.1,
        train_loss=1.5,
        validation_loss=1.4,
        validation_accuracy=0.5,
        loss_scale=None if precision == "fp32" else 65536.0,
        num_skipped_steps=0 if precision == "fp32" else 2,
        training_s=50.0,
        evaluation_s=1.0,
    )
    values: dict[str, Any] = {
        "workload": make_workload(precision=precision, phase="full_training"),
        "recipe": recipe_for(THESIS, "resnet18", precision),
        "seed": seed,
        "data": DataIdentity(
            name="CIFAR-10",
            fingerprint="f" * 64,
            split_fingerprint=str(seed) * 64,
            is_canonical=True,
            num_train=45_000,
            num_validation=5_000,
            num_test=10_000,
        ),
        "metrics": {
            "training_time_s": seconds,
            "peak_allocated_bytes": 700 * 2**20 if precision == "fp32" else 450 * 2**20,
            "energy_joules": None,
        },
        "absent": {"energy_joules": "no energy counter is reported by NVML"},
        "history": (epoch, dataclasses.replace(epoch, epoch=2)),
        "confusion": tuple(tuple(row) for row in confusion.tolist()),
        "test_accuracy": accuracy,
        "weights_sha256": f"{precision}-{seed}",
        "num_resumes": 0,
        "deterministic": False,
        "replayed": False,
        "settings": {},
        "proof": (),
        "findings": (),
        "process": Process(run_id="run-1", pid=1, started="2026-01-05T10:00:00+00:00"),
    }
    return TrainingRecord(**{**values, **changes})


def make_predicted_training(
    precision: str = "fp32", *, seed: int = 0, loss: float = 0.0, run_id: str = "run-1", **changes: Any
) -> TrainingRecord:
    """Build a training that keeps its test predictions, which two trainings of one seed and split have of one test set.

    Args:
        precision: Of the training.
        seed: Of the training; the test images and how hard each is follow from it.
        loss: How much lower the true accuracy is than 0.83, as a ratio.
        run_id: Of the process; another one errs on other images of medium difficulty.
        changes: Other values of the record.
    """
    workload = changes.get("workload", make_workload(precision=precision, phase="full_training"))
    images = np.random.default_rng(1000 + seed)
    truth, hardness = images.integers(0, 10, 10_000), images.beta(0.75, 0.15, 10_000)
    own = np.random.default_rng([seed, *f"{workload.model}{precision}{run_id}".encode()])
    medium = (hardness > 0.05) & (hardness < 0.95)
    correct = own.random(10_000) < np.clip(hardness - loss / medium.mean() * medium, 0, 1)
    predicted = np.where(correct, truth, (truth + 1 + own.integers(0, 9, 10_000)) % 10)
    outcomes = bytes((10 * truth + predicted).astype(np.uint8))
    values: dict[str, Any] = {
        "accuracy": float(correct.mean()),
        "seconds": 3600.0 * float(np.exp(own.normal(0, 0.01))),
        "confusion": confusion_of(outcomes),
        "test_predictions": pack_predictions(outcomes),
        "weights_sha256": f"{workload.model}{precision}{seed}{run_id}",
        "process": Process(run_id=run_id, pid=1, started="2026-01-05T10:00:00+00:00"),
    }
    return make_training(precision, seed=seed, **{**values, **changes})


def make_training_entry(record: TrainingRecord) -> dict[str, Any]:
    entry = make_entry(make_record(record.workload), [float(record.metrics["training_time_s"] or 0)])
    name = f"test_full_training[{record.workload.model}-{record.workload.precision}-seed{record.seed}]"
    return {**entry, "name": name, "fullname": name, "extra_info": {"perfsuite": record.to_json()}}

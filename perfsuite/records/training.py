"""What a full training gives: its epochs, its accuracy, its times; to and from strict JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from perfsuite.errors import RecordError
from perfsuite.records.environment import Environment, Process  # noqa: TC001 - read at run time, to check files
from perfsuite.records.predictions import (
    MAX_CONFUSION_CLASSES,
    DiscordantCounts,
    confusion_of,
    count_discordant,
    unpack_predictions,
)
from perfsuite.records.proof import ProofReading  # noqa: TC001 - read at run time, to check files
from perfsuite.records.schema import SCHEMA_VERSION, check_metrics
from perfsuite.records.strict_json import to_strict_json
from perfsuite.records.telemetry import Telemetry  # noqa: TC001 - strict_json reads the types of fields at run time
from perfsuite.records.workload import (
    CIFAR10_CLASSES,
    MAX_CLASS_NAME,
    MAX_SIZE,
    NUM_CLASSES,
    Recipe,
    Workload,
    are_class_names,
)

PEAK_WITHOUT_EVALUATION = 4
"""Schema version from which on a training's peak memory is that of its steps alone."""

NO_PREDICTIONS = "a record of before schema version 4, or of too many test images, keeps no test predictions"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataIdentity:
    """What was trained on: results on other data are never compared silently.

    Attributes:
        name: `CIFAR-10`, or `images` and the beginning of the fingerprint.
        fingerprint: Of all pixels and labels.
        split_fingerprint: Of the choice of images as well.
        is_canonical: Whether it is the original CIFAR-10.
        num_train: Images trained on.
        num_validation: Images validated on.
        num_test: Images tested on.
        classes: Names of the classes in the order of their labels; empty in records of before schema version 9, which
            are of CIFAR-10's, and of more classes than `predictions.MAX_CONFUSION_CLASSES`.
    """

    name: str
    fingerprint: str
    split_fingerprint: str
    is_canonical: bool
    num_train: int
    num_validation: int
    num_test: int
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: Its number, from 1.
        learning_rate: In it.
        train_loss: Mean cross-entropy of the training images.
        validation_loss: Of the validation images, after it; None where it was not finite.
        validation_accuracy: As a ratio.
        loss_scale: At its end; None without loss scaling.
        num_skipped_steps: Steps without an update because gradients overflowed.
        training_s: Time of its steps.
        evaluation_s: Time of the validation.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    validation_loss: float | None
    validation_accuracy: float
    loss_scale: float | None
    num_skipped_steps: int
    training_s: float
    evaluation_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """One full training.

    Attributes:
        workload: Network, precision and layout; its phase is `full_training`.
        recipe: How it was trained.
        seed: Of split, weights and order.
        data: What it was trained on.
        metrics: Values by registered metric key; None where one is absent.
        absent: The reason for every metric that is None.
        history: Its epochs.
        confusion: Test images of each class (rows) by the class they were predicted as (columns) [K, K]; empty of
            more classes than `predictions.MAX_CONFUSION_CLASSES`.
        test_accuracy: Correct test images, as a ratio.
        weights_sha256: Digest of the final weights: sorted names, dtypes, shapes, bytes.
        num_resumes: How often it was interrupted and resumed.
        deterministic: Whether the same algorithms were chosen every time.
        replayed: Whether it was trained by an earlier run, and only copied into this file.
        settings: What was pinned, by name.
        proof: The probes that showed the precision to be active.
        findings: What a reader should know before trusting the numbers, in words.
        process: Which process finished it.
        environment: In which it was trained; a file that it is replayed into may have another. None before schema 4.
        reasons: Why each of the settings that the thesis leaves open is as it is; empty in records of before schema
            version 4.
        test_predictions: What was predicted for each test image, in the order of the split, as `predictions` packs it;
            None in records of before schema version 4, and of more test images than `predictions.max_predictions`.
        telemetry: What the GPU did in the epochs of the process that finished it; None in records of before schema
            version 5.
        world_size: Ranks that it was trained on, which shared each batch of the recipe.
    """

    workload: Workload
    recipe: Recipe
    seed: int
    data: DataIdentity
    metrics: dict[str, int | float | None]
    absent: dict[str, str]
    history: tuple[EpochRecord, ...]
    confusion: tuple[tuple[int, ...], ...]
    test_accuracy: float
    weights_sha256: str
    num_resumes: int
    deterministic: bool
    replayed: bool
    settings: dict[str, str | int | float | bool]
    proof: tuple[ProofReading, ...]
    findings: tuple[str, ...]
    process: Process
    environment: Environment | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    test_predictions: str | None = None
    telemetry: Telemetry | None = None
    world_size: int = 1

    def __post_init__(self) -> None:
        check_metrics(self.metrics, self.absent)
        if not 1 <= self.world_size <= MAX_SIZE:
            raise RecordError(f"world_size is {self.world_size!r:.40}, at least 1 is needed")
        if not 0 <= self.test_accuracy <= 1:
            raise RecordError(f"test_accuracy is {self.test_accuracy!r}; a ratio from 0 to 1 is needed")
        if not self.history:
            raise RecordError("history is empty; a full training has at least one epoch")
        for name in ("num_train", "num_test"):
            if getattr(self.data, name) < 1:
                raise RecordError(f"data.{name} is {getattr(self.data, name)}; at least 1 image is needed")
        if self.recipe.batch_size < 1:
            raise RecordError(f"recipe.batch_size is {self.recipe.batch_size}; at least 1 image is needed")
        time_s = self.metrics.get("training_time_s")
        if time_s is None or time_s <= 0:
            raise RecordError(f"metric 'training_time_s' is {time_s!r}; a time in seconds above 0 is needed")
        self._check_predictions()

    def _check_predictions(self) -> None:
        num_classes = self.workload.num_classes
        num_rows = num_classes if num_classes <= MAX_CONFUSION_CLASSES else 0
        if len(self.confusion) != num_rows or any(len(row) != num_rows for row in self.confusion):
            raise RecordError(f"the confusion matrix is not {num_rows}x{num_rows}")
        if len(self.data.classes) not in {0, num_rows} or not are_class_names(self.data.classes):
            raise RecordError(
                f"data.classes names {len(self.data.classes)} classes; {num_rows} are needed, each by another name of "
                f"at most {MAX_CLASS_NAME} printable characters"
            )
        counts = [count for row in self.confusion for count in row]
        if counts and not 0 <= min(counts) <= max(counts) <= MAX_SIZE:
            raise RecordError(f"the confusion matrix counts {min(counts)} to {max(counts)} images in a cell")
        if self.test_predictions is not None:
            outcomes = unpack_predictions(self.test_predictions, self.data.num_test, num_classes)
            if num_rows and confusion_of(outcomes, num_classes) != self.confusion:
                raise RecordError("test_predictions do not add up to the confusion matrix")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the rows and columns of the confusion matrix."""
        num_classes = len(self.confusion)
        if self.data.classes:
            return self.data.classes
        return CIFAR10_CLASSES if num_classes == NUM_CLASSES else tuple(map(str, range(num_classes)))

    @property
    def is_of_cifar10(self) -> bool:
        """Whether its images have the form of CIFAR-10: their size, and their classes by name."""
        return self.workload.is_of_cifar10 and self.class_names == CIFAR10_CLASSES

    @property
    def is_target_of_its_data(self) -> bool:
        """Whether the recipe's target is one for these images.

        It is for CIFAR-10 itself, and for images of another form, for which only a user's own recipe has a target; it
        is not for a copy of CIFAR-10 with other pixels.
        """
        return self.data.is_canonical or not self.is_of_cifar10

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `extra_info["perfsuite"]`.

        Raises:
            RecordError: A value that JSON cannot carry without loss.
        """
        return to_strict_json({"schema_version": SCHEMA_VERSION, "kind": "training", **dataclasses.asdict(self)})


def discordant_counts(baseline: TrainingRecord, candidate: TrainingRecord) -> DiscordantCounts:
    """Return how many test images one of two trainings alone predicts correctly, for McNemar's test.

    Raises:
        RecordError: They have different splits, or one of them keeps no test predictions.
    """
    if baseline.data.split_fingerprint != candidate.data.split_fingerprint:
        splits = " and ".join(
            f"{record.data.split_fingerprint[:16]} (seed {record.seed}, {record.data.name})"
            for record in (baseline, candidate)
        )
        raise RecordError(f"different splits: {splits}; only trainings of one split are compared image by image")
    outcomes = []
    for record in (baseline, candidate):
        if record.test_predictions is None:
            raise RecordError(f"{record.workload.label} seed {record.seed}: {NO_PREDICTIONS}")
        outcomes.append(unpack_predictions(record.test_predictions, record.data.num_test, record.workload.num_classes))
    return count_discordant(outcomes[0], outcomes[1], baseline.workload.num_classes)


def with_cudnn_benchmark(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a training, whether cuDNN searched for algorithms in its workload.

    Before it was part of the workload, trainings searched unless they were deterministic; steps never did.
    """
    workload = fields.get("workload")
    if not isinstance(workload, dict) or "cudnn_benchmark" in workload:
        return fields
    settings = fields.get("settings")
    found = settings.get("cudnn_benchmark") if isinstance(settings, dict) else None
    value = found if isinstance(found, bool) else fields.get("deterministic") is False
    return {**fields, "workload": {**workload, "cudnn_benchmark": value}}


def without_peaks(record: TrainingRecord) -> TrainingRecord:
    """Return a record of before `PEAK_WITHOUT_EVALUATION` without its peaks, which were mostly those of evaluation."""
    reason = (
        f"before schema version {PEAK_WITHOUT_EVALUATION}: the peak of training or evaluation, whichever was higher"
    )
    peaks = [key for key in ("peak_allocated_bytes", "peak_net_bytes") if record.metrics.get(key) is not None]
    return dataclasses.replace(
        record,
        metrics={**record.metrics, **dict.fromkeys(peaks)},
        absent={**record.absent, **dict.fromkeys(peaks, reason)},
    )

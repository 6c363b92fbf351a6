"""Full trainings by the thesis's recipe, by network, precision and environment: what they took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite import thesis
from perfsuite.analysis.frames.gpu_steps import Network
from perfsuite.analysis.frames.row_warnings import pooled_warnings
from perfsuite.analysis.frames.thesis_trainings import comparable_trainings
from perfsuite.records.workload import is_of_cifar10

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.gpu_environments import EnvironmentIndex
    from perfsuite.analysis.frames.results import Results
    from perfsuite.records.training import TrainingRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTraining:
    """What full trainings of a network took, mean over them.

    Attributes:
        network: Which network.
        environment: Label of the environment.
        precision: Name of the precision.
        num_trainings: How many.
        time_s: With validation and data loading.
        energy_joules: Of the GPU; None where one of them does not have it.
        warnings: What spoils them, in a word or two each; None where nothing does.
    """

    network: Network
    environment: str
    precision: str
    num_trainings: int
    time_s: float
    energy_joules: float | None
    warnings: str | None

    def is_of(self, network: Network) -> bool:
        """Whether this is a training of a network whose steps were measured.

        Keeping gradients, and letting cuDNN search for its algorithms, change the time of a training by little, and
        trainings do so by default where steps do not: they are not asked to be the same.
        """
        own = self.network
        names = ("model", "image_size", "num_classes", "memory_format", "compile_mode", "model_digest")
        return all(getattr(own, name) == getattr(network, name) for name in names)


def measured_trainings(results: Results, index: EnvironmentIndex) -> list[MeasuredTraining]:
    """Return the full trainings by the thesis's recipe whose environment is known."""
    groups: dict[tuple[Network, str, str], list[TrainingRecord]] = {}
    for training in comparable_trainings(results).trainings:
        environment = index.of_training(training)
        if environment is not None:
            workload = training.record.workload
            key = (_network(training.record), environment.label, workload.precision)
            groups.setdefault(key, []).append(training.record)
    return [_training(*key, records) for key, records in groups.items()]


def _network(record: TrainingRecord) -> Network:
    workload = record.workload
    return Network(
        model=workload.model,
        image_size=workload.image_size,
        memory_format=workload.memory_format,
        compile_mode=workload.compile_mode,
        gradients=workload.gradients,
        cudnn_benchmark=workload.cudnn_benchmark,
        num_classes=workload.num_classes,
        cuda_graphs=workload.cuda_graphs,
        model_digest=workload.model_digest,
    )


def _training(
    network: Network, environment: str, precision: str, records: Sequence[TrainingRecord]
) -> MeasuredTraining:
    energies = [value for record in records if (value := record.metrics.get("energy_joules"))]
    times = [float(record.metrics["training_time_s"] or 0.0) for record in records]
    return MeasuredTraining(
        network=network,
        environment=environment,
        precision=precision,
        num_trainings=len(records),
        time_s=sum(times) / len(times),
        energy_joules=sum(energies) / len(energies) if len(energies) == len(records) else None,
        warnings=pooled_warnings(records),
    )


def num_images(network: Network) -> int | None:
    """Return how many images a full training by the thesis's recipe computes; None for a network it did not train.

    It trained on the images and classes of CIFAR-10.
    """
    is_like_it = is_of_cifar10(network.image_size, network.num_classes)
    epochs = thesis.EPOCHS.get(network.model) if is_like_it else None
    return None if epochs is None else epochs * thesis.TRAIN_IMAGES

"""A full training as read from a file, with where it was trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.load.environment_columns import file_environment, training_environment
from perfsuite.analysis.load.file_series import series_name
from perfsuite.analysis.load.machine_info import machine_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.records.training import TrainingRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class FullTraining:
    """A full training, as read from a file.

    Attributes:
        record: What came of it.
        name: pytest's name of it.
        fullname: The same with the path of its module.
        file: Label of the file.
        series: What the file's name says; see `series_name`.
        environment: Values of `ENVIRONMENT_COLUMNS`.
    """

    record: TrainingRecord
    name: str
    fullname: str
    file: str
    series: str
    environment: dict[str, Any]

    @property
    def identity(self) -> tuple[str, str]:
        """What identifies a training that was done; a replay of it has the same."""
        return self.record.weights_sha256, self.record.process.run_id


def full_trainings(file: ResultFile, label: str) -> list[FullTraining]:
    """Return the full trainings of a file.

    Args:
        file: It.
        label: Its name in tables.
    """
    environment = file_environment(file, machine_of(file))
    return [
        FullTraining(
            record=benchmark.training,
            name=benchmark.name,
            fullname=benchmark.fullname,
            file=label,
            series=series_name(file.path),
            environment=training_environment(benchmark.training, environment),
        )
        for benchmark in file.benchmarks
        if benchmark.training is not None
    ]


def without_replays(trainings: Iterable[FullTraining]) -> tuple[FullTraining, ...]:
    """Leave out a training that was only replayed into a file, where another file has it as it was done."""
    found: dict[tuple[str, str], FullTraining] = {}
    for training in trainings:
        if training.identity not in found or found[training.identity].record.replayed:
            found[training.identity] = training
    return tuple(found.values())

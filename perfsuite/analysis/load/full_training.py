"""A full training as read from a file, with where it was trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.load.environment_columns import file_environment, training_environment
from perfsuite.analysis.load.file_series import series_name
from perfsuite.analysis.load.machine_info import machine_of
from perfsuite.analysis.load.read_entry import ReadEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.records.training import TrainingRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class FullTraining(ReadEntry):
    """A full training, as read from a file.

    Attributes:
        record: What came of it.
        fullname: pytest's name with the path of its module.
    """

    record: TrainingRecord
    fullname: str

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

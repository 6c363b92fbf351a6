"""What accumulates while a full training is done, over all its processes; in its checkpoints, read back checked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from perfsuite.errors import RecordError
from perfsuite.records.strict_json import read_dataclass
from perfsuite.records.training import EpochRecord


@dataclass(slots=True, kw_only=True)
class TrainingProgress:
    """What a training has done so far, the state of its network left out.

    Attributes:
        history: Epochs that are done.
        active_s: Time of their steps and evaluations.
        epoch_active_s: Of the steps of the epoch that is not done.
        num_resumes: How often the training was resumed.
        training_peak_bytes: Highest peak of steps; None if unknown.
        evaluation_peak_bytes: Highest peak of evaluations; None if unknown.
        energy_joules: None if unknown.
        target_reached_s: `active_s` when the target was reached; None before.
        num_steps: Steps that are done in all; None in checkpoints of older versions.
        earlier_findings: What spoiled the processes before this one, by their readings of the hardware.
        findings: The same of this process, so far.
    """

    history: list[EpochRecord] = field(default_factory=list)
    active_s: float = 0.0
    epoch_active_s: float = 0.0
    num_resumes: int = 0
    training_peak_bytes: int | None = None
    evaluation_peak_bytes: int | None = None
    energy_joules: float | None = 0.0
    target_reached_s: float | None = None
    num_steps: int | None = None
    earlier_findings: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    def resume(self) -> None:
        """Go on in another process."""
        self.num_resumes += 1
        self.earlier_findings += tuple(f"before interruption {self.num_resumes}: {found}" for found in self.findings)
        self.findings = ()


def read_progress(saved: Any, *, epoch: Any, step: Any, num_steps: int, num_epochs: int) -> TrainingProgress:
    """Read the progress in a checkpoint, which must be that of its epoch and step.

    Args:
        saved: The progress, in plain values.
        epoch: Epochs that are done, as the state of the network says.
        step: Steps of the next epoch that are done, as the state of the network says.
        num_steps: Steps of an epoch.
        num_epochs: Epochs of the training.

    Raises:
        RecordError: A field is wrong, or it is of another epoch or step.
    """
    if not isinstance(saved, dict) or not isinstance(saved.get("history"), list):
        raise RecordError("the progress has no list of epochs")
    history = [read_dataclass(EpochRecord, part, f"epoch {number}") for number, part in enumerate(saved["history"], 1)]
    rest = {name: value for name, value in saved.items() if name != "history"}
    progress = dataclasses.replace(read_dataclass(TrainingProgress, rest, "progress"), history=history)
    for name, value, limit in (("epoch", epoch, num_epochs), ("step", step, num_steps - 1)):
        if type(value) is not int or not 0 <= value <= limit:
            raise RecordError(f"{name} is {value!r:.40}; from 0 to {limit} is possible")
    if [record.epoch for record in history] != list(range(1, epoch + 1)):
        raise RecordError(f"the weights are said to be of {epoch} epochs, the progress is of {len(history)}")
    if progress.num_steps not in {None, epoch * num_steps + step}:
        raise RecordError(
            f"the weights are said to be of {epoch} epochs and {step} steps, the progress is of {progress.num_steps} "
            "steps in all"
        )
    return progress

"""What was retrained of a study's choices: full trainings of other seeds, tested once; to and from strict JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perfsuite.errors import RecordError
from perfsuite.records.reading import read_record
from perfsuite.records.strict_json import to_strict_json
from perfsuite.records.training import TrainingRecord

SCHEMA = "perfsuite-retraining-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """Trainings with the settings that a study chose.

    Attributes:
        trainings: Each says by its recipe which setting it has.
    """

    trainings: tuple[TrainingRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as strict JSON."""
        return to_strict_json({"schema": SCHEMA, "trainings": [record.to_json() for record in self.trainings]})


def read_retraining(content: object) -> Retraining:
    """Read what was retrained.

    Raises:
        RecordError: Another schema, or something that is no full training.
    """
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise RecordError(f"not written by this perfsuite; {SCHEMA} is needed")
    found = content.get("trainings")
    if not isinstance(found, list):
        raise RecordError("it has no list of trainings")
    records = [read_record(value, f"trainings[{index}]") for index, value in enumerate(found)]
    trainings = tuple(record for record in records if isinstance(record, TrainingRecord))
    if len(trainings) != len(records):
        raise RecordError("it has records that are not full trainings")
    return Retraining(trainings=trainings)

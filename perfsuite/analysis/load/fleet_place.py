"""Which node of a fleet wrote a file, as `perfsuite fleet run` records it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perfsuite.records.strict_json import read_dataclass

FLEET_KEY = "perfsuite_fleet"
"""In `machine_info`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlace:
    """Which node of a fleet wrote a file.

    Attributes:
        node: Its name.
        kind: Nodes of one kind are nominally equal.
        environment: Which versions were measured, by the fleet's name for them.
        repetition: Which process of that node and environment, from 0.
    """

    node: str
    kind: str
    environment: str
    repetition: int


def fleet_place(machine: dict[str, Any]) -> FleetPlace | None:
    """Return which node of a fleet wrote a file, or None where that is not recorded.

    Raises:
        RecordError: It is recorded with a field missing or of the wrong type.
    """
    if FLEET_KEY not in machine:
        return None
    return read_dataclass(FleetPlace, machine[FLEET_KEY], f"machine_info.{FLEET_KEY}")

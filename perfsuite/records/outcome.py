"""What became of a benchmark that did not pass."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, Self

from perfsuite.records.strict_json import read_dataclass, to_strict_json
from perfsuite.records.workload import Workload  # noqa: TC001 - read at run time, to check files

OutcomeKind = Literal["skipped", "failed", "cannot_tell", "out_of_memory", "interrupted", "not_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A benchmark that did not pass; one that missed a limit has a result as well.

    Attributes:
        nodeid: pytest's name of the cell.
        outcome: What became of it.
        reason: Why, in one line.
        workload: What it would have measured, if it came to be known.
    """

    nodeid: str
    outcome: OutcomeKind
    reason: str
    workload: Workload | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the list under the top-level key `perfsuite.outcomes`."""
        return to_strict_json(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, value: object, where: str = "outcome") -> Self:
        """Read what `to_json` wrote.

        Raises:
            RecordError: A field missing or of the wrong type.
        """
        return read_dataclass(cls, value, where)

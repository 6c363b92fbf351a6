"""What was read from one place in a file: its name there, and where the file was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEntry:
    """Where a record of its own kind was read.

    Attributes:
        name: pytest's name of it.
        file: Label of the file.
        series: What the file's name says; see `series_name`.
        environment: Values of `ENVIRONMENT_COLUMNS`.
    """

    name: str
    file: str
    series: str
    environment: dict[str, Any]

    @property
    def origin(self) -> dict[str, Any]:
        """Where it comes from, as columns of a row: its environment, file, series and name."""
        return {**self.environment, "file": self.file, "series": self.series, "name": self.name}

"""A run of the suite inside a test, and what it left behind."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plain_pytest import PLAIN_PYTEST

if TYPE_CHECKING:
    import pytest

REPOSITORY = Path(__file__).parents[2]
QUICK = (
    "--perf-device=cpu",
    "--perf-batch-size=2",
    "--benchmark-min-rounds=2",
    "--benchmark-max-time=0.01",
    "--perf-no-profile",
)
IN_A_PROCESS = {
    "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests", REPOSITORY / "tests" / "plugin"))),
    "PYTEST_ADDOPTS": PLAIN_PYTEST,
}
"""Variables with which a process finds the suite, and `-p small_suite`."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: what pytest said, and what it left behind."""

    result: pytest.RunResult
    folder: Path

    @property
    def text(self) -> str:
        return self.result.stdout.str() + self.result.stderr.str()

    @property
    def files(self) -> list[Path]:
        return sorted((self.folder / "results").glob("*.json"))

    @property
    def content(self) -> dict[str, Any]:
        assert len(self.files) == 1, self.text
        loaded: dict[str, Any] = json.loads(self.files[0].read_text())
        return loaded

    @property
    def names(self) -> list[str]:
        return [benchmark["name"] for benchmark in self.content["benchmarks"]]

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [
            (outcome["nodeid"].partition("::")[2], outcome["outcome"])
            for outcome in self.content["perfsuite"]["outcomes"]
        ]

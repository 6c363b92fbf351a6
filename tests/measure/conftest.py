"""What the tests of measuring share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfsuite.measure import cpu_load
from perfsuite.measure import microbenchmarks as probes


@pytest.fixture(autouse=True)
def small_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the probes of every cell short."""
    small = probes.Sizes(matrix=32, images=1, copy_bytes=4096, min_seconds=1e-4)
    monkeypatch.setitem(probes.SIZES, "cpu", small)


@pytest.fixture(autouse=True)
def no_background_load(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let the machine on which the tests run not show its load: findings are those of the test."""
    if request.path.name not in {"test_cpu_load.py", "test_doctor.py"}:
        monkeypatch.setattr(cpu_load, "STAT", Path(os.devnull))

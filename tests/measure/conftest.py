"""What the tests of measuring share."""

from __future__ import annotations

import pytest

from perfsuite.measure import probes


@pytest.fixture(autouse=True)
def small_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the probes beside every cell short."""
    small = probes.Sizes(matrix=32, images=1, copy_bytes=4096, min_seconds=1e-4)
    monkeypatch.setitem(probes.SIZES, "cpu", small)

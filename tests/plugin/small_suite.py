"""Makes a run of the suite small: no warm-up, small probes, tiny networks.

In a process of its own, which nothing can be patched in from outside, this is a plugin of pytest: `-p small_suite`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from cuda_stand_in import use_tiny_networks

from perfsuite.measure import budget
from perfsuite.measure import microbenchmarks as probes


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no time to lose on a CPU."""
    limits: dict[str, Any] = {
        f"{which}_{first}warm_up_s": seconds
        for which, seconds in (("min", 0.0), ("max", 0.01))
        for first in ("", "first_")
    }
    quick = dataclasses.replace(budget.BUDGETS["cpu"], **limits)
    monkeypatch.setitem(budget.BUDGETS, "cpu", quick)
    small = probes.Sizes(matrix=32, images=1, copy_bytes=4096, min_seconds=1e-4)
    monkeypatch.setitem(probes.SIZES, "cpu", small)


def pytest_configure() -> None:
    """Keep everything small until the process ends."""
    for_good = pytest.MonkeyPatch()
    make_small(for_good)
    use_tiny_networks(for_good)

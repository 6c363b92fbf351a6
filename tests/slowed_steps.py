"""A pytest plugin that plants a slowdown: `-p slowed_steps`, by the share that PERFSUITE_TEST_SLOWDOWN says.

Loaded by tests alone; the suite knows nothing of it.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

SHARE = float(os.environ.get("PERFSUITE_TEST_SLOWDOWN", "0"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish() -> None:
    """Make every training step wait as long again as the share of what it took."""
    if not SHARE:
        return
    from perfsuite.workloads.step import TrainingStep

    train_step = TrainingStep.train_step

    def slowed(self: Any) -> Any:
        begin = time.perf_counter()
        result = train_step(self)
        end = time.perf_counter() + SHARE * (time.perf_counter() - begin)
        while time.perf_counter() < end:
            pass
        return result

    TrainingStep.train_step = slowed  # type: ignore[method-assign]

"""Full CIFAR-10 training to the accuracy targets, unattended overnight: `pytest -m full_training`.

After any interruption, the same command resumes a cell from its last checkpoint; a finished cell is not trained again.
The training time is the active time of all processes that trained it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.training import TrainingRecord
    from perfsuite.records.workload import Workload


@pytest.mark.full_training
@pytest.mark.long
def test_full_training(train: Callable[[Workload, int], TrainingRecord], workload: Workload, seed: int) -> None:
    """All epochs of the recipe, validation after each, and the test; reaches the thesis's accuracy on CIFAR-10."""
    train(workload, seed)

"""Confusion matrices of groups of trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from perfsuite.analysis.frames.training_groups import TrainingGroup


CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Label 0 to 9. Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009)."""


def confusion_of(group: TrainingGroup) -> Any:
    """Return the confusion matrices of all seeds, added [10, 10]."""
    return np.sum([record.confusion for record in group.records], axis=0)


def likeness(one: Any, other: Any) -> float:
    """Return the correlation of the off-diagonal counts of two confusion matrices [10, 10]; 1 means the same errors."""
    outside = ~np.eye(len(CLASSES), dtype=bool)
    first, second = np.asarray(one)[outside].astype(float), np.asarray(other)[outside].astype(float)
    if first.std() == 0 or second.std() == 0:
        return float(np.array_equal(first, second))
    return float(np.corrcoef(first, second)[0, 1])

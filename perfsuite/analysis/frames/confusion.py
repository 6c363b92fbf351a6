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


NOISE_SD = 1.96
"""Standard deviations within which 95% of differences lie by chance."""


def within_noise(baseline: Any, candidate: Any) -> Any:
    """Return for each cell whether two shares of a true class differ by no more than binomial noise [10, 10] bool.

    The standard error of a difference of two shares, both of the pooled share p of n and m images, is
    sqrt(p (1 - p) (1 / n + 1 / m)). Where both sides have the same test images this is more than their noise: such
    shares vary together.

    Args:
        baseline: Counts [10, 10], true class by predicted class.
        candidate: The same of the other side.
    """
    old, new = np.asarray(baseline, float), np.asarray(candidate, float)
    n, m = (np.maximum(side.sum(axis=1, keepdims=True), 1) for side in (old, new))
    pooled = (old + new) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return np.abs(new / m - old / n) <= NOISE_SD * error


def likeness(one: Any, other: Any) -> float:
    """Return the correlation of the off-diagonal counts of two confusion matrices [10, 10]; 1 means the same errors."""
    outside = ~np.eye(len(CLASSES), dtype=bool)
    first, second = np.asarray(one)[outside].astype(float), np.asarray(other)[outside].astype(float)
    if first.std() == 0 or second.std() == 0:
        return float(np.array_equal(first, second))
    return float(np.corrcoef(first, second)[0, 1])

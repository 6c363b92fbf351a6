"""Confusion matrices of groups of trainings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.training_groups import TrainingGroup

MAX_SHOWN_CLASSES = 16
"""A matrix of more classes shows the least accurate of them, and the others as one: a reader looks for those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownClasses:
    """Which classes matrices show: all, or the least accurate and the others as one.

    Attributes:
        names: Of rows and columns, in the order of the labels; the last one may be of the others.
        labels: Those of the classes that are shown one by one.
        num_others: How many classes are shown as one; 0 for none.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...]
    num_others: int

    def reduced(self, confusion: Any) -> Any:
        """Return a matrix [K, K] as it is shown: the rows and the columns of the others are added [k, k]."""
        counts = np.asarray(confusion)
        if not self.num_others:
            return counts
        groups = np.full(len(counts), len(self.labels))
        groups[list(self.labels)] = np.arange(len(self.labels))
        size = len(self.labels) + 1
        shown = np.zeros((size, size), counts.dtype)
        np.add.at(shown, (groups[:, None], groups[None, :]), counts)
        return shown

    def in_words(self) -> list[str]:
        """Return the note on classes that are not shown one by one, if there are any."""
        if not self.num_others:
            return []
        num_classes = self.num_others + len(self.labels)
        text = (
            f"of {num_classes} classes the {len(self.labels)} of which the fewest images are predicted correctly, the "
            "others as one; the result file has all of them"
        )
        return [text]


def shown_classes(groups: Sequence[TrainingGroup]) -> ShownClasses:
    """Return the classes that the matrices of groups of one data set show: the same for all, to be compared."""
    names = groups[0].records[0].class_names
    if len(names) <= MAX_SHOWN_CLASSES:
        return ShownClasses(names=names, labels=tuple(range(len(names))), num_others=0)
    total = np.sum([confusion_of(group) for group in groups], axis=0)
    num_images = total.sum(axis=1)
    accuracies = np.where(num_images > 0, np.diag(total) / np.maximum(num_images, 1), np.inf)
    worst = np.argsort(accuracies, kind="stable")[: MAX_SHOWN_CLASSES - 1]
    labels = tuple(sorted(worst.tolist()))
    num_others = len(names) - len(labels)
    others = f"({plural(num_others, 'other')})"
    while others in names:
        others = f"({others})"
    return ShownClasses(names=(*(names[label] for label in labels), others), labels=labels, num_others=num_others)


def with_shown_classes(groups: Sequence[TrainingGroup]) -> list[tuple[TrainingGroup, ShownClasses]]:
    """Return the groups that have a confusion matrix, in their order, each with the classes that it shows.

    Records of too many classes keep none. Groups of the same classes show the same ones, to be compared.
    """
    by_names: dict[tuple[str, ...], list[TrainingGroup]] = {}
    for group in groups:
        if group.records[0].confusion:
            by_names.setdefault(group.records[0].class_names, []).append(group)
    shown = {names: shown_classes(members) for names, members in by_names.items()}
    return [(group, shown[group.records[0].class_names]) for group in groups if group.records[0].confusion]


def confusion_of(group: TrainingGroup) -> Any:
    """Return the confusion matrices of all seeds, added [K, K]."""
    return np.sum([record.confusion for record in group.records], axis=0)


NOISE_SD = 1.96
"""Standard deviations within which 95% of differences lie by chance."""


def within_noise(baseline: Any, candidate: Any) -> Any:
    """Return for each cell whether two shares of a true class differ by no more than binomial noise [K, K] bool.

    The standard error of a difference of two shares, both of the pooled share p of n and m images, is
    sqrt(p (1 - p) (1 / n + 1 / m)). Where both sides have the same test images this is more than their noise: such
    shares vary together.

    Args:
        baseline: Counts [K, K], true class by predicted class.
        candidate: The same of the other side.
    """
    old, new = np.asarray(baseline, float), np.asarray(candidate, float)
    n, m = (np.maximum(side.sum(axis=1, keepdims=True), 1) for side in (old, new))
    pooled = (old + new) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return np.abs(new / m - old / n) <= NOISE_SD * error


def likeness(one: Any, other: Any) -> float:
    """Return the correlation of the off-diagonal counts of two confusion matrices [K, K]; 1 means the same errors."""
    outside = ~np.eye(len(np.asarray(one)), dtype=bool)
    first, second = np.asarray(one)[outside].astype(float), np.asarray(other)[outside].astype(float)
    if first.std() == 0 or second.std() == 0:
        return float(np.array_equal(first, second))
    return float(np.corrcoef(first, second)[0, 1])

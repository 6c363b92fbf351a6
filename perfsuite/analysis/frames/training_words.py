"""Full trainings in words: accuracy with its interval against the target, and what AMP changed, in a line each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.rows import plain
from perfsuite.formatting import counted
from perfsuite.recipes import SMOKE, TARGET_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def accuracy_percent(row: Mapping[Any, Any]) -> str:
    """Return the test accuracy of a row of `accuracy_frame` with its interval: `83.1% [82.4, 83.8]`."""
    mean, low, high = (f"{100 * row[f'test_accuracy{end}']:.1f}" for end in ("", "_low", "_high"))
    return f"{mean}% [{low}, {high}]"


def accuracy_line(row: Mapping[Any, Any], *, with_name: bool = True) -> str:
    """Return the accuracy of a row of `accuracy_frame` against its target.

    For example `resnet18 amp-fp16 83.1% [82.4, 83.8], target 83.7% minus 2 points: reached`.

    Args:
        row: Of the frame.
        with_name: Whether the label of the row comes first.
    """
    name = f"{row['label']} " if with_name else ""
    words = target_words(row)
    if not words:
        return f"{name}{accuracy_percent(row)}"
    return f"{name}{accuracy_percent(row)}, {words if is_smoke(row) else f'target {words}'}"


def target_words(row: Mapping[Any, Any]) -> str:
    """Return the target of a row and whether it is reached: `83.7% minus 2 points: reached`; nothing without one.

    The recipe smoke has no verdict: all that its accuracy can show is that a network learns.
    """
    target = plain(row["target_accuracy"])
    if target is None:
        return ""
    if is_smoke(row):
        return f"smoke: {LEARNING[row['target_outcome']]}"
    return f"{100 * target:.1f}% minus {100 * row['target_tolerance']:g} points: {row['target_outcome']}"


def is_smoke(row: Mapping[Any, Any]) -> bool:
    """Whether a row of `accuracy_frame` is of the recipe smoke."""
    return str(row["recipe"]) == SMOKE.name


LEARNING = {
    "reached": "learns",
    "missed": "does not learn",
    "cannot tell": "cannot tell whether it learns",
    "not checked": "not checked",
}
"""What the outcome of a target means for the recipe smoke."""


WORST_FIRST = ("missed", "cannot tell", "reached", "not checked")
"""Outcomes of a target, in the order in which a line counts them."""


def accuracies_in_words(rows: Sequence[Mapping[Any, Any]]) -> str:
    """Return the accuracies of all rows in a few words, with how wide their intervals are, and their targets."""
    if len(rows) == 1:
        return accuracy_line(rows[0])
    accuracies = [row["test_accuracy"] for row in rows]
    lowest, highest = (f"{100 * accuracy:.1f}" for accuracy in (min(accuracies), max(accuracies)))
    ends = [abs(row["test_accuracy_low"] - row["test_accuracy"]) for row in rows]
    ends += [abs(row["test_accuracy_high"] - row["test_accuracy"]) for row in rows]
    shown = lowest if lowest == highest else f"{lowest} to {highest}"
    words = f"{shown}%, 95% intervals within ±{100 * max(ends):.1f} points"
    judged = [row for row in rows if not is_smoke(row)]
    if not judged:
        return f"{words}; smoke: {_learning_in_words(rows)}"
    outcomes = Counter(row["target_outcome"] for row in judged)
    targets = [f"{outcomes[name]} {name}" for name in WORST_FIRST if outcomes[name]]
    return f"{words}; targets: {', '.join(targets)}" if targets else words


def _learning_in_words(rows: Sequence[Mapping[Any, Any]]) -> str:
    """Return how many trainings of the recipe smoke learn; without a number where all do the same."""
    outcomes = Counter(LEARNING.get(row["target_outcome"], LEARNING["not checked"]) for row in rows)
    if len(outcomes) == 1:
        return next(iter(outcomes))
    return ", ".join(f"{num} {outcome}" for outcome, num in outcomes.items())


ACCURACY_MARGIN = 0.01
"""The smallest loss of accuracy that counts: one point, 2.6 binomial standard deviations of 10,000 images at 83%."""


def points(margin: float) -> str:
    """Return a difference of accuracies for people: `1 point`."""
    size = f"{100 * margin:.3g}"
    return counted(size, "point")


TOLERANCE_POINTS = f"{100 * TARGET_TOLERANCE:g} points"

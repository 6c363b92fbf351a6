"""Full trainings in words: accuracy with its interval against the target, and what AMP changed, in a line each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.ratio_text import ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import plain
from perfsuite.formatting import counted
from perfsuite.recipes import TARGET_TOLERANCE

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
    target = plain(row["target_accuracy"])
    if target is None:
        return f"{name}{accuracy_percent(row)}"
    words = f"target {100 * target:.1f}% minus {100 * row['target_tolerance']:g} points: {row['target_outcome']}"
    return f"{name}{accuracy_percent(row)}, {words}"


def accuracies_in_words(rows: Sequence[Mapping[Any, Any]]) -> str:
    """Return the accuracies of all rows in a few words, with how wide their intervals are, and their targets."""
    if len(rows) == 1:
        return accuracy_line(rows[0])
    accuracies = [f"{100 * end(row['test_accuracy'] for row in rows):.1f}" for end in (min, max)]
    ends = (abs(row[f"test_accuracy_{end}"] - row["test_accuracy"]) for row in rows for end in ("low", "high"))
    words = f"{' to '.join(dict.fromkeys(accuracies))}%, 95% intervals within ±{100 * max(ends):.1f} points"
    outcomes = Counter(row["target_outcome"] for row in rows)
    counts = {name: outcomes[name] for name in ("missed", "cannot tell", "reached", "not checked")}
    targets = [f"{num} {name}" for name, num in counts.items() if num]
    return f"{words}; targets: {', '.join(targets)}" if targets else words


def amp_line(row: Mapping[Any, Any]) -> str | None:
    """Return what AMP changed in a row of `accuracy_frame`, or None where there is no FP32 to compare with."""
    difference = plain(row.get("accuracy_difference"))
    if difference is None:
        return None
    verdict = "no worse" if row["non_inferior"] else "non-inferiority not shown"
    ratio = ratio_of_row(row, "time_ratio")
    time = "" if ratio is None else f", time {ratio_text(ratio)}"
    bound = f"{100 * row['accuracy_difference_bound']:+.2f}"
    return f"{row['label']} vs FP32: {100 * difference:+.2f} points (lower bound {bound}): {verdict}{time}"


ACCURACY_MARGIN = 0.01
"""The smallest loss of accuracy that counts: one point, 2.6 binomial standard deviations of 10,000 images at 83%."""


def points(margin: float) -> str:
    """Return a difference of accuracies for people: `1 point`."""
    size = f"{100 * margin:.3g}"
    return counted(size, "point")


TOLERANCE_POINTS = f"{100 * TARGET_TOLERANCE:g} points"

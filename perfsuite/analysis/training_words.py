"""Full trainings in words: accuracy with its interval against the target, and what AMP changed, in a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.ratio_text import ratio_of_row, ratio_text

if TYPE_CHECKING:
    from collections.abc import Mapping


def accuracy_percent(row: Mapping[Any, Any]) -> str:
    """Return the test accuracy of a row of `accuracy_frame` with its interval: `83.1% [82.4, 83.8]`."""
    mean, low, high = (f"{100 * row[f'test_accuracy{end}']:.1f}" for end in ("", "_low", "_high"))
    return f"{mean}% [{low}, {high}]"


def accuracy_line(row: Mapping[Any, Any], *, with_name: bool = True) -> str:
    """Return the accuracy of a row of `accuracy_frame` against its target.

    For example `resnet18 amp-fp16 83.1% [82.4, 83.8], target 83.7% minus 2 points: reached`.

    Args:
        row: Of the frame.
        with_name: Whether network, precision and place come first.
    """
    name = f"{row_name(row)} " if with_name else ""
    target = row["target_accuracy"]
    if target is None or target != target:  # noqa: PLR0124 - NaN alone differs
        return f"{name}{accuracy_percent(row)}"
    words = f"target {100 * target:.1f}% minus {100 * row['target_tolerance']:g} points: {row['target_outcome']}"
    return f"{name}{accuracy_percent(row)}, {words}"


def row_name(row: Mapping[Any, Any]) -> str:
    """Return network, precision and, where there are several, the place of a row."""
    return f"{row['model']} {row['precision']}" + (f" ({row['place']})" if row["place"] else "")


def amp_line(row: Mapping[Any, Any]) -> str | None:
    """Return what AMP changed in a row of `accuracy_frame`, or None where there is no FP32 to compare with."""
    difference = row.get("accuracy_difference")
    if difference is None or difference != difference:  # noqa: PLR0124 - NaN alone differs
        return None
    verdict = "no worse" if row["non_inferior"] else "non-inferiority not shown"
    ratio = ratio_of_row(row, "time_ratio")
    time = "" if ratio is None else f", {ratio_text(ratio)} the time"
    bound = f"{100 * row['accuracy_difference_bound']:+.2f}"
    return f"{row_name(row)} vs FP32: {100 * difference:+.2f} points (lower bound {bound}): {verdict}{time}"

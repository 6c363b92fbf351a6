"""Columns of environments side by side: of entries that are one row per label, with the values of each environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import peaks_text, percent_text, speed_text, times_text
from perfsuite.analysis.frames.ratio_text import ratio_of_row
from perfsuite.analysis.tables.table import Column, Priority
from perfsuite.formatting import duration
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    Entry = dict[str, Any]

_OF_A_ROW = ("label", "environment", "fullname")

_UNITS = {"time": "s", "memory": "bytes"}

_PRIORITIES = {"time": Priority.NORMAL, "memory": Priority.DETAIL}


def pivot_by_label(entries: Sequence[Entry]) -> list[Entry]:
    """Return a row per label, with the values of each environment under `<key> <environment>`."""
    pivoted: dict[str, Entry] = {}
    for entry in entries:
        label, environment = entry["label"], entry["environment"]
        values = {f"{key} {environment}": value for key, value in entry.items() if key not in _OF_A_ROW}
        pivoted.setdefault(label, {"label": label}).update(values)
    return list(pivoted.values())


def side_column(metric: str, side: str, environments: Sequence[str], heading: str) -> Column:
    """Show the time or the peak of a side, which any of the environments' entries has."""
    key = f"{metric}_{side}_{_UNITS[metric]}"

    def show(row: Entry) -> str:
        value = row.get(f"{key} {_fullest(row, side, environments)}")
        if value is None:
            return "-"
        if metric == "time":
            return duration(value)
        peak = METRICS["peak_allocated_bytes"].show(value)
        ratio = row.get(f"memory_ratio {environments[0]}") if side == "candidate" else None
        return peak if ratio is None or round(ratio, 3) == 1 else f"{peak} ({percent_text(ratio)})"

    what = "time" if metric == "time" else "peak MiB"
    return Column(heading=f"{heading}: {what}", show=show, numeric=True, priority=_PRIORITIES[metric])


def both_column(metric: str, environment: str) -> Column:
    """Show the times or the peaks of both sides in an environment."""
    text = times_text if metric == "time" else peaks_text

    def show(row: Entry) -> str:
        return text(*(row.get(f"{metric}_{side}_{_UNITS[metric]} {environment}") for side in ("baseline", "candidate")))

    what = "time" if metric == "time" else "peak memory"
    return Column(heading=f"{environment}: {what}", show=show, numeric=True, priority=_PRIORITIES[metric])


def _fullest(row: Entry, side: str, environments: Sequence[str]) -> str:
    """Return the environment whose entry has the most processes of a side: one is compared with as many as it has."""
    return max(environments, key=lambda name: row.get(f"num_{side} {name}") or 0)


def peak_columns(entries: Sequence[Entry], others: Sequence[str], baseline: str) -> list[Column]:
    """Return the peak in the baseline and in each other environment, as far as any is known."""
    sides = (("baseline", others, baseline), *(("candidate", (name,), name) for name in others))
    columns = []
    for side, environments, heading in sides:
        key = f"memory_{side}_bytes"
        if any(entry[key] is not None and entry["environment"] in environments for entry in entries):
            columns.append(side_column("memory", side, environments, heading))
    return columns


def memory_columns(entries: Sequence[Entry], environments: Sequence[str]) -> list[Column]:
    """Return the peaks of both sides in each environment of which memory is known."""
    known = {entry["environment"] for entry in entries if entry["memory_ratio"] is not None}
    return [both_column("memory", name) for name in environments if name in known]


def speed_column(key: str, environment: str, heading: str) -> Column:
    """Show a ratio of times, or a speed-up, as a change of speed in words."""

    def show(row: Entry) -> str:
        ratio = ratio_of_row(row, key, suffix=f" {environment}")
        if ratio is None:
            return "-"
        return speed_text(ratio.inverse() if key == "speedup" else ratio)

    return Column(heading=heading, show=show, numeric=True, priority=Priority.MAIN)


def num_column(environments: Sequence[str], *, within: bool = False) -> Column:
    """Show the samples of each environment, one number where all have as many.

    Args:
        environments: Labels.
        within: Whether both sides are of one environment, and not all compared with one baseline.
    """

    def show(row: Entry) -> str:
        old = [row.get(f"num_baseline {name}", 0) for name in environments]
        new = [row.get(f"num_candidate {name}", 0) for name in environments]
        if within:
            pairs = zip(map(str, old), map(str, new), strict=True)
            return shared_text([" and ".join(dict.fromkeys(pair)) for pair in pairs])
        return shared_text([str(number) for number in (max(old), *new)])

    return Column(heading="n", show=show, numeric=True, priority=Priority.NORMAL)


def shared_text(texts: Sequence[str]) -> str:
    """Return one text where all are the same, else all of them."""
    return texts[0] if len(set(texts)) == 1 else "/".join(texts)


def accuracy_column(side: str, environments: Sequence[str], heading: str) -> Column:
    """Show the accuracy of a side, which any of the environments' entries has."""

    def show(row: Entry) -> str:
        found = [row.get(f"accuracy_{side} {name}") for name in environments]
        accuracy = next((value for value in found if value is not None), None)
        return "-" if accuracy is None else f"{100 * accuracy:.2f}"

    return Column(heading=f"accuracy % on {heading}", show=show, numeric=True)


def points_column(environment: str) -> Column:
    """Show the change of accuracy in points, with its interval."""

    def show(row: Entry) -> str:
        keys = ("accuracy_change", "accuracy_change_low", "accuracy_change_high")
        change, low, high = (row.get(f"{key} {environment}") for key in keys)
        if change is None or low is None or high is None:
            return "-"
        return f"{100 * change:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"

    return Column(heading=f"points on {environment}", show=show, numeric=True, priority=Priority.MAIN)

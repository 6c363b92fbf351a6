"""Which benchmarks and trainings of environments side by side are shown, and in which order."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.selection import in_natural_order, row_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.frames.environments import Across
    from perfsuite.analysis.frames.selection import Expression

    Entry = dict[str, Any]

ACROSS_SORTS = ("change", "name", "time")
"""The largest change in any environment first; the name; the longest time first."""


def chosen_across(found: Across, select: Expression | None, sort: str | None) -> Across:
    """Return what is shown; what is known of it, and geometric means over groups, stay those of all.

    Args:
        found: All.
        select: Which benchmarks and trainings, by their names and labels; None for all.
        sort: Of `ACROSS_SORTS`; None for the order of the files.
    """
    chosen = dataclasses.replace(
        found,
        changes=_chosen(found.changes, select, sort),
        amp=_chosen(found.amp, select, sort),
        trainings=_chosen(found.trainings, select, sort),
        training_amp=_chosen(found.training_amp, select, sort),
    )
    if select is None:
        return chosen
    num_rows, num_shown = _num_rows(found), _num_rows(chosen)
    note = f"shown: {num_shown or 'none'} of {num_rows:,} rows (--select {select.text!r}); geometric means are of all"
    return dataclasses.replace(chosen, notes=(note, *found.notes))


def _num_rows(found: Across) -> int:
    """Return how many rows its tables have: entries of one label are one row."""
    lists = (found.changes, found.amp, found.trainings, found.training_amp)
    return sum(len({entry["label"] for entry in entries}) for entries in lists)


def _chosen(entries: Sequence[Entry], select: Expression | None, sort: str | None) -> tuple[Entry, ...]:
    kept = [entry for entry in entries if select is None or select.matches(row_names(entry))]
    if sort is None:
        return tuple(kept)
    # The environments of one benchmark stay together.
    by_label: dict[str, list[Entry]] = {}
    for entry in kept:
        by_label.setdefault(entry["label"], []).append(entry)
    orders: dict[str, Callable[[str], Any]] = {
        "change": lambda label: -max(map(_size, by_label[label])),
        "name": in_natural_order,
        "time": lambda label: -max(map(_time_s, by_label[label])),
    }
    ordered: list[Entry] = []
    for label in sorted(by_label, key=orders[sort]):
        ordered += by_label[label]
    return tuple(ordered)


def _size(entry: Entry) -> float:
    ratio = entry.get("ratio") or entry.get("speedup")
    return abs(math.log(ratio)) if ratio else -1.0


def _time_s(entry: Entry) -> float:
    return float(entry["time_baseline_s"] or entry["time_candidate_s"] or 0.0)

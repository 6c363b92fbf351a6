"""Environments compared with one of them, as tables for people, and as JSON and CSV for programs: only renders."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.ratio_text import MORE_FILES, bracket_notes, is_interval, ratio_of_row, ratio_text
from perfsuite.analysis.statistics.accuracy import SEED_SD
from perfsuite.analysis.tables.table import Column, Table
from perfsuite.formatting import printable_json
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.analysis.frames.environments import Across

SCHEMA = "perfsuite-across-3"
"""Of the JSON, whose keys are the attributes of `Across`. Version 2: `trainings` and `training_amp`; a label names
memory format, compilation and gradients where they are not the default, and the precision comes before the phase."""

Entry = dict[str, Any]


def across_json(found: Across) -> str:
    """Return it as one JSON object."""
    content = {"schema": SCHEMA, **dataclasses.asdict(found)}
    return printable_json(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def across_rows(found: Across) -> Table:
    """Return one table of all entries for CSV, a row each; `kind` tells what it is, absent values are None.

    `baseline` is what the row is compared with: an environment, or in rows of a kind that ends in `amp` a precision.
    """
    kinds = {
        "benchmark": (found.baseline, found.changes),
        "benchmark_amp": (BASELINE, found.amp),
        "training": (found.baseline, found.trainings),
        "training_amp": (BASELINE, found.training_amp),
    }
    names = dict.fromkeys(name for _, entries in kinds.values() for entry in entries for name in entry)
    rows = [
        {"kind": kind, "baseline": baseline, **dict.fromkeys(names), **entry}
        for kind, (baseline, entries) in kinds.items()
        for entry in entries
    ]
    return Table(title=f"Time and peak memory against {found.baseline}", frame=rows, columns=())


def across_tables(found: Across) -> list[Table]:
    """Return the tables that have rows: benchmarks, what AMP gives in them, the same two of full trainings."""
    tables = [
        *([_changes_table(found)] if found.changes else []),
        *([_amp_table(found)] if found.amp else []),
        *([_trainings_table(found)] if found.trainings else []),
        *([_training_amp_table(found)] if found.training_amp else []),
    ]
    of_all = ("no verdicts: the sides differ in machine or version on purpose", *found.notes)
    first = dataclasses.replace(tables[0], notes=(*tables[0].notes, *of_all))
    return [first, *tables[1:]]


def _changes_table(found: Across) -> Table:
    others = found.environments[1:]
    return Table(
        title=f"Time and peak memory against {found.baseline}: below 1 is faster, smaller",
        frame=_pivot(found.changes),
        columns=(
            Column(heading="benchmark", show=lambda row: row["label"], foldable=True),
            *(_ratio_column("ratio", name) for name in others),
            *_memory_columns(found.changes, others),
        ),
        notes=tuple(bracket_notes(_ratios(found.changes, "ratio"), more=MORE_FILES)),
    )


def _amp_table(found: Across) -> Table:
    return Table(
        title="AMP vs FP32, in each environment",
        frame=_pivot(found.amp),
        columns=(
            Column(heading="workload", show=lambda row: row["label"]),
            *(_ratio_column("speedup", name) for name in found.environments),
            *_memory_columns(found.amp, found.environments),
        ),
        notes=tuple(bracket_notes(_ratios(found.amp, "speedup"))),
    )


def _trainings_table(found: Across) -> Table:
    others = found.environments[1:]
    return Table(
        title=f"Full trainings against {found.baseline}: time and memory below 1 are faster, smaller",
        frame=_pivot(found.trainings),
        columns=(
            Column(heading="training", show=lambda row: row["label"], foldable=True),
            _accuracy_column("baseline", others, found.baseline),
            *(_accuracy_column("candidate", (name,), name) for name in others),
            *_training_columns(found.trainings, others),
        ),
        notes=_training_notes(found.trainings, "environment - baseline"),
    )


def _training_amp_table(found: Across) -> Table:
    return Table(
        title="AMP vs FP32 of full trainings, in each environment: time and memory below 1 are faster, smaller",
        frame=_pivot(found.training_amp),
        columns=(
            Column(heading="training", show=lambda row: row["label"], foldable=True),
            *_training_columns(found.training_amp, found.environments),
        ),
        notes=_training_notes(found.training_amp, "AMP - FP32"),
    )


def _training_columns(entries: Sequence[Entry], environments: Sequence[str]) -> list[Column]:
    return [
        *(_points_column(name) for name in environments),
        *(_ratio_column("ratio", name) for name in environments),
        *_memory_columns(entries, environments),
    ]


def _training_notes(entries: Sequence[Entry], difference: str) -> tuple[str, ...]:
    ratios = _ratios(entries, "ratio")
    compared = [entry for entry in entries if entry["accuracy_change"] is not None]
    notes = []
    if compared:
        notes.append(f"points: {difference}, mean over seeds, with the 95% interval of each by itself")
    if any(entry["accuracy_seeds_dof"] == 0 for entry in compared):
        notes.append(
            f"one seed a side: a standard deviation of {100 * SEED_SD:.2g} points between seeds is assumed, not "
            "measured: --perf-seeds 3"
        )
    if any(not entry["accuracy_is_paired"] for entry in compared):
        notes.append("other seeds or splits on the two sides: accuracies are compared unpaired, which is less sharp")
    notes += bracket_notes(ratios)
    if any(ratio is not None and not is_interval(ratio) for ratio in ratios):
        notes.append("an interval of the time needs trainings of two or more processes a side")
    return tuple(notes)


def _ratios(entries: Iterable[Entry], key: str) -> list[Any]:
    return [ratio_of_row(entry, key) for entry in entries]


def _pivot(entries: Sequence[Entry]) -> list[Entry]:
    """Return a row per label, with the values of each environment under `<key> <environment>`."""
    pivoted: dict[str, Entry] = {}
    for entry in entries:
        label, environment = entry["label"], entry["environment"]
        values = {f"{key} {environment}": value for key, value in entry.items() if key not in _OF_A_ROW}
        pivoted.setdefault(label, {"label": label}).update(values)
    return list(pivoted.values())


_OF_A_ROW = ("label", "environment", "fullname")


def _ratio_column(key: str, environment: str) -> Column:
    def show(row: Entry) -> str:
        ratio = ratio_of_row(row, key, suffix=f" {environment}")
        return "-" if ratio is None else ratio_text(ratio, decimals=3, unit="", brief=True)

    heading = f"time on {environment}" if key == "ratio" else f"speed-up on {environment}"
    return Column(heading=heading, show=show, numeric=True)


def _memory_columns(entries: Sequence[Entry], environments: Sequence[str]) -> list[Column]:
    """Return a column per environment of which memory is known."""
    known = {entry["environment"] for entry in entries if entry["memory_ratio"] is not None}
    return [_memory_column(name) for name in environments if name in known]


def _memory_column(environment: str) -> Column:
    def show(row: Entry) -> str:
        ratio = row.get(f"memory_ratio {environment}")
        return "-" if ratio is None else f"{ratio:.3f}"

    return Column(heading=f"memory on {environment}", show=show, numeric=True)


def _accuracy_column(side: str, environments: Sequence[str], heading: str) -> Column:
    """Show the accuracy of a side, which any of the environments' entries has."""

    def show(row: Entry) -> str:
        found = [row.get(f"accuracy_{side} {name}") for name in environments]
        accuracy = next((value for value in found if value is not None), None)
        return "-" if accuracy is None else f"{100 * accuracy:.2f}"

    return Column(heading=f"accuracy % on {heading}", show=show, numeric=True)


def _points_column(environment: str) -> Column:
    def show(row: Entry) -> str:
        keys = ("accuracy_change", "accuracy_change_low", "accuracy_change_high")
        change, low, high = (row.get(f"{key} {environment}") for key in keys)
        if change is None or low is None or high is None:
            return "-"
        return f"{100 * change:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"

    return Column(heading=f"points on {environment}", show=show, numeric=True)

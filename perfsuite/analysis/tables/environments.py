"""Environments compared with one of them, as tables for people, and as JSON and CSV for programs: only renders."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import SPEED_NOTE, speed_text
from perfsuite.analysis.frames.group_means import group_label
from perfsuite.analysis.frames.ratio_text import MORE_FILES, MORE_STEPS, bracket_notes, is_interval, ratio_of_row
from perfsuite.analysis.statistics.accuracy import SEED_SD
from perfsuite.analysis.tables.environment_columns import (
    accuracy_column,
    both_column,
    memory_columns,
    num_column,
    peak_columns,
    pivot_by_label,
    points_column,
    shared_text,
    side_column,
    speed_column,
)
from perfsuite.analysis.tables.table import Column, Priority, Table
from perfsuite.formatting import printable_json
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfsuite.analysis.frames.environments import Across

SCHEMA = "perfsuite-across-4"
"""Of the JSON, whose keys are the attributes of `Across`. Version 2: `trainings` and `training_amp`; a label names
memory format, compilation and gradients where they are not the default, and the precision comes before the phase.
Version 4: `groups` and `amp_groups`; times, peaks and numbers of processes of both sides."""

Entry = dict[str, Any]


def across_json(found: Across) -> str:
    """Return it as one JSON object."""
    content = {"schema": SCHEMA, **dataclasses.asdict(found)}
    del content["short_names"]  # for people
    return printable_json(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def across_rows(found: Across) -> Table:
    """Return one table of all entries for CSV, a row each; `kind` says what it is, absent values are None.

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
    """Return the tables that have rows.

    Benchmarks, and what AMP gives in them, each followed by means over groups; the first and the third for full
    trainings.
    """
    builders = (
        (found.changes, _changes_table),
        (found.groups, _groups_table),
        (found.amp, _amp_table),
        (found.amp_groups, _amp_groups_table),
        (found.trainings, _trainings_table),
        (found.training_amp, _training_amp_table),
    )
    tables = [_with_short_names(build(found), found.short_names) for entries, build in builders if entries]
    of_all = (*found.notes, "no verdicts: the sides differ in machine or version on purpose")
    if not tables:
        return [Table(title=f"Against {found.baseline}", frame=[], columns=(), notes=of_all)]
    first = dataclasses.replace(tables[0], notes=(*of_all, *tables[0].notes))
    return [first, *tables[1:]]


def _with_short_names(table: Table, names: Mapping[str, str]) -> Table:
    """Return a table in whose words, not in its values, environments have short names."""
    longest_first = sorted(names, key=len, reverse=True)

    def short(text: str) -> str:
        for name in longest_first:
            text = text.replace(name, names[name])
        return text

    columns = tuple(dataclasses.replace(column, heading=short(column.heading)) for column in table.columns)
    legend = tuple(short(line) for line in table.legend)
    return dataclasses.replace(table, title=short(table.title), columns=columns, legend=legend)


MEANS_NOTE = "intervals: a process is one sample, by the geometric mean of its times over the cells of a group"


def _changes_table(found: Across) -> Table:
    others = found.environments[1:]
    return Table(
        title=f"Time and peak memory against {found.baseline}",
        frame=pivot_by_label(found.changes),
        columns=(
            Column(heading="benchmark", show=lambda row: row["label"], foldable=True),
            side_column("time", "baseline", others, found.baseline),
            *(column for name in others for column in _time_columns(name)),
            num_column(others),
            *peak_columns(found.changes, others, found.baseline),
        ),
        legend=(
            f"times: geometric mean over processes of the median of their rounds; {SPEED_NOTE}; {_n_words(found)}",
            *_speed_notes(found.changes, "ratio", more=MORE_FILES),
        ),
    )


def _amp_table(found: Across) -> Table:
    names = found.environments
    return Table(
        title="AMP vs FP32, in each environment",
        frame=pivot_by_label(found.amp),
        columns=(
            Column(heading="workload", show=lambda row: row["label"], foldable=True),
            *(column for name in names for column in _amp_columns(name)),
            num_column(names, within=True),
            *memory_columns(found.amp, names),
        ),
        legend=(f"times: FP32 -> this precision; {SPEED_NOTE}", *_speed_notes(found.amp, "speedup")),
    )


def _groups_table(found: Across) -> Table:
    others = found.environments[1:]
    columns = [speed_column("ratio", name, f"{name}: speed") for name in others]
    title = f"Geometric means against {found.baseline}"
    return _means_table(title, found.groups, columns)


def _amp_groups_table(found: Across) -> Table:
    columns = [speed_column("speedup", name, f"AMP on {name}") for name in found.environments]
    entries = [{_as_speedup(key): value for key, value in entry.items()} for entry in found.amp_groups]
    return _means_table("Geometric means of AMP vs FP32", entries, columns)


def _as_speedup(key: str) -> str:
    return f"speedup{key.removeprefix('ratio')}" if key.startswith("ratio") else key


def _means_table(title: str, entries: Sequence[Entry], columns: Sequence[Column]) -> Table:
    labelled = [{**entry, "label": group_label(entry["by"], entry["value"])} for entry in entries]
    environments = list(dict.fromkeys(entry["environment"] for entry in entries))

    def cells(row: Entry) -> str:
        numbers = [row.get(f"num_cells {name}") for name in environments]
        return shared_text([f"{number}" if number else "-" for number in numbers])

    return Table(
        title=title,
        frame=pivot_by_label(labelled),
        columns=(
            Column(heading="group", show=lambda row: row["label"]),
            Column(heading="cells", show=cells, numeric=True, priority=Priority.NORMAL),
            *columns,
        ),
        notes=(MEANS_NOTE,)
        if any(value is not None for entry in entries for key, value in entry.items() if key.endswith("_level"))
        else (),
    )


def _trainings_table(found: Across) -> Table:
    others = found.environments[1:]
    return Table(
        title=f"Full trainings against {found.baseline}",
        frame=pivot_by_label(found.trainings),
        columns=(
            Column(heading="training", show=lambda row: row["label"], foldable=True),
            accuracy_column("baseline", others, found.baseline),
            *(accuracy_column("candidate", (name,), name) for name in others),
            *_training_columns(found.trainings, others),
        ),
        notes=_training_notes(found.trainings),
        legend=_training_legend(found.trainings, "environment - baseline"),
    )


def _training_amp_table(found: Across) -> Table:
    return Table(
        title="AMP vs FP32 of full trainings, in each environment",
        frame=pivot_by_label(found.training_amp),
        columns=(
            Column(heading="training", show=lambda row: row["label"], foldable=True),
            *_training_columns(found.training_amp, found.environments, within=True),
        ),
        notes=_training_notes(found.training_amp),
        legend=_training_legend(found.training_amp, "AMP - FP32"),
    )


def _training_columns(entries: Sequence[Entry], environments: Sequence[str], *, within: bool = False) -> list[Column]:
    return [
        *(points_column(name) for name in environments),
        *(column for name in environments for column in _training_time_columns(name)),
        num_column(environments, within=within),
        *memory_columns(entries, environments),
    ]


def _training_notes(entries: Sequence[Entry]) -> tuple[str, ...]:
    compared = [entry for entry in entries if entry["accuracy_change"] is not None]
    notes = []
    if any(entry["accuracy_seeds_dof"] == 0 for entry in compared):
        notes.append(
            f"one seed a side: a standard deviation of {100 * SEED_SD:.2g} points between seeds is assumed, not "
            "measured: --perf-seeds 3"
        )
    if any(not entry["accuracy_is_paired"] for entry in compared):
        notes.append("other seeds or splits on the two sides: accuracies are compared unpaired, which is less sharp")
    if any(ratio is not None and not is_interval(ratio) for ratio in _ratios(entries, "ratio")):
        notes.append("an interval of the time needs trainings of two or more processes a side")
    return tuple(notes)


def _training_legend(entries: Sequence[Entry], difference: str) -> tuple[str, ...]:
    lines = []
    if any(entry["accuracy_change"] is not None for entry in entries):
        lines.append(f"points: {difference}, mean over seeds, with the 95% interval of each by itself")
    lines.append(f"times: training times; {SPEED_NOTE}; n: trainings")
    return (*lines, *_speed_notes(entries, "ratio", more=""))


def _ratios(entries: Iterable[Entry], key: str) -> list[Any]:
    return [ratio_of_row(entry, key) for entry in entries]


def _time_columns(environment: str) -> list[Column]:
    """Return the time in an environment, and its change of speed against the baseline."""
    return [
        side_column("time", "candidate", (environment,), environment),
        speed_column("ratio", environment, f"{environment}: speed"),
    ]


def _amp_columns(environment: str) -> list[Column]:
    return [both_column("time", environment), speed_column("speedup", environment, f"AMP on {environment}")]


def _training_time_columns(environment: str) -> list[Column]:
    return [both_column("time", environment), speed_column("ratio", environment, f"{environment}: speed")]


def _speed_notes(entries: Sequence[Entry], key: str, *, more: str = MORE_STEPS) -> list[str]:
    """Return what the brackets of the changes of speed mean, and the words that stand for an interval around 1."""
    ratios = [ratio for ratio in _ratios(entries, key) if ratio is not None]
    shown = [speed_text(ratio.inverse() if key == "speedup" else ratio) for ratio in ratios]
    notes = []
    if any(text.startswith("same within") for text in shown):
        notes.append("same within X%: no more than that is the interval, or the spread, away from no change")
    if any(text.startswith("open") for text in shown):
        notes.append("open: the interval, or the spread, reaches from faster to slower")
    return [*notes, *bracket_notes(ratios, more=more)]


def _n_words(found: Across) -> str:
    return f"n: processes of {' / '.join(found.environments)}"

"""Environments compared with one of them, as tables for people, and as JSON and CSV for programs: only renders."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import SPEED_NOTE, peaks_text, percent_text, speed_text, times_text
from perfsuite.analysis.frames.group_means import group_label
from perfsuite.analysis.frames.ratio_text import MORE_FILES, MORE_STEPS, bracket_notes, is_interval, ratio_of_row
from perfsuite.analysis.statistics.accuracy import SEED_SD
from perfsuite.analysis.tables.table import Column, Priority, Table
from perfsuite.formatting import duration, printable_json
from perfsuite.metrics import METRICS
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.analysis.frames.environments import Across

SCHEMA = "perfsuite-across-4"
"""Of the JSON, whose keys are the attributes of `Across`. Version 2: `trainings` and `training_amp`; a label names
memory format, compilation and gradients where they are not the default, and the precision comes before the phase.
Version 4: `groups` and `amp_groups`; times, peaks and numbers of processes of both sides."""

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
    """Return the tables that have rows.

    Benchmarks, and what AMP gives in them, each followed by means over groups; the first and the third for full
    trainings.
    """
    tables = [
        *([_changes_table(found)] if found.changes else []),
        *([_groups_table(found)] if found.groups else []),
        *([_amp_table(found)] if found.amp else []),
        *([_amp_groups_table(found)] if found.amp_groups else []),
        *([_trainings_table(found)] if found.trainings else []),
        *([_training_amp_table(found)] if found.training_amp else []),
    ]
    of_all = (*found.notes, "no verdicts: the sides differ in machine or version on purpose")
    if not tables:
        return [Table(title=f"Against {found.baseline}", frame=[], columns=(), notes=of_all)]
    first = dataclasses.replace(tables[0], notes=(*of_all, *tables[0].notes))
    return [first, *tables[1:]]


MEANS_NOTE = "intervals: a process is one sample, by the geometric mean of its times over the cells of a group"


def _changes_table(found: Across) -> Table:
    others = found.environments[1:]
    return Table(
        title=f"Time and peak memory against {found.baseline}",
        frame=_pivot(found.changes),
        columns=(
            Column(heading="benchmark", show=lambda row: row["label"], foldable=True),
            _side_column("time", "baseline", others, found.baseline),
            *(column for name in others for column in _time_columns(name)),
            _num_column(others),
            *_peak_columns(found.changes, others, found.baseline),
        ),
        notes=(
            f"times: geometric mean over processes of the median of their rounds; {SPEED_NOTE}; {_n_words(found)}",
            *_speed_notes(found.changes, "ratio", more=MORE_FILES),
        ),
    )


def _amp_table(found: Across) -> Table:
    names = found.environments
    return Table(
        title="AMP vs FP32, in each environment",
        frame=_pivot(found.amp),
        columns=(
            Column(heading="workload", show=lambda row: row["label"], foldable=True),
            *(column for name in names for column in _amp_columns(name)),
            _num_column(names, within=True),
            *_memory_columns(found.amp, names),
        ),
        notes=(f"times: FP32 -> this precision; {SPEED_NOTE}", *_speed_notes(found.amp, "speedup")),
    )


def _groups_table(found: Across) -> Table:
    others = found.environments[1:]
    columns = [_speed_column("ratio", name, f"{name}: speed") for name in others]
    title = f"Geometric means against {found.baseline}"
    return _means_table(title, found.groups, columns)


def _amp_groups_table(found: Across) -> Table:
    columns = [_speed_column("speedup", name, f"AMP on {name}") for name in found.environments]
    entries = [{_as_speedup(key): value for key, value in entry.items()} for entry in found.amp_groups]
    return _means_table("Geometric means of AMP vs FP32", entries, columns)


def _as_speedup(key: str) -> str:
    return f"speedup{key.removeprefix('ratio')}" if key.startswith("ratio") else key


def _means_table(title: str, entries: Sequence[Entry], columns: Sequence[Column]) -> Table:
    labelled = [{**entry, "label": group_label(entry["by"], entry["value"])} for entry in entries]
    environments = list(dict.fromkeys(entry["environment"] for entry in entries))

    def cells(row: Entry) -> str:
        numbers = [row.get(f"num_cells {name}") for name in environments]
        return _shared([f"{number}" if number else "-" for number in numbers])

    return Table(
        title=title,
        frame=_pivot(labelled),
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
        title="AMP vs FP32 of full trainings, in each environment",
        frame=_pivot(found.training_amp),
        columns=(
            Column(heading="training", show=lambda row: row["label"], foldable=True),
            *_training_columns(found.training_amp, found.environments, within=True),
        ),
        notes=_training_notes(found.training_amp, "AMP - FP32"),
    )


def _training_columns(entries: Sequence[Entry], environments: Sequence[str], *, within: bool = False) -> list[Column]:
    return [
        *(_points_column(name) for name in environments),
        *(column for name in environments for column in _training_time_columns(name)),
        _num_column(environments, within=within),
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
    notes.append(f"times: training times; {SPEED_NOTE}; n: trainings")
    notes += _speed_notes(entries, "ratio", more="")
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


def _time_columns(environment: str) -> list[Column]:
    """Return the time in an environment, and its change of speed against the baseline."""
    return [
        _side_column("time", "candidate", (environment,), environment),
        _speed_column("ratio", environment, f"{environment}: speed"),
    ]


def _amp_columns(environment: str) -> list[Column]:
    return [_both_column("time", environment), _speed_column("speedup", environment, f"AMP on {environment}")]


def _training_time_columns(environment: str) -> list[Column]:
    return [_both_column("time", environment), _speed_column("ratio", environment, f"{environment}: speed")]


def _side_column(metric: str, side: str, environments: Sequence[str], heading: str) -> Column:
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


def _both_column(metric: str, environment: str) -> Column:
    """Show the times or the peaks of both sides in an environment."""
    text = times_text if metric == "time" else peaks_text

    def show(row: Entry) -> str:
        return text(*(row.get(f"{metric}_{side}_{_UNITS[metric]} {environment}") for side in ("baseline", "candidate")))

    what = "time" if metric == "time" else "peak memory"
    return Column(heading=f"{environment}: {what}", show=show, numeric=True, priority=_PRIORITIES[metric])


def _fullest(row: Entry, side: str, environments: Sequence[str]) -> str:
    """Return the environment whose entry has the most processes of a side: one is compared with as many as it has."""
    return max(environments, key=lambda name: row.get(f"num_{side} {name}") or 0)


_UNITS = {"time": "s", "memory": "bytes"}

_PRIORITIES = {"time": Priority.NORMAL, "memory": Priority.DETAIL}


def _speed_column(key: str, environment: str, heading: str) -> Column:
    """Show a ratio of times, or a speed-up, as a change of speed in words."""

    def show(row: Entry) -> str:
        ratio = ratio_of_row(row, key, suffix=f" {environment}")
        if ratio is None:
            return "-"
        return speed_text(ratio.inverse() if key == "speedup" else ratio)

    return Column(heading=heading, show=show, numeric=True, priority=Priority.MAIN)


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


def _peak_columns(entries: Sequence[Entry], others: Sequence[str], baseline: str) -> list[Column]:
    """Return the peak in the baseline and in each other environment, as far as any is known."""
    sides = (("baseline", others, baseline), *(("candidate", (name,), name) for name in others))
    columns = []
    for side, environments, heading in sides:
        key = f"memory_{side}_bytes"
        if any(entry[key] is not None and entry["environment"] in environments for entry in entries):
            columns.append(_side_column("memory", side, environments, heading))
    return columns


def _memory_columns(entries: Sequence[Entry], environments: Sequence[str]) -> list[Column]:
    """Return the peaks of both sides in each environment of which memory is known."""
    known = {entry["environment"] for entry in entries if entry["memory_ratio"] is not None}
    return [_both_column("memory", name) for name in environments if name in known]


def _num_column(environments: Sequence[str], *, within: bool = False) -> Column:
    """Show the samples of each environment, one number where all have as many.

    Args:
        environments: Labels.
        within: Whether both sides are of one environment, and not all compared with one baseline.
    """

    def show(row: Entry) -> str:
        pairs = [[row.get(f"num_{side} {name}", 0) for side in ("baseline", "candidate")] for name in environments]
        if within:
            return _shared([" and ".join(dict.fromkeys(map(str, pair))) for pair in pairs])
        return _shared([str(number) for number in (max(old for old, _ in pairs), *(new for _, new in pairs))])

    return Column(heading="n", show=show, numeric=True, priority=Priority.NORMAL)


def _shared(texts: Sequence[str]) -> str:
    """Return one text where all are the same, else all of them."""
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


def _n_words(found: Across) -> str:
    words = f"n: processes of {', '.join(found.environments)}"
    nums = {(entry["num_baseline"], entry["num_candidate"]) for entry in found.changes if entry["ratio"] is not None}
    if (1, 1) in nums and len(nums) > 1:
        return f"{words}; where an environment has one, it is compared with one of the baseline"
    return words


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

    return Column(heading=f"points on {environment}", show=show, numeric=True, priority=Priority.MAIN)

"""Several processes of one cell as one row: what the tables of steps show where they are given several files."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS, place_columns
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.statistics.intervals import geometric_mean, margin_over_processes
from perfsuite.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.results import Results

Row = dict[str, Any]


def pooled_benchmarks(results: Results) -> pd.DataFrame:
    """Return a row per cell and place; the processes that measured it there are put together.

    Of several processes: `time_median_s` is the geometric mean of their medians, `process_margin_ratio` half its 95%
    interval over processes, as a ratio of it, `time_margin_ratio` (of one process) absent, `num_rounds` the sum;
    words are listed once, with the number of processes where not all have them; every other number is the median of
    the processes. Rows of one process, and of benchmarks that are not perfsuite's, stay as they are.

    Returns:
        The columns of `results.benchmarks`; where any cell has several processes, with `num_processes` and
        `process_margin_ratio`.
    """
    frame = results.benchmarks
    if frame.empty or "run_id" not in frame:
        return frame
    rows = rows_of(frame)
    cells = _cells(frame, rows)
    if len(cells) == len(rows):
        return frame
    return pd.DataFrame([_pooled([rows[index] for index in indices]) for indices in cells])


def by_file(results: Results) -> Results:
    """Return results in which every file is a place of its own, so that nothing of two files is put together."""
    frame = results.benchmarks
    return dataclasses.replace(
        results,
        benchmarks=frame if frame.empty else frame.assign(series=frame["file"]),
        pairs=tuple(dataclasses.replace(pair, series=pair.file) for pair in results.pairs),
        trainings=tuple(dataclasses.replace(training, series=training.file) for training in results.trainings),
        numerics=tuple(dataclasses.replace(one, series=one.file) for one in results.numerics),
        scaling=tuple(dataclasses.replace(one, series=one.file) for one in results.scaling),
        files=tuple(dataclasses.replace(file, series=file.label) for file in results.files),
    )


def first_rows(results: Results) -> set[int]:
    """Return which row of `results.benchmarks` is the first process of its cell."""
    frame = results.benchmarks
    if frame.empty or "run_id" not in frame:
        return set(range(len(frame)))
    return {indices[0] for indices in _cells(frame, rows_of(frame))}


def _cells(frame: pd.DataFrame, rows: Sequence[Row]) -> list[list[int]]:
    """Return the rows of each cell, one a process."""
    keys = [*place_columns(frame), *WORKLOAD_COLUMNS]
    groups: dict[tuple[Any, ...], dict[Any, int]] = {}
    for index, row in enumerate(rows):
        is_own = is_known(row["model"])
        key = tuple(row[column] for column in keys) if is_own else (index,)
        groups.setdefault(key, {}).setdefault(row["run_id"] if is_own else index, index)
    return [list(processes.values()) for processes in groups.values()]


def _pooled(rows: Sequence[Row]) -> Row:
    if len(rows) == 1:
        return {**rows[0], "num_processes": 1, "process_margin_ratio": None}
    found = {name: _pooled_value([row[name] for row in rows]) for name in rows[0]}
    medians = [row["time_median_s"] for row in rows]
    margin = None
    if all(is_known(time) and time > 0 for time in medians):
        found["time_median_s"] = geometric_mean(pd.Series(medians))
        found["images_per_second"] = rows[0]["batch_size"] / found["time_median_s"]
        margin = margin_over_processes(medians)
    found["num_rounds"] = sum(int(row["num_rounds"]) for row in rows if is_known(row["num_rounds"]))
    found["time_margin_ratio"] = None
    found["file"] = plural(len({row["file"] for row in rows}), "file")
    return {**found, "num_processes": len(rows), "process_margin_ratio": margin}


def _pooled_value(values: Sequence[Any]) -> Any:
    """Return the median of numbers, and all different words; None where nothing is known."""
    known = [value for value in values if is_known(value)]
    if not known:
        return None
    if all(isinstance(value, bool) for value in known):
        return any(known)
    if all(isinstance(value, int | float) for value in known):
        # A whole number that all have stays one.
        return known[0] if len(set(known)) == 1 else float(statistics.median(known))
    counts = Counter(str(value) for value in known if value != "")
    if not counts or (len(counts) == 1 and counts.total() == len(values)):
        return known[0]
    return "; ".join(f"{text} ({count} of {len(values)} runs)" for text, count in counts.items())

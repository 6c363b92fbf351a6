"""CSV files of Apache Otava, and the `otava.yaml` that reads them.

Source: CsvImporter and create_csv_test_config of apache-otava 0.8. Its importer needs a number in every cell of each
metric that is asked for: series of the same runs share a file, so that one night without a benchmark drops no row of
the others.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.exporters.exported_run import distinct, is_higher_better, limited, newest_first, require
from perfsuite.analysis.history.run_values import PLACES
from perfsuite.atomic_write import write_atomically
from perfsuite.errors import ResultFileError
from perfsuite.formatting import plural, printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfsuite.analysis.exporters.exported_run import ExportedRun
    from perfsuite.analysis.history.run_values import Value

CONFIG = "otava.yaml"

TIME_COLUMN = "time"

MAX_NAME = 900
"""Characters of a benchmark. Source: YAML 1.2, 7.4.2: a key may have 1,024."""

FORMULA_STARTS = ("=", "+", "-", "@")
"""Of a text that a spreadsheet computes."""

ATTRIBUTES = tuple(name.replace(" ", "_") for name in PLACES)


def write_otava(runs: Sequence[ExportedRun], folder: Path) -> tuple[str, ...]:
    """Write the files of runs that say when they were measured, a test each group of series and machine."""
    dated = [one for one in reversed(newest_first(runs)) if one.is_dated and one.values]
    require(dated, "dated values that have a history")
    by_machine: dict[str, list[ExportedRun]] = {}
    for one in dated:
        by_machine.setdefault(one.run.machine, []).append(one)
    files: dict[str, str] = {}
    tests: dict[str, Any] = {}
    for of_machine in by_machine.values():
        for rows, columns in _groups(of_machine):
            name = "perfsuite" if not tests else f"perfsuite-{len(tests) + 1}"
            files[f"{name}.csv"] = _csv([of_machine[row] for row in rows], columns)
            tests[name] = _test(f"{name}.csv", columns)
    # JSON is YAML; a library for YAML would be needed for this alone.
    files[CONFIG] = printable_json(json.dumps({"tests": tests}, indent=1, ensure_ascii=False)) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_atomically(folder / name, text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResultFileError(f"{folder}: cannot be written: {reason}") from None
    return (*_left_out(runs, dated), *_written(folder, tests, dated))


def _left_out(runs: Sequence[ExportedRun], dated: Sequence[ExportedRun]) -> tuple[str, ...]:
    num = len(runs) - len(dated)
    return (f"left out: {plural(num, 'file')} without a date or without values",) if num else ()


def _written(folder: Path, tests: dict[str, Any], dated: Sequence[ExportedRun]) -> tuple[str, ...]:
    first = dt.datetime.fromtimestamp(dated[0].run.started_s, tz=dt.UTC).date() - dt.timedelta(days=1)
    return (
        f"wrote {folder}: {plural(len(dated), 'run')}, {plural(len(tests), 'test')}",
        f"to look at it: cd {folder} && OTAVA_CONFIG={CONFIG} otava analyze {next(iter(tests))} --since {first}",
    )


def _groups(runs: Sequence[ExportedRun]) -> list[tuple[tuple[int, ...], dict[str, Value]]]:
    """Return the series of one machine by the runs that have them: rows, and a value of each by its column."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    columns: dict[str, Value] = {}
    for row, one in enumerate(runs):
        for column, value in _columns(one).items():
            columns.setdefault(column, value)
            rows_of[column].append(row)
    groups: dict[tuple[int, ...], dict[str, Value]] = defaultdict(dict)
    for column, rows in rows_of.items():
        groups[tuple(rows)][column] = columns[column]
    return sorted(groups.items(), key=lambda group: -len(group[0]))


def _columns(one: ExportedRun) -> dict[str, Value]:
    """Return the values by the headings of their columns; a spreadsheet may open them, so none begins a formula."""
    return {_cell(f"{_name(value.benchmark)} {value.metric}"): value for value in one.values}


def _name(benchmark: str) -> str:
    return limited(distinct(printable(benchmark), benchmark), MAX_NAME)


def _cell(text: str) -> str:
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(FORMULA_STARTS) else shown


def _csv(runs: Sequence[ExportedRun], columns: dict[str, Value]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([TIME_COLUMN, *ATTRIBUTES, *columns])
    for one in runs:
        moment = dt.datetime.fromtimestamp(one.run.started_s, tz=dt.UTC).isoformat(timespec="seconds")
        place = [_cell(one.run.place.get(name, "")) for name in PLACES]
        values = _columns(one)
        writer.writerow([moment, *place, *(repr(values[column].value) for column in columns)])
    return stream.getvalue()


def _test(file: str, columns: dict[str, Value]) -> dict[str, Any]:
    metrics = {
        column: {"column": column, "direction": 1 if is_higher_better(value) else -1}
        for column, value in columns.items()
    }
    return {
        "type": "csv",
        "file": file,
        "time_column": TIME_COLUMN,
        "attributes": list(ATTRIBUTES),
        "metrics": metrics,
    }

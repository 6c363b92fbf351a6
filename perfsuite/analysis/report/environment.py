"""Where results were measured, as a table, and how: the section of the page on environment and method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.rows import plain, rows_of
from perfsuite.analysis.load.environment_columns import ENVIRONMENT_COLUMNS
from perfsuite.analysis.tables.table import Table, text_column

if TYPE_CHECKING:
    from perfsuite.analysis.figures.figure_data import FigureData

METHOD = (
    (
        "Times are those of one iteration. The timer waits for the device before it is read, once per round and never "
        "per iteration; warm-up lasts until times have stopped falling. A precision is verified to be active in every "
        "cell before it is timed: fp32 is IEEE single precision with TF32 switched off."
    ),
    (
        "[low, high] is a 95% interval over processes, or, marked A/A, from one process and the noise floor of its "
        "machine. (low to high) is not a confidence interval but the spread within one run, over its rounds or its "
        "interleaved blocks. A ratio without either says so."
    ),
    (
        "Verdicts treat a process as one sample; the probability of any false alarm among all benchmarks is limited. "
        "Peak memory is deterministic: growth beyond the allocator's rounding is a regression."
    ),
    "Values that could not be measured are a dash in tables and have no bar in figures; they are never shown as zero.",
)

HEADINGS = {"power_limit_watts": "power limit W", "num_threads": "threads", "cuda": "CUDA", "cudnn": "cuDNN"}

MAX_TURNED = 6
"""Environments that are shown side by side."""


def environments_table(figure_data: FigureData) -> Table:
    """Return a row per environment, and in how many files it stands."""
    frame = _environments(figure_data)
    columns = []
    if not frame.empty:
        shown = [name for name in ENVIRONMENT_COLUMNS if frame[name].notna().any()]
        columns += [text_column(name, HEADINGS.get(name)) for name in shown]
        columns.append(text_column("num_files", "files"))
    return Table(title=f"Environments: {len(frame)}", frame=frame, columns=tuple(columns))


def _environments(figure_data: FigureData) -> pd.DataFrame:
    """Return a row per environment, and in which files it stands."""
    results = figure_data.results
    records: list[dict[Any, Any]] = [] if results.benchmarks.empty else rows_of(results.benchmarks)
    records += [entry.origin for entry in results.entries]
    files: dict[tuple[Any, ...], dict[Any, None]] = {}
    for record in records:
        values = tuple(plain(record.get(name)) for name in ENVIRONMENT_COLUMNS)
        files.setdefault(values, {})[record["file"]] = None
    rows = []
    for values, names in files.items():
        environment = dict(zip(ENVIRONMENT_COLUMNS, values, strict=True))
        rows.append({**environment, "num_files": len(names), "files": ", ".join(map(str, names))})
    return pd.DataFrame(rows)


def turned(table: Table) -> Table:
    """Return a table with an environment per column, which phones can show: properties are many, environments few."""
    rows = table.rows()
    if len(rows) > MAX_TURNED:
        return Table(title=table.title, frame=table.frame, columns=table.columns)
    names = [f"environment {index}" for index in range(1, len(rows) + 1)] if len(rows) > 1 else ["value"]
    found = []
    for column in table.columns:
        texts = dict(zip(names, map(column.show, rows), strict=True))
        found.append({"property": column.heading, **texts})
    return Table(title=table.title, frame=found, columns=tuple(text_column(name) for name in ("property", *names)))

"""What tables share: which columns distinguish rows, what all rows have in common, and the notes below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS, differing_columns, place_columns
from perfsuite.analysis.frames.foreign_findings import findings_in_words
from perfsuite.analysis.frames.labels import differs, origin_text
from perfsuite.analysis.frames.pooled import first_rows
from perfsuite.analysis.frames.row_warnings import has_warnings
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.training_groups import heading_of, value_in_words
from perfsuite.analysis.tables.table import Column, text_column
from perfsuite.records.workload import rate_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.results import Results


SHORT_HEADINGS = {
    "batch_size": "batch",
    "image_size": "pixels",
    "num_classes": "classes",
    "cudnn_benchmark": "cuDNN benchmark",
    "compile_mode": "compile",
    "cuda_graphs": "CUDA graphs",
    "model_digest": "digest",
}


def throughput_heading(frame: pd.DataFrame) -> str:
    """Return what is counted in a second: images, unless a network or callable of others may take something else."""
    if "model_digest" not in frame:
        return "images/s"
    units = {
        rate_unit(digest, phase) for digest, phase in zip(frame["model_digest"].fillna(""), frame["phase"], strict=True)
    }
    return "samples/s" if "samples/s" in units else "images/s"


def without(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the frame without those columns, as far as it has them."""
    return frame.drop(columns=[column for column in columns if column in frame])


def warnings_column(frame: pd.DataFrame, *, source: str = "warnings") -> Column:
    """Return a column for what spoils a row, shown where any row has something."""
    return text_column(source, "warnings", foldable=True, shown_when=has_warnings(frame, source))


def batch_column(frame: pd.DataFrame) -> Column:
    """Return a column for the batch size, shown where there are several."""
    return text_column("batch_size", "batch", shown_when=differs(frame, "batch_size"))


def distinguishing_columns(frame: pd.DataFrame) -> list[Column]:
    """Return columns for what differs between the files."""
    return [origin_column(name) for name in differing_columns(frame)]


def is_pooled(frame: pd.DataFrame) -> bool:
    """Whether any row of `pooled_benchmarks` is several processes together."""
    return "num_processes" in frame and bool((frame["num_processes"] > 1).any())


def cell_keys(frame: pd.DataFrame) -> list[str]:
    """Return what distinguishes rows of `pooled_benchmarks`: the file only where each row is of one."""
    return place_columns(frame) if is_pooled(frame) else differing_columns(frame)


def cell_columns(frame: pd.DataFrame) -> list[Column]:
    """Return columns for what distinguishes rows of `pooled_benchmarks`."""
    return [origin_column(name) for name in cell_keys(frame)]


def pooled_legend(frame: pd.DataFrame) -> list[str]:
    """Return what a reader must know of rows that are several processes together; nothing where there are none."""
    if not is_pooled(frame):
        return []
    fewest, most = int(frame["num_processes"].min()), int(frame["num_processes"].max())
    number = f"{most}" if fewest == most else f"{fewest} to {most}"
    means = "times are geometric means, other numbers medians"
    return [f"each row is {number} runs together: {means}; ±: 95% interval over runs; a row per run: --by-file"]


def place_table_columns(frame: pd.DataFrame) -> list[Column]:
    """Return columns for what must not be put into one number; see `place_columns`."""
    return [origin_column(name) for name in place_columns(frame)]


def origin_column(name: str) -> Column:
    """Show where a row comes from: a column of the environment, the series or the file."""
    heading = name.replace("_", " ")
    return Column(
        heading=heading, show=lambda row: origin_text(name, row[name]), foldable=name in {"file", "series", "cpu"}
    )


def notes_of(results: Results) -> tuple[str, ...]:
    """Return what is listed below every table: notes on the files, findings, cells without a result."""
    notes = list(results.notes)
    frame = results.benchmarks
    if "findings" in frame:
        ours = frame["run_id"].notna() if "run_id" in frame else pd.Series(data=False, index=frame.index)
        found = frame["findings"].fillna("")
        notes += findings_in_words(zip(frame["name"][~ours], found[~ours], strict=True))
        notes += [f"{row.name}: {row.findings}" for row in frame[ours & (found != "")].itertuples()]
    for entry in results.entries:
        notes += [f"{entry.name}: {finding}" for finding in entry.record.findings]
    notes += results.outcomes_in_words()
    return tuple(notes)


def value_columns(names: Sequence[str]) -> list[Column]:
    """Return columns that show those values."""
    return [_value_column(name) for name in names]


def _value_column(name: str) -> Column:
    return Column(heading=heading_of(name), show=lambda row: value_in_words(name, row[name]))


def one_of_each_cell(results: Results) -> tuple[list[str], dict[int, dict[str, Any]], bool]:
    """Return what is shown of the cells where each stands once: what is inside an iteration is alike in all processes.

    Returns:
        The columns that say where a cell was measured, the identity of each row that is shown by its index in
        `results.benchmarks`, and whether there are other processes of them.
    """
    first = first_rows(results)
    several = len(first) < len(results.benchmarks)
    places = place_columns(results.benchmarks) if several else differing_columns(results.benchmarks)
    names = dict.fromkeys(("fullname", "file", *places, *WORKLOAD_COLUMNS))
    rows = rows_of(results.benchmarks)
    return list(places), {index: {name: rows[index][name] for name in names} for index in sorted(first)}, several

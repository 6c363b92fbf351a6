"""What tables share: which columns tell rows apart, what all rows have in common, and the notes below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.collect import differing_columns, place_columns
from perfsuite.analysis.foreign_findings import findings_in_words
from perfsuite.analysis.result_file import short_commit
from perfsuite.analysis.row_warnings import has_warnings
from perfsuite.analysis.tables import Column, text_column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.collect import Results

SHORT_HEADINGS = {"batch_size": "batch", "cudnn_benchmark": "cuDNN benchmark"}


def without(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the frame without those columns, as far as it has them."""
    return frame.drop(columns=[column for column in columns if column in frame])


def varying(frame: pd.DataFrame, columns: tuple[str, ...], always: tuple[str, ...]) -> list[str]:
    """Return the columns that tell rows apart, and those that are always shown."""
    return [column for column in columns if column in always or frame[column].nunique(dropna=False) > 1]


def warnings_columns(frame: pd.DataFrame, *, source: str = "warnings") -> list[Column]:
    """Return a column for what spoils a row, where any row has something."""
    return [text_column(source, "warnings", foldable=True)] if has_warnings(frame, source) else []


def batch_columns(frame: pd.DataFrame) -> list[Column]:
    """Return a column for the batch size where there are several."""
    return [text_column("batch_size", "batch")] if frame["batch_size"].nunique() > 1 else []


def has_any(frame: pd.DataFrame, key: str, *, zero: bool = False) -> bool:
    """Whether a column has anything to show: a value, and one other than 0 unless zero counts."""
    if key not in frame:
        return False
    values = pd.to_numeric(frame[key]).dropna()
    return not values.empty and (zero or bool((values != 0).any()))


def telling_apart(frame: pd.DataFrame) -> list[Column]:
    """Return columns for what differs between the files."""
    return [origin_column(name) for name in differing_columns(frame)]


def name_column(frame: pd.DataFrame) -> str:
    """Return which column names a benchmark: its name without the path, where no two benchmarks share it."""
    is_unique = not frame.empty and frame.groupby("name")["fullname"].nunique().max() == 1
    return "name" if is_unique else "fullname"


def place_table_columns(frame: pd.DataFrame) -> list[Column]:
    """Return columns for what must not be put into one number; see `place_columns`."""
    return [origin_column(name) for name in place_columns(frame)]


def origin_column(name: str) -> Column:
    """Show where a row comes from: a column of the environment, the series or the file."""
    if name == "commit":
        return Column(heading="commit", show=lambda row: short_commit(row["commit"]) or "-")
    return text_column(name, foldable=name in {"file", "series", "cpu"})


def place_in_words(columns: Sequence[Column], row: dict[str, Any]) -> str:
    """Return the columns of a row that distinguish its place as `Tesla T4, torch 2.13.0`."""
    parts = [(column.heading, column.show(row)) for column in columns]
    return ", ".join(text if heading in _SAY_WHAT_THEY_ARE else f"{heading} {text}" for heading, text in parts)


_SAY_WHAT_THEY_ARE = {"device", "cpu", "series"}


def shared_in_words(frame: pd.DataFrame) -> str:
    """Return what all rows share of workload and environment, for the title; what goes without saying is left out."""
    if frame.empty:
        return ""
    shared = {column: frame[column].iloc[0] for column in frame if column in _IN_TITLE and _is_shared(frame[column])}
    workload = [words(shared[column]) for column, words in _WORKLOAD_IN_WORDS.items() if column in shared]
    where = [f"{label}{shared[column]}" for column, label in _ENVIRONMENT_IN_WORDS.items() if column in shared]
    text = "".join(f", {part}" for part in workload if part)
    return text + (f" on {', '.join(where)}" if where else "")


def _is_shared(values: pd.Series[Any]) -> bool:
    return bool(values.notna().all()) and values.nunique() == 1


_WORKLOAD_IN_WORDS: dict[str, Callable[[Any], str]] = {
    "batch_size": lambda size: f"batch {size}",
    "memory_format": lambda name: "" if name == "contiguous" else str(name),
    "compiled": lambda compiled: "compiled" if compiled else "",
    "gradients": lambda name: "" if name == "freed" else f"gradients {name}",
    "cudnn_benchmark": lambda is_on: "cuDNN benchmark" if is_on else "",
}
_ENVIRONMENT_IN_WORDS = {"device": "", "torch": "torch ", "cuda": "CUDA ", "driver": "driver "}
_IN_TITLE = {*_WORKLOAD_IN_WORDS, *_ENVIRONMENT_IN_WORDS}


def notes_of(results: Results) -> tuple[str, ...]:
    """Return what is listed below every table: notes on the files, findings, cells without a result."""
    notes = list(results.notes)
    frame = results.benchmarks
    if "findings" in frame:
        ours = frame["run_id"].notna() if "run_id" in frame else pd.Series(data=False, index=frame.index)
        found = frame["findings"].fillna("")
        notes += findings_in_words(zip(frame["name"][~ours], found[~ours], strict=True))
        notes += [f"{row.name}: {row.findings}" for row in frame[ours & (found != "")].itertuples()]
    notes += [f"{pair.name}: {finding}" for pair in results.pairs for finding in pair.record.findings]
    notes += [f"{one.name}: {finding}" for one in results.trainings for finding in one.record.findings]
    notes += results.outcomes_in_words()
    return tuple(notes)

"""Rows in words: where they were measured, what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.columns import SPREAD_COLUMNS, WORKLOAD_COLUMNS, naming_columns
from perfsuite.analysis.frames.device_names import short_device_names
from perfsuite.analysis.frames.rows import is_known, plain, rows_of
from perfsuite.analysis.load.result_file import short_commit
from perfsuite.records.spread_workload import spread_in_words
from perfsuite.records.workload import IMAGE_SIZE, NUM_CLASSES, compile_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


PHASE_TITLES = {
    "train_step": "whole training step",
    "forward": "forward",
    "backward": "backward",
    "inference": "inference",
    "call": "call",
}
"""In the order in which they are shown: the whole first, which is what users wait for."""


def place_words(frame: pd.DataFrame) -> Callable[[Mapping[Any, Any]], str]:
    """Return what names the place of a row, by `naming_columns`; nothing where all rows have the same."""
    names = naming_columns(frame)
    devices = short_devices(rows_of(frame[[name for name in names if name in _DEVICES]])) if names else {}

    def words(row: Mapping[Any, Any]) -> str:
        return place_in_words(names, {name: plain(row[name]) for name in names}, devices)

    return words


def short_devices(rows: Iterable[Mapping[Any, Any]]) -> dict[str, str]:
    """Return the short name of each GPU and CPU of some rows."""
    names = {str(row[column]) for row in rows for column in _DEVICES if is_known(row.get(column))}
    return short_device_names(names)


def place_in_words(names: Sequence[str], row: Mapping[str, Any], devices: Mapping[str, str]) -> str:
    """Return the columns of a row that distinguish its place as `T4, torch 2.13.0`.

    Args:
        names: Those columns.
        row: With these columns.
        devices: Short names of GPUs and CPUs, see `short_devices`.
    """
    return ", ".join(_place_part(name, row[name], devices) for name in names)


_DEVICES = ("device", "cpu")

_UNITS = {"power_limit_watts": "W", "num_threads": "threads"}
"""What follows a number that says what it is by its unit."""


def _place_part(name: str, value: Any, devices: Mapping[str, str]) -> str:
    text = origin_text(name, value)
    if name in _DEVICES:
        return devices.get(text, text)
    if name in _UNITS:
        number = f"{value:g}" if isinstance(value, float) else text
        return f"{number} {_UNITS[name]}"
    return text if name == "series" else f"{name.replace('_', ' ')} {text}"


def origin_text(name: str, value: Any) -> str:
    """Return a value that says where a row comes from; a dash where it is absent."""
    if name == "commit":
        return short_commit(value) or "-"
    return "-" if value is None else str(value)


def workload_words(
    frame: pd.DataFrame, but: Sequence[str] = ("precision", "phase")
) -> Callable[[Mapping[Any, Any]], str]:
    """Return what names a workload: its network, and what else varies between the rows."""
    shown = varying(frame, tuple(column for column in WORKLOAD_COLUMNS if column not in but), ("model",))

    def words(row: Mapping[Any, Any]) -> str:
        parts = [text for column in shown if (text := _part(column, row[column]))]
        return " ".join([*parts, *spread_parts(row)])

    return words


def spread_parts(row: Mapping[Any, Any]) -> list[str]:
    """Return how the step of a row is spread over ranks, in words; nothing where it is of one device."""
    values = [plain(row.get(column)) for column in SPREAD_COLUMNS]
    return [] if values[0] is None else [spread_in_words(*values)]


def _part(column: str, value: Any) -> str:
    return _PARTS.get(column, str)(value)


_SETTINGS: dict[str, Callable[[Any], str]] = {
    "memory_format": lambda name: "" if name == "contiguous" else str(name),
    "compile_mode": compile_in_words,
    "gradients": lambda name: "" if name == "freed" else f"gradients {name}",
    "cudnn_benchmark": lambda is_on: "cuDNN benchmark" if is_on else "",
    "cuda_graphs": lambda is_on: "CUDA graphs" if is_on else "",
}
"""Settings of a workload in words; nothing where it is the default."""

_PARTS: dict[str, Callable[[Any], str]] = {
    "batch_size": lambda size: f"b{size}",
    "image_size": lambda size: f"{size}px",
    "num_classes": lambda number: f"{number} classes",
    **_SETTINGS,
    "model_digest": lambda digest: f"({digest[:6]})" if digest else "",
}
"""Parts of a workload in words; nothing where it is the default, but for the images and their classes."""


def compared_name(precisions: Iterable[str], other: str = "Other precisions") -> str:
    """Return what is compared with FP32, in a word or two, by the names of the precisions.

    Args:
        precisions: All that are compared with it.
        other: What they are called where not all are AMP.
    """
    return "AMP" if all(str(name).startswith("amp") for name in precisions) else other


def phase_rank(phase: str) -> int:
    """Return where a phase stands in the order in which phases are shown."""
    return list(PHASE_TITLES).index(phase) if phase in PHASE_TITLES else len(PHASE_TITLES)


def titled(what: str, place: str) -> str:
    """Return the heading of a panel: what it is about, and in a second line where, if there are several places."""
    return f"{what}\n{place}" if place else what


def span(values: Sequence[int]) -> str:
    """Return whole numbers as `5` or `5 to 8`."""
    if not values:
        return "0"
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def enumerate_words(parts: Sequence[str]) -> str:
    """Return `a, b and c`."""
    if len(parts) <= 1:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def varying(frame: pd.DataFrame, columns: tuple[str, ...], always: tuple[str, ...]) -> list[str]:
    """Return the columns that distinguish rows, and those that are always shown."""
    return [column for column in columns if column in always or _varies(frame, column)]


def _varies(frame: pd.DataFrame, column: str) -> bool:
    """Whether rows differ in a column; the digest of a network only distinguishes those of one name."""
    if column == "model_digest":
        return bool(frame.groupby("model", dropna=False)[column].nunique(dropna=False).gt(1).any())
    return bool(frame[column].nunique(dropna=False) > 1)


def has_any(frame: pd.DataFrame, key: str, *, zero: bool = False) -> bool:
    """Whether a column has anything to show: a value, and one other than 0 unless zero counts."""
    if key not in frame:
        return False
    values = pd.to_numeric(frame[key]).dropna()
    return not values.empty and (zero or bool((values != 0).any()))


def differs(frame: pd.DataFrame, key: str) -> bool:
    """Whether a column has more than one value."""
    return bool(frame[key].nunique() > 1)


def shared_in_words(frame: pd.DataFrame) -> str:
    """Return what all rows share of workload and environment, for the title; what goes without saying is left out."""
    if frame.empty:
        return ""
    shared = {column: frame[column].iloc[0] for column in frame if column in _IN_TITLE and _is_shared(frame[column])}
    text = _in_title(shared)
    where = [f"{label}{shared[column]}" for column, label in _ENVIRONMENT_IN_WORDS.items() if column in shared]
    return f"{text} on {', '.join(where)}" if where else text


def _in_title(shared: Mapping[Any, Any]) -> str:
    """Return the columns of a workload that all rows share in words, for a title."""
    parts = [words(shared[column]) for column, words in _WORKLOAD_IN_WORDS.items() if column in shared]
    return "".join(f", {part}" for part in parts if part)


def images_in_words(frame: pd.DataFrame) -> str:
    """Return what all rows share of their images and classes, for a title; nothing where they are CIFAR-10's."""
    shared = [name for name in ("image_size", "num_classes") if _is_shared(frame[name])]
    return _in_title({name: frame[name].iloc[0] for name in shared})


def _is_shared(values: pd.Series[Any]) -> bool:
    return bool(values.notna().all()) and values.nunique() == 1


_WORKLOAD_IN_WORDS: dict[str, Callable[[Any], str]] = {
    "batch_size": lambda size: f"batch {size}",
    "image_size": lambda size: "" if size == IMAGE_SIZE else f"{size}x{size} pixels",
    "num_classes": lambda number: "" if number == NUM_CLASSES else f"{number} classes",
    **_SETTINGS,
}


_ENVIRONMENT_IN_WORDS = {"device": "", "torch": "torch ", "cuda": "CUDA ", "driver": "driver "}


_IN_TITLE = {*_WORKLOAD_IN_WORDS, *_ENVIRONMENT_IN_WORDS}


def name_column(frame: pd.DataFrame) -> str:
    """Return which column names a benchmark: its name without the path, where no two benchmarks share it."""
    is_unique = not frame.empty and frame.groupby("name")["fullname"].nunique().max() == 1
    return "name" if is_unique else "fullname"

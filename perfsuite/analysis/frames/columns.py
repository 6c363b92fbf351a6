"""Columns by what they say: the workload, where it was measured, what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.load.environment_columns import (
    ENVIRONMENT_COLUMNS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


WORKLOAD_COLUMNS = (
    "model",
    "precision",
    "phase",
    "batch_size",
    "image_size",
    "memory_format",
    "compile_mode",
    "gradients",
    "device_type",
    "cudnn_benchmark",
    "num_classes",
    "cuda_graphs",
    "model_digest",
)


SPREAD_COLUMNS = ("world_size", "strategy", "compression", "scaling")
"""How a step is spread over ranks; absent where it is of one device."""


PAIRING_COLUMNS = tuple(column for column in WORKLOAD_COLUMNS if column != "precision")
"""The workload but for its precision: what FP32 and AMP must share to be compared."""


def differing_columns(benchmarks: pd.DataFrame) -> list[str]:
    """Return the columns that distinguish the files: what differs between environments, else the file's name."""
    found = _differing_environment(benchmarks)
    if _several(benchmarks, "file") and (not found or _several_within(benchmarks, found, "file")):
        found.append("file")
    return found


def place_columns(benchmarks: pd.DataFrame) -> list[str]:
    """Return the columns that distinguish what must not be put into one number, be it several processes or not.

    These are the environments, and within one of them the series of files, where several of them measured the same:
    `before.json` and `after.json` are two, `run-1.json` and `run-2.json` are one, like `fp32.json` and `amp.json`.
    """
    found = _differing_environment(benchmarks)
    if not benchmarks.empty and _several_within(benchmarks, [*found, "name"], "series"):
        found.append("series")
    return found


def _differing_environment(benchmarks: pd.DataFrame) -> list[str]:
    if benchmarks.empty:
        return []
    # The host of a training that an earlier run did is not known, nor the board in files of before it was recorded;
    # an unknown one distinguishes nothing.
    may_be_unknown = {"host", "board"}
    found = [name for name in ENVIRONMENT_COLUMNS if benchmarks[name].nunique(dropna=name in may_be_unknown) > 1]
    implications = (("board", ("device", "cpu", "host")), ("host", ("device", "cpu")), ("cpu", ("device",)))
    return _without_implied(benchmarks, found, implications)


def naming_columns(benchmarks: pd.DataFrame) -> list[str]:
    """Return the columns that name a place in words: `place_columns` without what follows from a GPU or a version."""
    implications = (
        ("power_limit_watts", ("device", "board")),
        ("num_threads", ("device", "cpu", "host")),
        ("driver", ("device",)),
        ("cudnn", ("torch",)),
        ("cuda", ("torch",)),
        ("torchvision", ("torch",)),
    )
    return _without_implied(benchmarks, place_columns(benchmarks), implications)


def _without_implied(
    benchmarks: pd.DataFrame, columns: Sequence[str], implications: Sequence[tuple[str, tuple[str, ...]]]
) -> list[str]:
    """Leave out columns that others imply: each value of those has one of its own."""
    found = list(columns)
    for implied, by in implications:
        known = [column for column in by if column in found]
        if implied in found and known and not _several_within(benchmarks, known, implied):
            found.remove(implied)
    return found


def _several(benchmarks: pd.DataFrame, column: str) -> bool:
    return not benchmarks.empty and benchmarks[column].nunique() > 1


def _several_within(benchmarks: pd.DataFrame, columns: list[str], column: str) -> bool:
    """Tell whether a column has several values in rows that are the same in others."""
    return bool(benchmarks.groupby(columns, dropna=False)[column].nunique(dropna=False).gt(1).any())


LEDGER_PARTS = (
    "parameters_bytes",
    "gradients_bytes",
    "optimizer_bytes",
    "activations_bytes",
    "autocast_bytes",
    "temporary_bytes",
    "other_bytes",
)
"""What a peak is made of; the parts add up to what is predicted."""

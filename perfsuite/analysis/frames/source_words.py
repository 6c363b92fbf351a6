"""Where the numbers of a figure come from, in one line, for a figure that is shown by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.labels import enumerate_words, short_devices
from perfsuite.analysis.frames.rows import is_known
from perfsuite.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.analysis.frames.results import Results

MAX_NAMED = 3
"""Of several GPUs or versions, so many are named; the others are counted."""


def source_words(results: Results) -> str:
    """Return `Measured on T4, torch 2.13.0, CUDA 13.0, driver 580.95, batch 128; 5 files`."""
    devices = _values(results, "device")
    on = devices or _values(results, "cpu")
    short = short_devices([{"device": name} for name in on])
    parts = [_listed([short[name] for name in on])] if on else []
    for column, label in (("torch", "torch"), ("cuda", "CUDA"), ("driver", "driver")):
        values = _values(results, column)
        parts += [f"{label} {_listed(values)}"] if values else []
    batch_sizes = sorted({int(value) for value in _column(results, "batch_size")})
    parts += [f"batch {_listed([str(size) for size in batch_sizes])}"] if batch_sizes else []
    num_files = len(_values(results, "file"))
    measured = f"Measured on {', '.join(parts)}; " if parts else ""
    return f"{measured}{plural(num_files, 'file')}."


def _listed(values: list[str]) -> str:
    others = len(values) - MAX_NAMED
    return enumerate_words([*values[:MAX_NAMED], f"{others} more"] if others > 0 else values)


def _values(results: Results, column: str) -> list[str]:
    """Return the values of a column of the environment, or of the files, in their order."""
    found = _column(results, column)
    found += [pair.file if column == "file" else pair.environment.get(column) for pair in results.pairs]
    found += [training.file if column == "file" else training.environment.get(column) for training in results.trainings]
    return [str(value) for value in _unique(found)]


def _column(results: Results, column: str) -> list[Any]:
    return _unique(results.benchmarks[column]) if column in results.benchmarks else []


def _unique(values: Iterable[Any]) -> list[Any]:
    return [value for value in dict.fromkeys(values) if is_known(value)]

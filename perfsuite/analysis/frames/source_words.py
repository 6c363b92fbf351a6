"""Where the numbers of a figure come from, in one line, for a figure that is shown by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.labels import enumerate_words, short_devices
from perfsuite.analysis.frames.rows import is_known
from perfsuite.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.results import Results

MAX_NAMED = 3
"""Of several GPUs or versions, so many are named; the others are counted."""


def source_words(results: Results, *, baseline: Results | None = None) -> str:
    """Return a sentence: `Measured on T4, torch 2.13.0, CUDA 13.0, driver 580.95, batch 128; 5 files`.

    Args:
        results: What is drawn.
        baseline: What it is compared with; `5 files, and 5 of the baseline` then.
    """
    shown = [results] if baseline is None else [results, baseline]
    num_files = plural(len(_values([results], "file")), "file")
    if baseline is not None:
        num_files += f", and {len(_values([baseline], 'file'))} of the baseline"
    parts = _parts(shown)
    measured = f"Measured on {', '.join(parts)}; " if parts else ""
    return f"{measured}{num_files}."


def _parts(shown: Sequence[Results]) -> list[str]:
    """Return on what and with what it was measured."""
    parts = []
    devices = _values(shown, "device") or _values(shown, "cpu")
    if devices:
        short = short_devices([{"device": name} for name in devices])
        parts.append(_listed([short[name] for name in devices]))
    for column, label in (("torch", "torch"), ("cuda", "CUDA"), ("driver", "driver")):
        values = _values(shown, column)
        if values:
            parts.append(f"{label} {_listed(values)}")
    batch_sizes: set[int] = set()
    for results in shown:
        batch_sizes |= {int(value) for value in _column(results, "batch_size")}
        batch_sizes |= {one.record.workload.batch_size for one in results.scaling}
    if batch_sizes:
        parts.append(f"batch {_listed([str(size) for size in sorted(batch_sizes)])}")
    return parts


def _listed(values: list[str]) -> str:
    others = len(values) - MAX_NAMED
    return enumerate_words([*values[:MAX_NAMED], f"{others} more"] if others > 0 else values)


def _values(shown: Sequence[Results], column: str) -> list[str]:
    """Return the values of a column of the environment, or of the files, in their order."""
    found: list[Any] = []
    for results in shown:
        found += _column(results, column)
        if column == "file":
            found += [one.file for one in results.entries]
            if not found:  # of thousands of files, what compares machines is all that was read
                found += [run.file for run in results.node_runs]
        else:
            found += [one.environment.get(column) for one in results.entries]
    return [str(value) for value in dict.fromkeys(found) if is_known(value)]


def _column(results: Results, column: str) -> list[Any]:
    if column not in results.benchmarks:
        return []
    return [value for value in results.benchmarks[column].unique() if is_known(value)]

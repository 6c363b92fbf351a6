"""The one value that a process gives: of one benchmark and one metric in its result file, ours or not."""

from __future__ import annotations

import fnmatch
import math
from typing import TYPE_CHECKING

from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.campaign.bisect.search import NotMeasurableError
from perfsuite.errors import ResultFileError
from perfsuite.formatting import MIB_BYTES, duration, plural, significant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from perfsuite.analysis.load.benchmark_entry import Benchmark

METRICS = ("time", "memory")

MAX_NAMES = 8
"""Listed in a message of one line."""


def value_of(path: Path, name: str, metric: str) -> float:
    """Return the median time of a benchmark in seconds, or its peak memory in bytes.

    Args:
        path: Of the result file.
        name: Of the benchmark, its workload in words, or a pattern with `*` and `?` that matches one.
        metric: `time` or `memory`.

    Raises:
        NotMeasurableError: The file cannot be read or has no such value; the message says which names there are.
    """
    try:
        found = read_result_file(path)
    except ResultFileError as error:
        raise NotMeasurableError(str(error)) from None
    benchmark = _chosen(found.benchmarks, name)
    value = benchmark.stats.get("time_median_s") if metric == "time" else _peak_bytes(benchmark)
    if value is None or not 0 < value < math.inf:
        what = "time above 0" if metric == "time" else "peak memory (--metric memory needs the suite's own benchmarks)"
        raise NotMeasurableError(f"{benchmark.fullname} has no {what}")
    return float(value)


def _chosen(benchmarks: Sequence[Benchmark], name: str) -> Benchmark:
    # Brackets are part of the names of parametrized tests, not of a pattern.
    pattern = name.replace("[", "[[]")
    ways_to_name: tuple[Callable[[Benchmark], bool], ...] = (
        lambda one: one.fullname == name,
        lambda one: one.name == name,
        # As a history, `collect` and `compare` call it: resnet18 amp-bf16 b8 train_step.
        lambda one: one.cell is not None and one.cell.workload.label == name,
        lambda one: fnmatch.fnmatchcase(one.fullname, pattern),
    )
    for is_named in ways_to_name:
        found = [one for one in benchmarks if is_named(one)]
        if len(found) == 1:
            return found[0]
        if found:
            raise NotMeasurableError(f"{name!r:.100} matches {_listed(found)}: name one")
    raise NotMeasurableError(f"no benchmark {name!r:.100} among {_listed(benchmarks)}")


def _listed(benchmarks: Sequence[Benchmark]) -> str:
    names = ", ".join(one.fullname for one in benchmarks[:MAX_NAMES])
    more = f" and {len(benchmarks) - MAX_NAMES} more" if len(benchmarks) > MAX_NAMES else ""
    return f"{plural(len(benchmarks), 'benchmark')}{': ' if names else ''}{names}{more}"


def _peak_bytes(benchmark: Benchmark) -> float | None:
    cell = benchmark.cell
    return None if cell is None else cell.metrics.get("peak_allocated_bytes")


def value_in_words(value: float, metric: str) -> str:
    """Return a value with its unit."""
    if metric == "memory":
        return f"{significant(value / MIB_BYTES)} MiB"
    return duration(value)

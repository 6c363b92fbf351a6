"""What one result file adds to a history: when, where and in which versions it was measured, and its values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.load.full_training import full_trainings
from perfsuite.analysis.load.machine_info import machine_key, machine_of, started_s, versions_of
from perfsuite.analysis.load.result_file import commit_of, short_commit
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfsuite.analysis.load.benchmark_entry import Benchmark
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.records.workload import Workload

METRICS_OF_CELLS = ("peak_allocated_bytes", "energy_per_image_joules")
"""Of a record, followed over time besides the median of its rounds."""

TIME = "time_median_s"

ACCURACY = "test_accuracy"

METRICS_OF_TRAININGS = (ACCURACY, "training_time_s", "peak_allocated_bytes")

HIGHER_IS_BETTER = tuple(key for key, metric in METRICS.items() if metric.is_higher_better)
"""Of all others, less is better."""

PLACES = ("torch", "torchvision", "CUDA", "cuDNN", "driver", "commit", "perfsuite", "host", "board", "power limit")
"""What may differ between two runs of a machine, and explain a change: the most telling of code first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One number of a run.

    Attributes:
        benchmark: The workload in words, or pytest's full name in a file that perfsuite did not write.
        metric: Its key in `perfsuite.metrics`.
        value: In the metric's base unit, above 0.
        low: First quartile of the rounds, where they are known; of times alone.
        high: Third quartile.
        workload: What was measured; None in a file that perfsuite did not write.
    """

    benchmark: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    workload: Workload | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunValues:
    """A result file, reduced to what a history needs.

    Attributes:
        started_s: When it was measured, in seconds since 1970; NaN where the file does not say.
        machine: GPU or CPU, host and board: runs of one machine are one series.
        place: Values of `PLACES`, as far as the file has them.
        is_complete: Whether the run finished.
        values: One a benchmark and metric.
    """

    started_s: float
    machine: str
    place: dict[str, str]
    is_complete: bool
    values: tuple[Value, ...]


def values_of(file: ResultFile) -> RunValues:
    """Return what a file adds to a history.

    First answers (`--perf-quick`), pairs and studies are left out: a pair is its own comparison, a study has claims.
    Trainings that are only replayed into a file were another run's.
    """
    machine = machine_of(file)
    board = f", board {machine['board']}" if "board" in machine else ""
    place = {**versions_of(file)}
    commit = short_commit(commit_of(file))
    if commit is not None:
        place["commit"] = commit
    if file.environment is not None:
        place["perfsuite"] = file.environment.perfsuite
        if file.environment.power_limit_watts is not None:
            place["power limit"] = f"{file.environment.power_limit_watts:g} W"
    place |= {name: machine[name] for name in ("host", "board") if name in machine}
    return RunValues(
        started_s=started_s(file),
        machine=machine_key(machine) + board,
        place=place,
        is_complete=file.complete,
        values=tuple(_values(file)),
    )


def _values(file: ResultFile) -> Iterator[Value]:
    seen: set[tuple[str, str]] = set()
    for value in (*_of_benchmarks(file), *_of_trainings(file)):
        key = (value.benchmark, value.metric)
        is_usable = math.isfinite(value.value) and value.value > 0
        if is_usable and key not in seen:
            seen.add(key)
            yield value


def _of_benchmarks(file: ResultFile) -> Iterator[Value]:
    for benchmark in file.benchmarks:
        cell = benchmark.cell
        if benchmark.record is not None and (cell is None or cell.quick):
            continue
        name = benchmark.fullname if cell is None else cell.workload.label
        low, high = _quartiles_s(benchmark)
        workload = None if cell is None else cell.workload
        yield Value(benchmark=name, metric=TIME, value=_median_s(benchmark), low=low, high=high, workload=workload)
        if cell is not None:
            found: dict[str, Any] = {metric: cell.metrics.get(metric) for metric in METRICS_OF_CELLS}
            yield from _present(name, found, cell.workload)


def _of_trainings(file: ResultFile) -> Iterator[Value]:
    for training in full_trainings(file, ""):
        record = training.record
        if not record.replayed:
            found: dict[str, Any] = {ACCURACY: record.test_accuracy, **record.metrics}
            followed = {name: found.get(name) for name in METRICS_OF_TRAININGS}
            yield from _present(_training_name(training), followed, record.workload)


def _training_name(training: FullTraining) -> str:
    record = training.record
    return f"{record.workload.label} {record.recipe.name} seed {record.seed} {record.data.name}"


def _present(name: str, found: dict[str, Any], workload: Workload) -> Iterator[Value]:
    for metric, value in found.items():
        if value is not None:
            yield Value(benchmark=name, metric=metric, value=float(value), workload=workload)


def _median_s(benchmark: Benchmark) -> float:
    median = benchmark.stats.get("time_median_s")
    if median is not None:
        return median
    if benchmark.times_s is None:
        return math.nan
    ordered = sorted(benchmark.times_s)
    return float(ordered[len(ordered) // 2] + ordered[(len(ordered) - 1) // 2]) / 2


def _quartiles_s(benchmark: Benchmark) -> tuple[float | None, float | None]:
    """Return between which times the middle half of the rounds lies; None where the file does not tell."""
    low, high = benchmark.stats.get("time_q1_s"), benchmark.stats.get("time_q3_s")
    if low is None and high is None and benchmark.times_s is not None and len(benchmark.times_s) > 1:
        low, high = (float(time_s) for time_s in np.quantile(benchmark.times_s, (0.25, 0.75)))
    is_sound = low is not None and high is not None and 0 < low <= _median_s(benchmark) <= high
    return (low, high) if is_sound else (None, None)

"""What one process measured, reduced to what a comparison needs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.load.full_training import full_trainings
from perfsuite.analysis.load.machine_info import machine_of, started_s, versions_of
from perfsuite.analysis.load.result_file import commit_of, fingerprint, read_result_file, short_commit
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.statistics.rounds import QUANTILES, ReducedRounds, reduce_rounds
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfsuite.analysis.load.benchmark_entry import Benchmark
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.analysis.statistics.effect import Floats
    from perfsuite.records.cell import Record
    from perfsuite.records.numerics import NumericsRecord
    from perfsuite.records.outcome import Outcome
    from perfsuite.records.workload import Workload

Key = tuple[Any, ...]


LOWER_QUARTILE = 0.25
"""Of the quantiles of rounds, the one besides the median that files without raw rounds have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResult:
    """What one process measured.

    Attributes:
        path: Its file.
        started: When it started, in seconds since 1970; NaN if unknown.
        machine: Host, CPU and GPU, as far as the file tells.
        versions: torch, torchvision, CUDA, cuDNN and driver, as far as the file tells.
        keys: Identity of each benchmark.
        fullnames: pytest's name of each.
        workloads: Our workload of each, or None.
        logs: Logarithm of the quantiles of the rounds in seconds [benchmarks] by quantile, NaN where unknown.
        slowest: Logarithm of the mean of the slowest rounds in seconds [benchmarks], NaN where unknown.
        resolution: Smallest step between its rounds over their median [benchmarks], NaN where unknown.
        num_rounds: Raw rounds [benchmarks], NaN where there are none.
        peak_bytes: Peak allocated [benchmarks], NaN where unknown.
        fingerprint: Of its run id, or of its rounds in a file that perfsuite did not write: copies have the same.
        num_pairs: Interleaved pairs in the file.
        measured_pairs: pytest's names of those, and of the studies, without an outcome: one that missed its limit,
            cannot tell or has a claim that does not hold has both.
        studies: Of mixed precision.
        outcomes: What gave no result, and why; of a pair, also that it missed its limit.
        trainings: Full trainings in the file.
        complete: Whether the run came to its end.
        commit: Of the code that was measured, in a few digits; None if unknown.
        records: Our records, by the identity of their benchmarks.
    """

    path: Path
    started: float
    machine: dict[str, str]
    versions: dict[str, str]
    keys: tuple[Key, ...]
    fullnames: tuple[str, ...]
    workloads: tuple[Workload | None, ...]
    logs: dict[float, Floats]
    slowest: Floats
    resolution: Floats
    num_rounds: Floats
    peak_bytes: Floats
    fingerprint: str
    num_pairs: int
    measured_pairs: tuple[str, ...] = ()
    studies: tuple[NumericsRecord, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    complete: bool
    trainings: tuple[FullTraining, ...] = ()
    commit: str | None = None
    records: dict[Key, Record] = dataclasses.field(default_factory=dict)

    @property
    def num_results(self) -> int:
        """Benchmarks and full trainings that it measured itself."""
        return len(self.keys) + sum(not training.record.replayed for training in self.trainings)

    @property
    def has_results(self) -> bool:
        """Whether it measured anything itself that is compared: a file of replays alone is no process."""
        return self.num_results > 0


def read_process(path: Path) -> ProcessResult:
    """Read a file and reduce it to what a comparison needs.

    Raises:
        ResultFileError: It cannot be used, or holds a benchmark twice, or a time of nothing.
    """
    return reduce_process(read_result_file(path))


def reduce_process(file: ResultFile) -> ProcessResult:
    """Reduce a file to what a comparison needs.

    Raises:
        ResultFileError: It holds a benchmark twice, or a time of nothing.
    """
    judged = [benchmark for benchmark in file.benchmarks if benchmark.pair is None and benchmark.numerics is None]
    cells = [benchmark for benchmark in judged if benchmark.training is None]
    keys = tuple(_key(cell) for cell in cells)
    _check_unique(file.path, cells, keys)
    times = _reduced_times(file.path, cells)
    own_run_ids = {benchmark.run_id for benchmark in judged if not benchmark.replayed}
    run_ids = sorted(run_id for run_id in own_run_ids if run_id is not None)
    judged_names = {benchmark.fullname for benchmark in judged}
    pair_names = [benchmark.fullname for benchmark in file.benchmarks if benchmark.pair is not None]
    study_names = [benchmark.fullname for benchmark in file.benchmarks if benchmark.numerics is not None]
    names_with_outcome = {outcome.nodeid for outcome in file.outcomes}
    return ProcessResult(
        path=file.path,
        started=started_s(file),
        machine=machine_of(file),
        versions=versions_of(file),
        keys=keys,
        fullnames=tuple(cell.fullname for cell in cells),
        workloads=tuple(_workload(cell) for cell in cells),
        logs={quantile: np.log(values) for quantile, values in times.quantiles.items()},
        slowest=np.log(times.slowest),
        resolution=times.resolution,
        num_rounds=np.array([_num_raw_rounds(cell) for cell in cells], dtype=float),
        peak_bytes=np.array([_peak_bytes(cell) for cell in cells], dtype=float),
        fingerprint="+".join(run_ids) or fingerprint(cells, file.written),
        num_pairs=len(pair_names),
        measured_pairs=tuple(name for name in (*pair_names, *study_names) if name not in names_with_outcome),
        studies=tuple(benchmark.numerics for benchmark in file.benchmarks if benchmark.numerics is not None),
        outcomes=tuple(outcome for outcome in file.outcomes if outcome.nodeid not in judged_names),
        trainings=tuple(full_trainings(file, str(file.path))),
        complete=file.complete,
        commit=short_commit(commit_of(file)),
        records={key: one.cell for key, one in zip(keys, cells, strict=True) if one.cell is not None},
    )


def _check_unique(path: Path, cells: Sequence[Benchmark], keys: Sequence[Key]) -> None:
    seen: set[Key] = set()
    for cell, key in zip(cells, keys, strict=True):
        if key in seen:
            raise ResultFileError(f"{path}: holds {cell.fullname!r:.200} twice; one process measures a benchmark once")
        seen.add(key)


def _workload(benchmark: Benchmark) -> Workload | None:
    return None if benchmark.cell is None else benchmark.cell.workload


def _num_raw_rounds(cell: Benchmark) -> float:
    return np.nan if cell.times_s is None else len(cell.times_s)


def _peak_bytes(benchmark: Benchmark) -> float:
    peak = None if benchmark.cell is None else benchmark.cell.metrics.get("peak_allocated_bytes")
    return np.nan if peak is None else float(peak)


def _key(benchmark: Benchmark) -> Key:
    if benchmark.cell is None:
        return ("fullname", benchmark.fullname)
    # A first answer is never joined with a full measurement.
    quick = ("quick",) if benchmark.cell.quick else ()
    return ("workload", *dataclasses.astuple(benchmark.cell.workload), *quick)


def _reduced_times(path: Path, cells: Sequence[Benchmark]) -> ReducedRounds:
    """Reduce the rounds of a file; without raw rounds, take what the statistics say."""
    quantiles = {quantile: np.full(len(cells), np.nan) for quantile in QUANTILES}
    slowest, resolution = np.full(len(cells), np.nan), np.full(len(cells), np.nan)
    by_length: dict[int, list[int]] = {}
    for index, cell in enumerate(cells):
        if cell.times_s is not None:
            _check_num_rounds(path, cell, len(cell.times_s))
            by_length.setdefault(len(cell.times_s), []).append(index)
            continue
        quantiles[TYPICAL][index] = cell.stats.get("time_median_s", np.nan)
        quantiles[LOWER_QUARTILE][index] = cell.stats.get("time_q1_s", np.nan)
    # There may be thousands of cells: those of as many rounds are reduced together.
    for indices in by_length.values():
        found = reduce_rounds(np.stack([cells[index].times_s for index in indices]))  # type: ignore[misc]
        for quantile in QUANTILES:
            quantiles[quantile][indices] = found.quantiles[quantile]
        slowest[indices], resolution[indices] = found.slowest, found.resolution
    for values in quantiles.values():
        broken = np.flatnonzero(values <= 0)
        if len(broken):
            raise ResultFileError(
                f"{path}: {cells[broken[0]].fullname!r:.200} has rounds of 0 s: nothing was measured, nothing can be "
                "compared"
            )
    return ReducedRounds(quantiles=quantiles, slowest=slowest, resolution=resolution)


def _check_num_rounds(path: Path, cell: Benchmark, num_times: int) -> None:
    if cell.num_rounds is not None and cell.num_rounds != num_times:
        raise ResultFileError(
            f"{path}: {cell.fullname!r:.200} has {num_times} rounds in stats.data, but stats.rounds says "
            f"{cell.num_rounds}"
        )

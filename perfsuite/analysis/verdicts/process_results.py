"""What one process measured, reduced to what a comparison needs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.frames.scaling_groups import step_times
from perfsuite.analysis.load.full_training import full_trainings
from perfsuite.analysis.load.machine_info import machine_of, started_s, versions_of
from perfsuite.analysis.load.result_file import commit_of, fingerprint, read_result_file, short_commit
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.statistics.rounds import QUANTILES, ReducedRounds, reduce_rounds
from perfsuite.errors import ResultFileError
from perfsuite.records.outcome import Outcome
from perfsuite.records.spread_workload import SpreadWorkload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfsuite.analysis.load.benchmark_entry import Benchmark
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.analysis.statistics.effect import Floats
    from perfsuite.records.cell import Record
    from perfsuite.records.numerics import NumericsRecord
    from perfsuite.records.scaling import ScalingRecord
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
        machine: Host, CPU and GPU, as far as the file says.
        versions: torch, torchvision, CUDA, cuDNN and driver, as far as the file says.
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
        outcomes: What gave no result, and why; of a pair, also that it missed its limit; a step on several devices
            whose gradients are not what they should be is no result.
        trainings: Full trainings in the file.
        complete: Whether the run finished.
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
    records: dict[Key, Record | ScalingRecord] = dataclasses.field(default_factory=dict)

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
    pairs = [one for one in file.benchmarks if one.pair is not None]
    studies = [one for one in file.benchmarks if one.numerics is not None]
    judged = [one for one in file.benchmarks if one.pair is None and one.numerics is None]
    cells = [one for one in judged if one.training is None and not _is_broken(one)]
    keys = tuple(_key(cell) for cell in cells)
    _check_unique(file.path, cells, keys)
    times = _reduced_times(file.path, cells)
    names_with_outcome = {outcome.nodeid for outcome in file.outcomes}
    names_of_pairs = [one.fullname for one in (*pairs, *studies)]
    return ProcessResult(
        path=file.path,
        started=started_s(file),
        machine=machine_of(file),
        versions=versions_of(file) | _nccl(judged),
        keys=keys,
        fullnames=tuple(cell.fullname for cell in cells),
        workloads=tuple(_workload(cell) for cell in cells),
        logs={quantile: np.log(values) for quantile, values in times.quantiles.items()},
        slowest=np.log(times.slowest),
        resolution=times.resolution,
        num_rounds=np.array([_num_raw_rounds(cell) for cell in cells], dtype=float),
        peak_bytes=np.array([_peak_bytes(cell) for cell in cells], dtype=float),
        fingerprint=_run_ids(judged) or fingerprint(cells, file.written),
        num_pairs=len(pairs),
        measured_pairs=tuple(name for name in names_of_pairs if name not in names_with_outcome),
        studies=tuple(one.numerics for one in studies if one.numerics is not None),
        outcomes=_outcomes(file, judged),
        trainings=tuple(full_trainings(file, str(file.path))),
        complete=file.complete,
        commit=short_commit(commit_of(file)),
        records=_records(keys, cells),
    )


def _run_ids(benchmarks: Sequence[Benchmark]) -> str:
    """Return the ids of the runs that measured them, replays left out; empty where no run has one."""
    run_ids = {one.run_id for one in benchmarks if not one.replayed}
    return "+".join(sorted(run_id for run_id in run_ids if run_id is not None))


def _outcomes(file: ResultFile, judged: Sequence[Benchmark]) -> tuple[Outcome, ...]:
    """Return what gave no result: what the file says so of, and steps whose gradients are not what they should be."""
    judged_names = {one.fullname for one in judged}
    found = [outcome for outcome in file.outcomes if outcome.nodeid not in judged_names]
    found += [_broken_in_words(one.fullname, one.scaling) for one in judged if one.scaling and _is_broken(one)]
    return tuple(found)


def _records(keys: Sequence[Key], cells: Sequence[Benchmark]) -> dict[Key, Record | ScalingRecord]:
    found: dict[Key, Record | ScalingRecord] = {}
    for key, cell in zip(keys, cells, strict=True):
        record = cell.cell or cell.scaling
        if record is not None:
            found[key] = record
    return found


def _nccl(benchmarks: Sequence[Benchmark]) -> dict[str, str]:
    """Return the version of NCCL where steps on several devices used it; other backends come with torch."""
    records = [one.scaling for one in benchmarks if one.scaling is not None]
    found = sorted({record.backend_version for record in records if record.backend == NCCL})
    return {"NCCL": ", ".join(found)} if found else {}


NCCL = "nccl"
"""The backend of torch.distributed that has a version of its own."""


def _is_broken(benchmark: Benchmark) -> bool:
    """Whether it is a step on several devices whose gradients are not what they should be: it did something else."""
    return benchmark.scaling is not None and bool(benchmark.scaling.failed)


def _broken_in_words(fullname: str, record: ScalingRecord) -> Outcome:
    names = ", ".join(claim.name for claim in record.failed)
    return Outcome(
        nodeid=fullname,
        outcome="failed",
        reason=f"does not hold: {names}",
        workload=SpreadWorkload.of_record(record),
    )


def _check_unique(path: Path, cells: Sequence[Benchmark], keys: Sequence[Key]) -> None:
    seen: set[Key] = set()
    for cell, key in zip(cells, keys, strict=True):
        if key in seen:
            raise ResultFileError(
                f"{path}: contains {cell.fullname!r:.200} twice; one process measures a benchmark once"
            )
        seen.add(key)


def _workload(benchmark: Benchmark) -> Workload | None:
    if benchmark.scaling is not None:
        return SpreadWorkload.of_record(benchmark.scaling)
    return None if benchmark.cell is None else benchmark.cell.workload


def _rounds(benchmark: Benchmark) -> Floats | None:
    """Return the times of the rounds in seconds [rounds]; of several devices until the slowest rank was done."""
    return benchmark.times_s if benchmark.scaling is None else step_times(benchmark.scaling)


def _num_raw_rounds(cell: Benchmark) -> float:
    times = _rounds(cell)
    return np.nan if times is None else len(times)


def _peak_bytes(benchmark: Benchmark) -> float:
    if benchmark.scaling is not None:
        return float(max(benchmark.scaling.peak_allocated_bytes, default=np.nan))
    peak = None if benchmark.cell is None else benchmark.cell.metrics.get("peak_allocated_bytes")
    return np.nan if peak is None else float(peak)


def _key(benchmark: Benchmark) -> Key:
    workload, record = _workload(benchmark), benchmark.cell or benchmark.scaling
    if workload is None or record is None:
        return ("fullname", benchmark.fullname)
    # A first answer is never joined with a full measurement.
    quick = ("quick",) if record.quick else ()
    return ("workload", *dataclasses.astuple(workload), *quick)


def _reduced_times(path: Path, cells: Sequence[Benchmark]) -> ReducedRounds:
    """Reduce the rounds of a file; without raw rounds, take what the statistics say."""
    quantiles = {quantile: np.full(len(cells), np.nan) for quantile in QUANTILES}
    slowest, resolution = np.full(len(cells), np.nan), np.full(len(cells), np.nan)
    by_length: dict[int, list[int]] = {}
    for index, cell in enumerate(cells):
        times = _rounds(cell)
        if times is not None:
            _check_num_rounds(path, cell, len(times))
            by_length.setdefault(len(times), []).append(index)
            continue
        quantiles[TYPICAL][index] = cell.stats.get("time_median_s", np.nan)
        quantiles[LOWER_QUARTILE][index] = cell.stats.get("time_q1_s", np.nan)
    # There may be thousands of cells: those of as many rounds are reduced together.
    for indices in by_length.values():
        times_of_cells = [_rounds(cells[index]) for index in indices]
        found = reduce_rounds(np.stack([times for times in times_of_cells if times is not None]))
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
    # pytest-benchmark's rounds of a step on several devices are whole blocks.
    if cell.scaling is None and cell.num_rounds is not None and cell.num_rounds != num_times:
        raise ResultFileError(
            f"{path}: {cell.fullname!r:.200} has {num_times} rounds in stats.data, but stats.rounds says "
            f"{cell.num_rounds}"
        )

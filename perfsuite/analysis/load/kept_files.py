"""Which files count: of the copies of a run the fullest, and no quick results where there are full measurements."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from perfsuite.analysis.load.result_file import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.analysis.load.benchmark_entry import Benchmark
    from perfsuite.analysis.load.result_file import ResultFile


def kept_files(files: Sequence[ResultFile]) -> tuple[list[ResultFile], list[str]]:
    """Return the files that count, without what does not count of them, and what was left out, in words."""
    kept, notes = _without_copies(files)
    kept, notes_on_quick = _without_quick(kept)
    return kept, [*notes, *notes_on_quick]


def copied_from(run_ids: Sequence[Iterable[str]], sizes: Sequence[int]) -> list[int | None]:
    """Return for each file the place of the one that holds a run of it more fully; None where it is the fullest.

    A copy may have been made while the run went on.

    Args:
        run_ids: What identifies the runs in each file.
        sizes: How much each file holds; of two that hold as much the first counts.
    """
    fullest: dict[str, int] = {}
    for place in sorted(range(len(sizes)), key=lambda place: sizes[place], reverse=True):
        for run_id in run_ids[place]:
            fullest.setdefault(run_id, place)
    found: list[int | None] = []
    for place, own in enumerate(run_ids):
        others = [fullest[run_id] for run_id in own if fullest[run_id] != place]
        found.append(others[0] if others else None)
    return found


def file_labels(files: Sequence[ResultFile]) -> list[str]:
    """Name files by their last part, or by their whole path where two would have the same name."""
    names = [file.path.name for file in files]
    return [name if names.count(name) == 1 else str(file.path) for name, file in zip(names, files, strict=True)]


def _without_copies(files: Sequence[ResultFile]) -> tuple[list[ResultFile], list[str]]:
    if len(files) == 1:
        return list(files), []
    kept: list[ResultFile] = []
    notes: list[str] = []
    originals = copied_from([_run_ids(file) for file in files], [len(file.benchmarks) for file in files])
    for file, original in zip(files, originals, strict=True):
        if original is None:
            kept.append(file)
        else:
            notes.append(f"{file.path}: left out, it contains the same run as {files[original].path}")
    return kept, notes


def _run_ids(file: ResultFile) -> set[str]:
    """Return what identifies the runs of a file: their ids, or in a foreign file names and rounds."""
    own = [benchmark for benchmark in file.benchmarks if not benchmark.replayed]
    ids = {benchmark.run_id for benchmark in own if benchmark.run_id is not None}
    return ids if ids or not own else {fingerprint(own, file.written)}


def _without_quick(files: list[ResultFile]) -> tuple[list[ResultFile], list[str]]:
    """Leave first answers (`--perf-quick`) out where there are full measurements as well; else say what they are."""
    quick = [file for file in files if any(map(_is_quick, file.benchmarks))]
    if not quick:
        return files, []
    if not any(_is_full(benchmark) for file in files for benchmark in file.benchmarks):
        names = ", ".join(file.path.name for file in quick)
        return files, [f"{names}: measured with --perf-quick: repeat without it for comparisons"]
    kept = []
    for file in files:
        full = tuple(benchmark for benchmark in file.benchmarks if not _is_quick(benchmark))
        kept.append(dataclasses.replace(file, benchmarks=full))
    notes = [f"{file.path}: measured with --perf-quick, left out: there are full measurements" for file in quick]
    return kept, notes


def _is_quick(benchmark: Benchmark) -> bool:
    measured = benchmark.cell or benchmark.pair or benchmark.scaling
    return measured is not None and measured.quick


def _is_full(benchmark: Benchmark) -> bool:
    measured = benchmark.cell or benchmark.pair or benchmark.scaling
    return measured is not None and not measured.quick

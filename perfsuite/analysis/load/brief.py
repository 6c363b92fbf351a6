"""Reading of thousands of files: several at a time, and without what a question does not need."""

from __future__ import annotations

import concurrent.futures
import gc
import multiprocessing
import os
from typing import TYPE_CHECKING, Any, TypeVar

from perfsuite.records.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")

MIN_PARALLEL_FILES = 200
"""Below it starting other processes takes longer than it saves: each imports numpy and the records."""

MAX_PROCESSES = 8
"""More wait for the disk and for the process that collects."""

FILES_A_TASK = 16
"""Handed to a process at a time."""

DETAILS: dict[str, Any] = {
    "metrics": {},
    "absent": {},
    "settings": {},
    "proof": [],
    "profile": None,
    "latencies_s": [],
    "operators": [],
}
"""Parts of a record of a cell that take most of the time of reading it, and what stands for them where they are left
out: its workload, process, findings and telemetry stay."""


def without_details(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a result file without rounds and details; what is not as it should be stays as it is."""
    return {**content, "benchmarks": [_brief(entry) for entry in content["benchmarks"]]}


def _brief(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    stats, extra = entry.get("stats"), entry.get("extra_info")
    found = dict(entry)
    if isinstance(stats, dict) and "median" in stats:
        found["stats"] = {name: stats[name] for name in ("median", "rounds") if name in stats}
    record = extra.get(KEY) if isinstance(extra, dict) else None
    if isinstance(record, dict) and record.get("kind") == "cell":
        found["extra_info"] = {KEY: {**record, **DETAILS}}
    return found


def in_processes(function: Callable[[Path], T], paths: Sequence[Path]) -> Iterator[T]:
    """Apply a function to each path, in several processes where there are many paths; results in the order of those.

    Args:
        function: Of a module, with a result that can be pickled. What it raises is raised here.
        paths: Of files.
    """
    num_processes = min(MAX_PROCESSES, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    if len(paths) < MIN_PARALLEL_FILES or num_processes == 1:
        yield from map(function, paths)
        return
    # A new interpreter each: a copy of this one would have its locks and its memory too. What JSON gives has no
    # cycles, so that looking for them only takes time.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(num_processes, mp_context=context, initializer=gc.disable) as pool:
        try:
            yield from pool.map(function, paths, chunksize=FILES_A_TASK)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise

"""Quick results (`--perf-quick`) among full measurements: they are not compared, and that is said once."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.formatting import plural
from perfsuite.records.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.verdicts.process_results import ProcessResult
    from perfsuite.records.workload import Workload

REASON = "measured with --perf-quick only, which is not compared with a full measurement"


def without_quick(
    old: Sequence[ProcessResult], new: Sequence[ProcessResult]
) -> tuple[list[ProcessResult], list[ProcessResult], list[str]]:
    """Leave out quick results of workloads that are measured in full on either side.

    In their place the process has an outcome: where the quick result was all that a side has, the row says so.

    Returns:
        The processes of both sides, and a note on what was left out, if anything was.
    """
    full = {
        workload
        for process in (*old, *new)
        for key, workload in zip(process.keys, process.workloads, strict=True)
        if workload is not None and not process.records[key].quick
    }
    sides = [[_without_quick(process, full) for process in side] for side in (old, new)]
    counts = []
    for name, before, after in zip(("baseline", "candidate"), (old, new), sides, strict=True):
        num = sum(len(one.keys) for one in before) - sum(len(one.keys) for one in after)
        counts += [f"{plural(num, 'quick result')} of the {name}"] if num else []
    note = f"not compared with full measurements: {' and '.join(counts)} (--perf-quick)" if counts else ""
    return sides[0], sides[1], [note] if note else []


def _without_quick(process: ProcessResult, full: set[Workload]) -> ProcessResult:
    is_kept = np.array(
        [
            not (workload in full and process.records[key].quick)
            for key, workload in zip(process.keys, process.workloads, strict=True)
        ],
        dtype=bool,
    )
    if is_kept.all():
        return process
    kept = np.flatnonzero(is_kept)
    keys = tuple(process.keys[index] for index in kept)
    left_out = tuple(
        Outcome(nodeid=process.fullnames[index], outcome="skipped", reason=REASON, workload=process.workloads[index])
        for index in np.flatnonzero(~is_kept)
    )
    return dataclasses.replace(
        process,
        keys=keys,
        fullnames=tuple(process.fullnames[index] for index in kept),
        workloads=tuple(process.workloads[index] for index in kept),
        logs={quantile: values[kept] for quantile, values in process.logs.items()},
        slowest=process.slowest[kept],
        resolution=process.resolution[kept],
        num_rounds=process.num_rounds[kept],
        peak_bytes=process.peak_bytes[kept],
        records={key: process.records[key] for key in keys if key in process.records},
        outcomes=(*process.outcomes, *left_out),
    )

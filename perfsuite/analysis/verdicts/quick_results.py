"""Quick results (`--perf-quick`) among full measurements: they are not compared, and that is said once."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

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
    full: set[Workload] = set()
    for process in (*old, *new):
        full |= _measured_in_full(process)
    kept_old = [_without_quick(process, full) for process in old]
    kept_new = [_without_quick(process, full) for process in new]
    counts = []
    for name, before, after in (("baseline", old, kept_old), ("candidate", new, kept_new)):
        num = sum(len(one.keys) for one in before) - sum(len(one.keys) for one in after)
        if num:
            counts.append(f"{plural(num, 'quick result')} of the {name}")
    notes = []
    if counts:
        notes.append(f"not compared with full measurements: {' and '.join(counts)} (--perf-quick)")
    return kept_old, kept_new, notes


def _measured_in_full(process: ProcessResult) -> set[Workload]:
    found = set()
    for key, workload in zip(process.keys, process.workloads, strict=True):
        if workload is not None and not process.records[key].quick:
            found.add(workload)
    return found


def _without_quick(process: ProcessResult, full: set[Workload]) -> ProcessResult:
    kept: list[int] = []
    left_out: list[Outcome] = []
    for index, (key, workload) in enumerate(zip(process.keys, process.workloads, strict=True)):
        if workload in full and process.records[key].quick:
            nodeid = process.fullnames[index]
            left_out.append(Outcome(nodeid=nodeid, outcome="skipped", reason=REASON, workload=workload))
        else:
            kept.append(index)
    if not left_out:
        return process
    keys = tuple(process.keys[index] for index in kept)
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

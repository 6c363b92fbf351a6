"""Interleaved pairs -> a row per pair of workloads and place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS
from perfsuite.analysis.frames.pair_groups import PairGroup, pair_groups
from perfsuite.analysis.frames.ratio_text import (
    ratio_columns,
)
from perfsuite.analysis.frames.row_warnings import pooled_warnings
from perfsuite.analysis.frames.speedup import time_ratio
from perfsuite.analysis.load.environment_columns import ENVIRONMENT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Ratio
    from perfsuite.records.pair import Comparison


def pairs_frame(results: Results, comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return a row per pair of workloads and place, several runs of it together; of harness overhead, a row per run.

    Returns:
        Columns: environment, file, series, name, the candidate's workload, `baseline_precision`, `time_ratio`
        (candidate over baseline) with what `ratio_columns` adds, `baseline_time_s` (the median over blocks of the
        geometric mean of a block's baseline times), `time_s` (`baseline_time_s` times `time_ratio`, so that the times
        never contradict the ratio), `num_processes`, `num_blocks` of all of them, `num_iterations`, `limit_ratio`, and
        for what these processes have measured in separate cells as well `separate_time_ratio`.
    """
    groups = pair_groups(results, [name for name in comparisons if name != "overhead"])
    groups += [
        PairGroup(pairs=(pair,), place=())
        for pair in results.pairs
        if pair.record.comparison == "overhead" and "overhead" in comparisons
    ]
    columns = ["file", "series", "name", *ENVIRONMENT_COLUMNS, *WORKLOAD_COLUMNS]
    rows = [_group_row(group, results) for group in groups]
    return pd.DataFrame(rows, columns=None if rows else columns)


def _group_row(group: PairGroup, results: Results) -> dict[str, Any]:
    first = group.pairs[0]
    record = first.record
    blocks = np.concatenate(group.blocks())
    ratio = group.time_ratio()
    baseline_time_s = float(np.median(np.sqrt(blocks[:, 0] * blocks[:, 3])))
    return {
        **first.origin,
        "file": ", ".join(pair.file for pair in group.pairs),
        "comparison": record.comparison,
        **{column: getattr(record.candidate, column) for column in WORKLOAD_COLUMNS},
        "baseline_precision": record.baseline.precision,
        **ratio_columns("time_ratio", ratio),
        "baseline_time_s": baseline_time_s,
        "time_s": baseline_time_s * ratio.ratio,
        "num_processes": ratio.num_processes,
        "num_blocks": len(blocks),
        "num_iterations": record.num_iterations,
        "limit_ratio": record.limit_ratio,
        "warnings": pooled_warnings(pair.record for pair in group.pairs),
        **ratio_columns("separate_time_ratio", _separate_cells(group, results)),
    }


def _separate_cells(group: PairGroup, results: Results) -> Ratio | None:
    """Return candidate over baseline from cells of their own that the same processes measured, or None."""
    record = group.pairs[0].record
    if record.comparison != "speedup" or "run_id" not in results.benchmarks:
        return None
    cells = results.benchmarks.assign(row=range(len(results.benchmarks)))
    cells = cells[cells["run_id"].isin([pair.record.process.run_id for pair in group.pairs])]
    sides = []
    for workload in (record.candidate, record.baseline):
        same = np.all([cells[column] == getattr(workload, column) for column in WORKLOAD_COLUMNS], axis=0)
        sides.append(cells[same])
    if sides[0].empty or sides[1].empty:
        return None
    return time_ratio(sides[0], sides[1], results)[2]


COMPARISONS: dict[str, tuple[Comparison, ...]] = {
    "interleaved": ("speedup",),
    "switches": ("switch",),
    "overhead": ("overhead",),
    "input_pipeline": ("pipeline_step", "pipeline_thesis"),
}
"""Which comparisons a table is about, by the table's name."""


def has_pairs(results: Results, table: str) -> bool:
    """Whether there is anything to show in a table of this module."""
    return any(pair.record.comparison in COMPARISONS[table] for pair in results.pairs)

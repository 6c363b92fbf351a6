"""A benchmark of a file -> a row of the frame of all benchmarks: workload, metrics, what its rounds tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS
from perfsuite.analysis.frames.foreign_findings import foreign_findings
from perfsuite.analysis.frames.latency import latency_columns
from perfsuite.analysis.frames.roofline import evidence_columns
from perfsuite.analysis.frames.row_warnings import warnings_of
from perfsuite.mean_margin import relative_margins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.load.benchmark_entry import Benchmark
    from perfsuite.records.cell import Record

Times = np.ndarray[Any, np.dtype[np.float64]]
"""The raw rounds of a benchmark in seconds [num_rounds]."""


def benchmark_row(benchmark: Benchmark, gpu: str | None) -> dict[str, Any]:
    """Return a row: workload and metrics in base units; of a benchmark that is not perfsuite's, what its file has.

    Args:
        benchmark: Of one step, or not perfsuite's.
        gpu: Name of the GPU that it was measured on, or None for a CPU.
    """
    row: dict[str, Any] = {
        "fullname": benchmark.fullname,
        "name": benchmark.name,
        "group": benchmark.group,
        **dict.fromkeys(WORKLOAD_COLUMNS),
        "images_per_second": None,
        **dict.fromkeys(("time_median_s", "time_mean_s", "time_min_s", "time_max_s", "time_stddev_s")),
        **benchmark.stats,
        "time_p90_s": None,
        "time_margin_ratio": None,
        "num_rounds": benchmark.num_rounds,
        "num_iterations": benchmark.num_iterations,
    }
    if benchmark.num_rounds == 1:
        row["time_stddev_s"] = None  # written as 0, but one round has no scatter that could be known
    if benchmark.cell is None:
        row["findings"] = "; ".join(foreign_findings(row))
    else:
        _add_record(row, benchmark.cell, gpu)
    return row


def _add_record(row: dict[str, Any], record: Record, gpu: str | None) -> None:
    """Add to a row what perfsuite recorded of it."""
    median_s = row["time_median_s"]
    row.update({column: getattr(record.workload, column) for column in WORKLOAD_COLUMNS})
    row["label"] = record.workload.label
    row.update(record.metrics)
    row.update(run_id=record.process.run_id, started=record.process.started)
    row["findings"] = "; ".join(record.findings)
    row["quick"] = record.quick
    if median_s:
        row["images_per_second"] = record.workload.batch_size / median_s
    if record.latencies_s:
        row.update(latency_columns(record.latencies_s))
    q1, q3 = row.get("time_q1_s"), row.get("time_q3_s")
    iqr_s = None if q1 is None or q3 is None else q3 - q1
    row["warnings"] = warnings_of(record, iqr_s=iqr_s, median_s=median_s)
    row.update(evidence_columns(record, median_s=median_s, gpu=gpu))


def add_round_statistics(rows: Sequence[dict[str, Any]], times: Sequence[Times | None]) -> None:
    """Add to each row what its raw rounds tell; all rows of as many rounds at once, for there may be thousands."""
    by_length: dict[int, dict[int, Times]] = {}
    for index, rounds in enumerate(times):
        if rounds is not None:
            by_length.setdefault(len(rounds), {})[index] = rounds
    for members in by_length.values():
        stacked = np.stack(list(members.values()))
        slow = np.percentile(stacked, 90, axis=1).tolist()
        margins = relative_margins(stacked).tolist()
        for index, p90, margin in zip(members, slow, margins, strict=True):
            rows[index]["time_p90_s"] = p90
            rows[index]["time_margin_ratio"] = margin


def benchmarks_frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame; workloads stay as they are where some rows have none, a batch size a whole number."""
    if not rows:
        return pd.DataFrame(columns=[*WORKLOAD_COLUMNS, "file"])
    frame = pd.DataFrame(rows)
    if any(row["model"] is None for row in rows):
        for column in WORKLOAD_COLUMNS:
            frame[column] = pd.Series([row[column] for row in rows], index=frame.index, dtype=object)
    return frame

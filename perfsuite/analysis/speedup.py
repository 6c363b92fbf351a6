"""What AMP gives: every other precision against FP32, per model and phase, in time and in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.collect import PAIRING_COLUMNS, differing_columns
from perfsuite.analysis.statistics import RatioEstimate, ratio_of_medians_one_process, ratio_over_processes

if TYPE_CHECKING:
    from perfsuite.analysis.collect import Results

BASELINE = "fp32"
"""The precision that the others are held against."""


def speedup_frame(results: Results) -> pd.DataFrame:
    """Return a row per environment, workload and precision other than FP32 that FP32 was measured beside.

    Several files of one environment are several processes of it: the interval then contains what differs between
    processes. From one process it contains only what differs between rounds; `speedup_basis` says which.

    Returns:
        Columns: the environment columns that differ, the workload but its precision, `precision`, `images_per_second`
        and `peak_allocated_bytes` of both (`baseline_...` is FP32), `speedup_ratio`, `speedup_low`, `speedup_high`,
        `speedup_basis`, `num_processes`, `memory_ratio`.
    """
    frame = results.benchmarks
    if frame.empty or not results.ours:
        return pd.DataFrame()
    apart = [column for column in differing_columns(frame) if column != "file"]
    keys = [*apart, *PAIRING_COLUMNS]
    rows = []
    for values, cells in frame.groupby(keys, dropna=False, sort=False):
        baseline = cells[cells["precision"] == BASELINE]
        if baseline.empty:
            continue
        for precision, candidate in cells[cells["precision"] != BASELINE].groupby("precision", sort=False):
            rows.append(
                {
                    **dict(zip(keys, values, strict=True)),
                    "precision": precision,
                    **_against(baseline, candidate, results),
                }
            )
    return pd.DataFrame(rows)


def _against(baseline: pd.DataFrame, candidate: pd.DataFrame, results: Results) -> dict[str, Any]:
    estimate = _time_ratio(baseline, candidate, results)
    memory = [float(side["peak_allocated_bytes"].max()) for side in (baseline, candidate)]
    batch_size = int(baseline["batch_size"].iloc[0])
    return {
        "baseline_images_per_second": batch_size / _geometric_mean(baseline["time_median_s"]),
        "images_per_second": batch_size / _geometric_mean(candidate["time_median_s"]),
        "speedup_ratio": estimate.ratio,
        "speedup_low": estimate.low,
        "speedup_high": estimate.high,
        "speedup_basis": estimate.basis,
        "num_processes": estimate.num_processes,
        "baseline_peak_allocated_bytes": memory[0],
        "peak_allocated_bytes": memory[1],
        "memory_ratio": memory[1] / memory[0],
    }


def _time_ratio(baseline: pd.DataFrame, candidate: pd.DataFrame, results: Results) -> RatioEstimate:
    """Return the FP32 time over the other: by processes where there are two or more, else by the rounds of one."""
    slow = baseline.drop_duplicates("run_id").set_index("run_id")["time_median_s"]
    fast = candidate.drop_duplicates("run_id").set_index("run_id")["time_median_s"]
    both = slow.index.intersection(fast.index)
    if len(both) > 1:
        return ratio_over_processes(slow[both].to_numpy(float), fast[both].to_numpy(float), paired=True)
    if min(len(slow), len(fast)) > 1:
        return ratio_over_processes(slow.to_numpy(float), fast.to_numpy(float), paired=False)
    rows = [_row_of(side, both[0] if len(both) else None) for side in (baseline, candidate)]
    times = [results.times_s[row] for row in rows]
    if times[0] is not None and times[1] is not None:
        return ratio_of_medians_one_process(times[0], times[1])
    ratio = float(slow.iloc[0] / fast.iloc[0])
    return RatioEstimate(ratio=ratio, low=None, high=None, num_processes=1, basis="rounds")


def _row_of(side: pd.DataFrame, run_id: str | None) -> int:
    chosen = side if run_id is None else side[side["run_id"] == run_id]
    return int(chosen.index[0])


def _geometric_mean(values: pd.Series[Any]) -> float:
    return float(np.exp(np.log(values.to_numpy(float)).mean()))

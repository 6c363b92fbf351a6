"""What AMP gives: every other precision against FP32, per model and phase, in time and in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.collect import PAIRING_COLUMNS, place_columns
from perfsuite.analysis.statistics.intervals import RatioEstimate, ratio_of_medians_one_process, ratio_over_processes

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
        `speedup_basis`, `num_processes`, `num_left_out` (benchmarks that had no counterpart), `memory_ratio`.
    """
    frame = results.benchmarks
    if frame.empty or not results.ours:
        return pd.DataFrame()
    frame = frame.assign(row=range(len(frame)))
    if "peak_allocated_bytes" not in frame:
        frame["peak_allocated_bytes"] = None
    keys = [*place_columns(frame), *PAIRING_COLUMNS]
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
    slow, fast, estimate = time_ratio(baseline, candidate, results)
    memory = [float(pd.to_numeric(side["peak_allocated_bytes"]).max()) for side in (slow, fast)]
    batch_size = int(slow["batch_size"].iloc[0])
    return {
        "baseline_images_per_second": batch_size / geometric_mean(slow["time_median_s"]),
        "images_per_second": batch_size / geometric_mean(fast["time_median_s"]),
        "speedup_ratio": estimate.ratio,
        "speedup_low": estimate.low,
        "speedup_high": estimate.high,
        "speedup_basis": estimate.basis,
        "num_processes": estimate.num_processes,
        "num_left_out": len(baseline) + len(candidate) - len(slow) - len(fast),
        "baseline_peak_allocated_bytes": memory[0],
        "peak_allocated_bytes": memory[1],
        "memory_ratio": memory[1] / memory[0] if memory[0] > 0 else None,
    }


def time_ratio(
    baseline: pd.DataFrame, candidate: pd.DataFrame, results: Results
) -> tuple[pd.DataFrame, pd.DataFrame, RatioEstimate]:
    """Return the time of one side over the other's, and the rows it rests on: all other figures must be of these too.

    By processes where there are two or more that have both sides, or two or more a side, else by the rounds of one.
    """
    slow, fast = (side.drop_duplicates("run_id").set_index("run_id", drop=False) for side in (baseline, candidate))
    both = slow.index.intersection(fast.index)
    if len(both) > 1:
        slow, fast = slow.loc[both], fast.loc[both]
        return slow, fast, ratio_over_processes(_medians(slow), _medians(fast), paired=True)
    if min(len(slow), len(fast)) > 1:
        return slow, fast, ratio_over_processes(_medians(slow), _medians(fast), paired=False)
    slow, fast = (side.loc[both] if len(both) else side.iloc[:1] for side in (slow, fast))
    times = [results.times_s[int(side["row"].iloc[0])] for side in (slow, fast)]
    if times[0] is not None and times[1] is not None:
        return slow, fast, ratio_of_medians_one_process(times[0], times[1])
    ratio = float(_medians(slow)[0] / _medians(fast)[0])
    return slow, fast, RatioEstimate(ratio=ratio, low=None, high=None, num_processes=1, basis="rounds")


def _medians(side: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    return side["time_median_s"].to_numpy(float)


def geometric_mean(values: pd.Series[Any]) -> float:
    """Return what stands for several processes: times multiply, so their logarithms are averaged."""
    return float(np.exp(np.log(values.to_numpy(float)).mean()))

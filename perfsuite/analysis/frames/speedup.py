"""What AMP gives: every other precision against FP32, per model and phase, in time and in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.frames.columns import PAIRING_COLUMNS, place_columns
from perfsuite.analysis.frames.made_once import made_once
from perfsuite.analysis.frames.pair_groups import pair_groups
from perfsuite.analysis.frames.ratio_text import ratio_columns
from perfsuite.analysis.frames.row_warnings import joined_warnings
from perfsuite.analysis.load.environment_columns import ENVIRONMENT_COLUMNS
from perfsuite.analysis.statistics.intervals import (
    Ratio,
    Scatter,
    bare_ratio,
    geometric_mean,
    ratio_of_one_run,
    ratio_over_processes,
)
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.frames.pair_groups import PairGroup
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Times

INTERLEAVED, SEPARATE = "interleaved", "separate cells"
"""How a speed-up was measured."""


@made_once
def speedup_frame(results: Results) -> pd.DataFrame:
    """Return a row per place, workload and precision other than FP32 that FP32 was measured with.

    Several files of one place are several processes of it: the interval then contains what differs between processes.
    Where the same two workloads were measured interleaved by at least as many processes, that ratio is the speed-up: a
    drift between two separate cells is not in it.

    Returns:
        Columns: the place columns, the workload but its precision, `precision`, `images_per_second`
        and `peak_allocated_bytes` of both (`baseline_...` is FP32), `speedup_ratio` with what `ratio_columns` adds,
        `speedup_source` (`interleaved` or `separate cells`), both estimates as `interleaved_speedup_ratio` and
        `separate_speedup_ratio`, `num_processes`, `num_left_out` (benchmarks that had no counterpart), `memory_ratio`,
        `warnings` of both.
    """
    frame = results.benchmarks
    if frame.empty or not results.has_records:
        return pd.DataFrame()
    frame = frame.assign(row=range(len(frame)))
    if "peak_allocated_bytes" not in frame:
        frame["peak_allocated_bytes"] = None
    places = place_columns(frame)
    keys = [*places, *PAIRING_COLUMNS]
    groups = pair_groups(results, ("speedup",))
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
                    **_against(baseline, candidate, results, _interleaved(groups, candidate, places)),
                }
            )
    return pd.DataFrame(rows)


def _against(
    baseline: pd.DataFrame, candidate: pd.DataFrame, results: Results, interleaved: Ratio | None
) -> dict[str, Any]:
    slow, fast, separate = time_ratio(baseline, candidate, results)
    memory = [float(pd.to_numeric(side["peak_allocated_bytes"]).max()) for side in (slow, fast)]
    batch_size = int(slow["batch_size"].iloc[0])
    leads = interleaved is not None and interleaved.num_processes >= separate.num_processes
    speedup = interleaved if interleaved is not None and leads else separate
    return {
        "baseline_images_per_second": batch_size / geometric_mean(slow["time_median_s"]),
        "images_per_second": batch_size / geometric_mean(fast["time_median_s"]),
        **ratio_columns("speedup_ratio", speedup),
        "speedup_source": INTERLEAVED if leads else SEPARATE,
        "num_processes": speedup.num_processes,
        **ratio_columns("interleaved_speedup_ratio", interleaved),
        **ratio_columns("separate_speedup_ratio", separate),
        "num_left_out": len(baseline) + len(candidate) - len(slow) - len(fast),
        "baseline_peak_allocated_bytes": memory[0],
        "peak_allocated_bytes": memory[1],
        "memory_ratio": memory[1] / memory[0] if memory[0] > 0 else None,
        "warnings": joined_warnings({str(side["precision"].iloc[0]): side for side in (slow, fast)}),
    }


def _interleaved(groups: Sequence[PairGroup], cells: pd.DataFrame, places: Sequence[str]) -> Ratio | None:
    """Return the speed-up of these cells as it was measured interleaved in their place, if it was."""
    first = cells.iloc[0]
    known = {column: _plain(cells[column]) for column in (*ENVIRONMENT_COLUMNS, "series")}
    for group in groups:
        pair = group.pairs[0]
        baseline, candidate = pair.record.baseline, pair.record.candidate
        same_workload = (
            baseline.precision == BASELINE
            and candidate.precision == first["precision"]
            and all(
                getattr(one, column) == first[column] for one in (baseline, candidate) for column in PAIRING_COLUMNS
            )
        )
        columns = dict.fromkeys((*ENVIRONMENT_COLUMNS, *places, *group.place))
        if same_workload and all(pair.origin[column] in known[column] for column in columns):
            return group.time_ratio().inverse()
    return None


def _plain(values: pd.Series[Any]) -> set[Any]:
    return {value if pd.notna(value) else None for value in values}


def time_ratio(
    numerator: pd.DataFrame, denominator: pd.DataFrame, results: Results
) -> tuple[pd.DataFrame, pd.DataFrame, Ratio]:
    """Return the time of one side over the other's, and the rows it is computed from.

    All other numbers of a row must be of these too. Over processes where there are two or more that have both sides,
    or two or more a side; of one run that has both, or where each side has one, with the noise floor of the machine
    where it is known; of one run against several the ratio of geometric means, of which no interval is known.

    Args:
        numerator: Rows of `results.benchmarks`, with their numbers in the column `row`.
        denominator: The same for the other side.
        results: What they are from.
    """
    if len(numerator) == len(denominator) == 1:
        return numerator, denominator, _of_one_run(numerator, denominator, results)
    top, bottom = (side.drop_duplicates("run_id").set_index("run_id", drop=False) for side in (numerator, denominator))
    both = top.index.intersection(bottom.index)
    paired = len(both) > 1
    if paired:
        top, bottom = top.loc[both], bottom.loc[both]
    elif len(both) == 1:
        top, bottom = top.loc[both], bottom.loc[both]
        return top, bottom, _of_one_run(top, bottom, results)
    elif min(len(top), len(bottom)) < 2:  # noqa: PLR2004 - a variance needs two
        ratio = geometric_mean(top["time_median_s"]) / geometric_mean(bottom["time_median_s"])
        return top, bottom, bare_ratio(ratio)
    rounds = [_rounds(side, results) for side in (top, bottom)]
    pooled = None if rounds[0] is None or rounds[1] is None else (rounds[0], rounds[1])
    return top, bottom, ratio_over_processes(_medians(top), _medians(bottom), paired=paired, rounds=pooled)


_OF_ONE_RUN = ("row", "time_median_s", "process_sd_log", "process_sd_num_dof")


def _of_one_run(numerator: pd.DataFrame, denominator: pd.DataFrame, results: Results) -> Ratio:
    """Return the ratio of two frames of one row each."""
    sides = (numerator, denominator)
    rows = [{column: side[column].iloc[0] for column in _OF_ONE_RUN if column in side} for side in sides]
    top, bottom = (results.times_s[int(row["row"])] for row in rows)
    if top is None or bottom is None:
        return bare_ratio(float(rows[0]["time_median_s"] / rows[1]["time_median_s"]))
    scatter = [_scatter(row) for row in rows]
    known = None if scatter[0] is None or scatter[1] is None else (scatter[0], scatter[1])
    return ratio_of_one_run(top, bottom, scatter=known)


def _scatter(row: Mapping[Any, Any]) -> Scatter | None:
    """Return how much a benchmark differs between processes, where an A/A run of its machine is known."""
    sd_log, num_dof = row.get("process_sd_log"), row.get("process_sd_num_dof")
    if sd_log is None or num_dof is None or pd.isna(sd_log) or pd.isna(num_dof):
        return None
    return Scatter(sd_log=float(sd_log), num_dof=int(num_dof))


def _rounds(side: pd.DataFrame, results: Results) -> Times | None:
    """Return the rounds of all processes of a side, or None where a file has none."""
    found = [results.times_s[int(row)] for row in side["row"]]
    known = [rounds for rounds in found if rounds is not None]
    return np.concatenate(known) if len(known) == len(found) else None


def _medians(side: pd.DataFrame) -> Times:
    return side["time_median_s"].to_numpy(float)

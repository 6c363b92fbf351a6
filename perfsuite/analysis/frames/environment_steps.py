"""Step benchmarks of several environments: time and memory against one, and AMP vs FP32 in each; pure computing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.frames.columns import PAIRING_COLUMNS, SPREAD_COLUMNS, WORKLOAD_COLUMNS
from perfsuite.analysis.frames.group_means import group_means
from perfsuite.analysis.frames.ratio_text import ratio_columns, ratio_of_row
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.frames.speedup import time_ratio
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from perfsuite.analysis.frames.results import Results

    Floats = np.ndarray[Any, np.dtype[np.float64]]


def step_changes(frame: pd.DataFrame, results: Results, baseline: str, others: Sequence[str]) -> list[dict[str, Any]]:
    """Return an entry of `Across.changes` per benchmark and other environment.

    Args:
        frame: Benchmarks, with the columns `row` (of `results`), `run_id` and `environment`.
        results: What they are from.
        baseline: Label of the environment that the others are compared with.
        others: Labels of those.
    """
    if frame.empty:
        return []
    frame = _only(frame.assign(identity=_identity(frame)), "identity", "environment", "fullname", "label")
    rows = []
    for identity, cells in frame.groupby("identity", sort=False):
        old = cells[cells["environment"] == baseline]
        for other in others:
            new = cells[cells["environment"] == other]
            row = {
                "fullname": cells["fullname"].iloc[0],
                "label": cells["fullname" if isinstance(identity, str) else "label"].iloc[0],
                "environment": other,
            }
            rows.append({**row, **_ratio(new, old, results)})
    return rows


def amp_in_steps(frame: pd.DataFrame, results: Results, environments: Sequence[str]) -> list[dict[str, Any]]:
    """Return an entry of `Across.amp` per workload, other precision than FP32 and environment.

    Args:
        frame: As `step_changes` takes it.
        results: What they are from.
        environments: Labels of all.
    """
    columns = _identifying(frame, PAIRING_COLUMNS)
    ours = _only(frame[frame["model"].notna()], *columns, "precision", "environment", "label")
    rows: list[dict[str, Any]] = []
    for _, cells in ours.groupby(columns, dropna=False, sort=False):
        for precision in dict.fromkeys(cells.loc[cells["precision"] != BASELINE, "precision"]):
            label = str(cells.loc[cells["precision"] == precision, "label"].iloc[0])
            for environment in environments:
                here = cells[cells["environment"] == environment]
                slow, fast = here[here["precision"] == BASELINE], here[here["precision"] == precision]
                row = _ratio(fast, slow, results)
                speedup = ratio_columns("speedup", ratio_of_row(_ratio(slow, fast, results), "ratio"))
                rest = {key: value for key, value in row.items() if not key.startswith("ratio")}
                rows.append({"label": label, "environment": environment, **speedup, **rest})
    return rows


def step_groups(frame: pd.DataFrame, baseline: str, others: Sequence[str]) -> list[dict[str, Any]]:
    """Return an entry of `Across.groups` per group of benchmarks and other environment; see `group_means`.

    Args:
        frame: As `step_changes` takes it.
        baseline: Label of the environment that the others are compared with.
        others: Labels of those.
    """
    if frame.empty:
        return []
    frame = frame.assign(identity=[str(identity) for identity in _identity(frame)])
    old = frame[frame["environment"] == baseline]
    rows = []
    for other in others:
        new = frame[frame["environment"] == other]
        has_both = set(old["identity"]) & set(new["identity"])
        both = [identity for identity in dict.fromkeys(frame["identity"]) if identity in has_both]
        if len(both) < 2:  # noqa: PLR2004 - a group is of several
            continue
        first = frame.drop_duplicates("identity").set_index("identity").loc[both]
        means = group_means(
            rows_of(first[list(WORKLOAD_COLUMNS)]), _log_matrix(new, both), _log_matrix(old, both), paired=False
        )
        rows += [{**mean.columns(), "environment": other} for mean in means]
    return rows


def amp_groups(frame: pd.DataFrame, environments: Sequence[str]) -> list[dict[str, Any]]:
    """Return an entry of `Across.amp_groups` per group of workloads and environment; see `group_means`.

    Args:
        frame: As `step_changes` takes it.
        environments: Labels of all.
    """
    ours = frame[frame["model"].notna()]
    columns = _identifying(frame, PAIRING_COLUMNS)
    ours = ours.assign(pairing=[str(tuple(row.values())) for row in rows_of(ours[columns])])
    rows = []
    for environment in environments:
        here = ours[ours["environment"] == environment]
        slow = here[here["precision"] == BASELINE].assign(identity=lambda cells: cells["pairing"])
        fast = here[(here["precision"] != BASELINE) & here["pairing"].isin(slow["pairing"])]
        pairs = fast.drop_duplicates(["pairing", "precision"])
        if len(pairs) < 2:  # noqa: PLR2004 - a group is of several
            continue
        runs = list(dict.fromkeys(here["run_id"]))
        fast = fast.assign(identity=fast["pairing"] + fast["precision"])
        numerator = _log_matrix(slow, list(pairs["pairing"]), runs)
        denominator = _log_matrix(fast, list(pairs["pairing"] + pairs["precision"]), runs)
        has_both = (np.isfinite(numerator) & np.isfinite(denominator)).any(axis=0)
        workloads = rows_of(pairs[list(WORKLOAD_COLUMNS)])
        means = group_means(workloads, numerator, denominator, paired=int(has_both.sum()) > 1)
        rows += [{**mean.columns(), "environment": environment} for mean in means]
    return rows


def _log_matrix(frame: pd.DataFrame, identities: Sequence[str], runs: Sequence[str] | None = None) -> Floats:
    """Return the logarithms of the medians of the rounds in seconds [benchmarks, processes], NaN where absent."""
    runs = list(dict.fromkeys(frame["run_id"])) if runs is None else runs
    logs = np.full((len(identities), len(runs)), np.nan)
    row_of = {name: index for index, name in enumerate(identities)}
    column_of = {name: index for index, name in enumerate(runs)}
    known = frame[frame["time_median_s"] > 0].drop_duplicates(["identity", "run_id"])
    for identity, run, seconds in zip(known["identity"], known["run_id"], known["time_median_s"], strict=True):
        if identity in row_of:
            logs[row_of[identity], column_of[run]] = np.log(float(seconds))
    return logs


def _of_both(old: pd.DataFrame, new: pd.DataFrame) -> dict[str, Any]:
    """Return times, peaks and processes of both sides, as far as they have any."""
    values: dict[str, Any] = {}
    for name, side in (("baseline", old), ("candidate", new)):
        peaks = side["peak_allocated_bytes"].tolist() if "peak_allocated_bytes" in side else []
        times = dict(zip(side["run_id"].tolist(), side["time_median_s"].tolist(), strict=True))
        logs = [math.log(seconds) for seconds in times.values() if seconds is not None and seconds > 0]
        values[f"num_{name}"] = len(times)
        values[f"time_{name}_s"] = math.exp(math.fsum(logs) / len(logs)) if logs else None
        values[f"memory_{name}_bytes"] = max((float(peak) for peak in peaks if is_known(peak)), default=None)
    return values


_OF_A_RATIO = ("row", "run_id", "time_median_s", "peak_allocated_bytes", "process_sd_log", "process_sd_num_dof")
"""Columns that ratios of times and of peaks are computed from."""


def _only(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return some columns and those of a ratio: each selection of rows copies every column, and there are hundreds."""
    return frame[[column for column in (*columns, *_OF_A_RATIO) if column in frame]]


def _identity(frame: pd.DataFrame) -> list[Any]:
    """Return what a row measures, apart from where: its workload, or its full name where the file is foreign."""
    columns = _identifying(frame, WORKLOAD_COLUMNS)
    found: list[Any] = []
    for row in rows_of(frame[[*dict.fromkeys(("fullname", "model", *columns))]]):
        if row["model"] is None:
            found.append(row["fullname"])
        else:
            found.append(tuple(row[column] for column in columns))
    return found


def _identifying(frame: pd.DataFrame, workload: Sequence[str]) -> list[str]:
    """Return the columns of a workload but its device, and of how it is spread where any row is of several devices."""
    return [*(name for name in workload if name != "device_type"), *(name for name in SPREAD_COLUMNS if name in frame)]


def _ratio(numerator: pd.DataFrame, denominator: pd.DataFrame, results: Results) -> dict[str, Any]:
    """Return the ratio of times, that of peaks, and what both are computed from; the denominator is the baseline."""
    if numerator.empty or denominator.empty:
        return {**ratio_columns("ratio", None), "memory_ratio": None, **_of_both(denominator, numerator)}
    top, bottom, ratio = time_ratio(numerator, denominator, results)
    sides = _of_both(bottom, top)
    peaks = sides["memory_candidate_bytes"], sides["memory_baseline_bytes"]
    known = all(peak is not None and peak > 0 for peak in peaks)
    return {**ratio_columns("ratio", ratio), "memory_ratio": peaks[0] / peaks[1] if known else None, **sides}

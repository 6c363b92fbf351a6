"""Steps on several devices -> a row per cell and place: how fast all ranks are, and where the rest of the time goes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.frames.columns import SPREAD_COLUMNS, WORKLOAD_COLUMNS
from perfsuite.analysis.frames.noise_floor import known_noise_floors, with_noise_floor
from perfsuite.analysis.frames.numerics import claim_value, expected_text
from perfsuite.analysis.frames.ratio_text import ratio_columns
from perfsuite.analysis.frames.row_warnings import pooled_warnings
from perfsuite.analysis.frames.rows import median_of
from perfsuite.analysis.frames.scaling_groups import (
    ScalingGroup,
    bus_bytes_per_second,
    communication,
    efficiency,
    median_rank,
    scaling_groups,
    sharing,
    step_times,
)
from perfsuite.analysis.frames.scaling_steps import sound_steps, with_scaling_steps
from perfsuite.analysis.frames.speedup import time_ratio
from perfsuite.analysis.load.environment_columns import ENVIRONMENT_COLUMNS
from perfsuite.precisions import BASELINE
from perfsuite.records.spread_workload import SpreadWorkload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.results import Results, ScalingResult
    from perfsuite.analysis.statistics.intervals import Ratio

    Cell = tuple[Any, ...]

ABSENT_NAMES = {
    "no_exchange_s": "steps without exchange, and so the share of communication",
    "all_reduce_s": "a bare all-reduce",
    "peak_allocated_bytes": "peak memory",
    "predicted_peak_bytes": "predicted peak",
}
"""What a record may lack, in words."""


def scaling_frame(results: Results) -> pd.DataFrame:
    """Return a row per cell, backend and place, several runs of it together; of one line in the order of world sizes.

    Returns:
        Columns: environment, file, series, name, the workload of a rank, `SPREAD_COLUMNS`, `line` (a number that cells
        share which differ in world size alone), `backend`, `backend_version`,
        `step_slowest_s` and `step_median_rank_s` (median over turns of the slowest and of the median rank; of several
        runs their geometric mean), `images_per_second` (of all ranks, by the slowest), `efficiency_ratio`,
        `speedup_ratio` (images/s of all ranks over those of one device alone: N x efficiency), `sharing_ratio` and
        `communication_ratio` with what `ratio_columns` adds (see `scaling_groups`),
        `launch_efficiency_ratio` with the same (images/s over those of world size 1 in the same files, times 1 / N),
        `amp_speedup_ratio` with the same (FP32 time / time, cells of the same files), `gradient_bytes`,
        `all_reduce_s`, `bus_bytes_per_second`, `peak_allocated_bytes` (of the rank with the most),
        `predicted_peak_bytes`, `peak_deviation_ratio` (measured / predicted - 1), `num_processes`, `num_blocks`,
        `num_checks`, `num_failed_checks`, `warnings`; absent values are None.
    """
    groups = scaling_groups(results)
    if not groups:
        columns = ["file", "series", "name", *ENVIRONMENT_COLUMNS, *WORKLOAD_COLUMNS, *SPREAD_COLUMNS]
        return pd.DataFrame(columns=columns)
    others = _Others(results, groups)
    lines: dict[Cell, int] = {}
    for group in groups:
        lines.setdefault(_cell(group, at_one_rank(spread_of(group))), len(lines))
    rows = [{**_row(group), **others.ratios(group)} for group in groups]
    for row, group in zip(rows, groups, strict=True):
        row["line"] = lines[_cell(group, at_one_rank(spread_of(group)))]
    models = list(dict.fromkeys(row["model"] for row in rows))
    rows.sort(key=lambda row: (models.index(row["model"]), row["line"], row["world_size"]))
    return pd.DataFrame(rows)


def spread_of(group: ScalingGroup) -> SpreadWorkload:
    """Return what a group is of."""
    return SpreadWorkload.of_record(group.first)


def at_one_rank(spread: SpreadWorkload) -> SpreadWorkload:
    """Return the same step on one device: on strong scaling with the batch of all ranks."""
    batch_size = spread.batch_size if spread.scaling == "weak" else spread.batch_size * spread.world_size
    return dataclasses.replace(spread, world_size=1, batch_size=batch_size)


def _cell(group: ScalingGroup, spread: SpreadWorkload) -> Cell:
    """Return a cell in the place of a group, and on its backend."""
    return (spread, group.first.backend, group.first.backend_version, group.place)


def _row(group: ScalingGroup) -> dict[str, Any]:
    records, first = group.records, group.first
    slowest_s = _typical([float(np.median(step_times(record))) for record in records])
    median_rank_s = _typical([float(np.median(median_rank(record.exchange_s))) for record in records])
    predicted = median_of(record.predicted_peak_bytes for record in records)
    peak = median_of(max(record.peak_allocated_bytes, default=None) for record in records)
    deviation = None if peak is None or predicted is None else peak / predicted - 1
    spread, of_ideal = spread_of(group), efficiency(records)
    return {
        **group.members[0].origin,
        "file": ", ".join(one.file for one in group.members),
        **{column: getattr(spread, column) for column in (*WORKLOAD_COLUMNS, *SPREAD_COLUMNS)},
        "label": spread.label,
        "backend": first.backend,
        "backend_version": first.backend_version,
        "step_slowest_s": slowest_s,
        "step_median_rank_s": median_rank_s,
        "images_per_second": first.global_batch_size / slowest_s,
        **ratio_columns("efficiency_ratio", of_ideal),
        **ratio_columns("speedup_ratio", of_ideal.times(first.world_size)),
        **ratio_columns("sharing_ratio", sharing(records)),
        **ratio_columns("communication_ratio", communication(records)),
        "gradient_bytes": first.gradient_bytes,
        "all_reduce_s": median_of(median_of(record.all_reduce_s) for record in records),
        "bus_bytes_per_second": median_of(map(bus_bytes_per_second, records)),
        "peak_allocated_bytes": peak,
        "predicted_peak_bytes": predicted,
        "peak_deviation_ratio": deviation,
        "num_processes": len(records),
        "num_blocks": sum(len(record.alone_s) for record in records),
        "num_iterations": first.num_iterations,
        "num_checks": sum(len(record.checks) for record in records),
        "num_failed_checks": sum(len(record.failed) for record in records),
        "warnings": pooled_warnings(records),
    }


def _typical(medians: Sequence[float]) -> float:
    """Return the geometric mean of what processes measured, as everywhere where times of several are one number."""
    return float(np.exp(np.log(medians).mean()))


class _Others:
    """The cells that a cell is compared with: those of the same runs in FP32, and those of one rank."""

    def __init__(self, results: Results, groups: Sequence[ScalingGroup]) -> None:
        empty = dataclasses.replace(results, benchmarks=pd.DataFrame(), times_s=[])
        self._steps = with_scaling_steps(empty)
        floors, _ = known_noise_floors()
        frame = with_noise_floor(self._steps.benchmarks, floors) if results.has_records else self._steps.benchmarks
        self._frame = frame.assign(row=range(len(frame)))
        self._rows = {id(one): row for row, one in enumerate(sound_steps(results))}
        self._groups = {_cell(group, spread_of(group)): group for group in groups}

    def ratios(self, group: ScalingGroup) -> dict[str, Any]:
        """Return the columns of a group's ratios to other cells."""
        spread = spread_of(group)
        amp = None
        if spread.precision != BASELINE:
            fp32 = self._groups.get(_cell(group, dataclasses.replace(spread, precision=BASELINE)))
            amp = None if fp32 is None else self._time_ratio(fp32.members, group.members)
        launches = None
        alone = self._groups.get(_cell(group, at_one_rank(spread)))
        if alone is not None and alone is not group:
            launches = self._time_ratio(*_of_same_runs(alone, group))
            if launches is not None and spread.scaling == "strong":
                launches = launches.times(1 / spread.world_size)
        return {**ratio_columns("launch_efficiency_ratio", launches), **ratio_columns("amp_speedup_ratio", amp)}

    def _time_ratio(self, numerator: Sequence[ScalingResult], denominator: Sequence[ScalingResult]) -> Ratio | None:
        """Return the ratio of the times of a step; None where there are none of a side."""
        top, bottom = self._rows_of(numerator), self._rows_of(denominator)
        if not top or not bottom:
            return None
        return time_ratio(self._frame.iloc[top], self._frame.iloc[bottom], self._steps)[2]

    def _rows_of(self, members: Sequence[ScalingResult]) -> list[int]:
        """Return the rows of those whose gradients are what they should be."""
        return [self._rows[id(one)] for one in members if id(one) in self._rows]


def _of_same_runs(one: ScalingGroup, other: ScalingGroup) -> tuple[list[ScalingResult], list[ScalingResult]]:
    """Return the members of two groups that the same processes measured."""
    both = {member.record.process.run_id for member in one.members}
    both &= {member.record.process.run_id for member in other.members}
    return _of_runs(one, both), _of_runs(other, both)


def _of_runs(group: ScalingGroup, run_ids: set[str]) -> list[ScalingResult]:
    return [member for member in group.members if member.record.process.run_id in run_ids]


def absent_in_words(results: Results) -> list[str]:
    """Return what the steps on several devices lack, and why; what several lack for one reason once."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in results.scaling:
        label = SpreadWorkload.of_record(one.record).label
        for name, reason in one.record.absent.items():
            is_told = name in ABSENT_NAMES and (name != "all_reduce_s" or one.record.world_size > 1)
            if is_told:  # one rank exchanges nothing, which goes without saying
                found.setdefault((ABSENT_NAMES[name], reason), []).append(label)
    return [f"not measured: {what}: {reason} ({_first_of(labels)})" for (what, reason), labels in found.items()]


MAX_NAMED = 3
"""Cells that a note names."""


def _first_of(labels: Sequence[str]) -> str:
    names = list(dict.fromkeys(labels))
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[:MAX_NAMED])}{more}"


def failed_checks_in_words(results: Results) -> list[str]:
    """Return a line for each check of gradients that does not hold: such a step trains something else."""
    return [
        f"{_named(one)}: does not hold: {claim.name}: measured {claim_value(claim.measured, claim.unit)}, expected "
        f"{expected_text(claim.expected, claim.unit, claim.relation)}"
        for one in results.scaling
        for claim in one.record.failed
    ]


def _named(one: ScalingResult) -> str:
    return SpreadWorkload.of_record(one.record).label


def at_most_ranks(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the largest world size."""
    most = max(row["world_size"] for row in rows)
    return [row for row in rows if row["world_size"] == most]

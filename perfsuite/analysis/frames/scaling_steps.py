"""Steps on several devices as rows among those of one: for what compares times whatever they are of."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.frames.columns import SPREAD_COLUMNS, WORKLOAD_COLUMNS
from perfsuite.analysis.frames.row_warnings import pooled_warnings
from perfsuite.analysis.frames.scaling_groups import step_times
from perfsuite.records.spread_workload import SpreadWorkload

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results, ScalingResult


def with_scaling_steps(results: Results) -> Results:
    """Return results whose benchmarks have a row more per step on several devices, with `SPREAD_COLUMNS`.

    The rounds of such a row are the turns with exchange, each until the slowest rank was done; its peak is that of the
    rank with the most. Those that are not sound have none.
    """
    sound = sound_steps(results)
    if not sound:
        return results
    rows = [_row(one) for one in sound]
    added = pd.DataFrame(rows)
    own = results.benchmarks
    frame = added if own.empty else _stacked(own, added)
    num = len(rows)
    return dataclasses.replace(
        results,
        benchmarks=frame,
        times_s=[*results.times_s, *(step_times(one.record) for one in sound)],
        profiles=[*results.profiles, *[None] * num],
        operators=[*results.operators, *[()] * num],
        extra_info=[*results.extra_info, *({} for _ in rows)],
        telemetry=[*results.telemetry, *[None] * num],
    )


def sound_steps(results: Results) -> list[ScalingResult]:
    """Return the steps on several devices whose gradients are what they should be: the others did something else."""
    return [one for one in results.scaling if not one.record.failed]


def _stacked(own: pd.DataFrame, added: pd.DataFrame) -> pd.DataFrame:
    """Return both, one above the other; a column that one of them lacks is None there."""
    columns = list(dict.fromkeys([*own.columns, *added.columns]))
    values = {name: [*_column(own, name), *_column(added, name)] for name in columns}
    return pd.DataFrame(values, columns=columns)


def _column(frame: pd.DataFrame, name: str) -> list[Any]:
    return frame[name].tolist() if name in frame else [None] * len(frame)


def _row(one: ScalingResult) -> dict[str, Any]:
    record = one.record
    times = step_times(record)
    median_s = float(np.median(times))
    spread = SpreadWorkload.of_record(record)
    return {
        **one.environment,
        "machine": one.machine,
        "file": one.file,
        "series": one.series,
        "name": one.name,
        "fullname": one.fullname,
        **{column: getattr(spread, column) for column in (*WORKLOAD_COLUMNS, *SPREAD_COLUMNS)},
        "label": spread.label,
        "time_median_s": median_s,
        "num_rounds": len(times),
        "num_iterations": record.num_iterations,
        "images_per_second": record.global_batch_size / median_s,
        "peak_allocated_bytes": max(record.peak_allocated_bytes, default=None),
        "run_id": record.process.run_id,
        "started": record.process.started,
        "quick": record.quick,
        "warnings": pooled_warnings([record]),
        "findings": "; ".join(record.findings),
    }

"""Steps on several devices: the times and ratios of one cell, by one or several processes of one place."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.frames.columns import place_columns
from perfsuite.analysis.statistics.intervals import paired_ratio_over_processes
from perfsuite.records.spread_workload import SpreadWorkload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.results import Results, ScalingResult
    from perfsuite.analysis.statistics.intervals import Ratio, Times
    from perfsuite.records.scaling import ScalingRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingGroup:
    """The same step on as many devices, measured by one or several processes of one place.

    Attributes:
        members: One of each process.
        place: What distinguishes its place from the others; see `place_columns`.
    """

    members: tuple[ScalingResult, ...]
    place: tuple[Any, ...]

    @property
    def records(self) -> list[ScalingRecord]:
        """What each process measured."""
        return [one.record for one in self.members]

    @property
    def first(self) -> ScalingRecord:
        """Of the first process; what identifies the cell is the same in all."""
        return self.members[0].record


def efficiency(records: Sequence[ScalingRecord]) -> Ratio:
    """Return images/s of all ranks over the number of ranks times images/s of one device alone.

    Args:
        records: Of one cell, one of each process.
    """
    return _of_ideal(records, [slowest_rank(record.exchange_s) for record in records])


def sharing(records: Sequence[ScalingRecord]) -> Ratio | None:
    """Return the efficiency without exchange: what ranks that share the machine, or its power, leave each other.

    On strong scaling what a smaller batch leaves of a device's speed is in it. None where the strategy has no such
    step.

    Args:
        records: Of one cell, one of each process.
    """
    if not _have_no_exchange(records):
        return None
    return _of_ideal(records, [slowest_rank(record.no_exchange_s) for record in records])


def communication(records: Sequence[ScalingRecord]) -> Ratio | None:
    """Return which share of a step the exchange adds: 1 - time without / time with exchange, of the slowest ranks.

    None where the strategy has no step without exchange.

    Args:
        records: Of one cell, one of each process.
    """
    if not _have_no_exchange(records):
        return None
    blocks = [palindromic(slowest_rank(record.no_exchange_s), slowest_rank(record.exchange_s)) for record in records]
    return paired_ratio_over_processes(blocks).inverse().complement()


def communication_share(record: ScalingRecord) -> float | None:
    """Return `communication` of one process, without what is known of its error."""
    ratio = communication([record])
    return None if ratio is None else ratio.ratio


def _have_no_exchange(records: Sequence[ScalingRecord]) -> bool:
    return all(record.no_exchange_s for record in records)


def _of_ideal(records: Sequence[ScalingRecord], times: Sequence[Times]) -> Ratio:
    """Return what one device alone would take of the time of all ranks, who should need no longer than it.

    Args:
        records: Of one cell, one of each process.
        times: Seconds [blocks, 2] of all ranks, of each process.
    """
    blocks = [palindromic(np.array(record.alone_s), inner) for record, inner in zip(records, times, strict=True)]
    speedup = paired_ratio_over_processes(blocks).inverse()
    # On strong scaling the device alone has the batch of all ranks: N of them should take an N-th of its time.
    return speedup if records[0].scaling == "weak" else speedup.times(1 / records[0].world_size)


def palindromic(outer: Times, inner: Times) -> Times:
    """Return the turns of two kinds as interleaved pairs have them: outer, inner, inner, outer.

    Args:
        outer: Seconds [blocks, 2] of the kind whose turns lie further from the middle of a block.
        inner: Seconds [blocks, 2] of the other.

    Returns:
        Seconds [blocks, 4].
    """
    return np.column_stack([outer[:, 0], inner[:, 0], inner[:, 1], outer[:, 1]])


def slowest_rank(ranks: Sequence[Sequence[Sequence[float]]]) -> Times:
    """Return the times of the slowest rank in each turn [rank][block][2] -> [block, 2], in seconds."""
    times: Times = np.array(ranks).max(axis=0)
    return times


def median_rank(ranks: Sequence[Sequence[Sequence[float]]]) -> Times:
    """Return the times of the median rank in each turn [rank][block][2] -> [block, 2], in seconds."""
    times: Times = np.median(np.array(ranks), axis=0)
    return times


def step_times(record: ScalingRecord) -> Times:
    """Return how long a step with exchange took until its slowest rank was done, in seconds [2 * blocks]."""
    return slowest_rank(record.exchange_s).ravel()


def bus_bytes_per_second(record: ScalingRecord) -> float | None:
    """Return the bus bandwidth that a bare all-reduce means, or None where there was none, or only one rank.

    Bytes / median time x 2 (N - 1) / N, what every link carries of an all-reduce whatever the number of ranks.
    Source: NVIDIA nccl-tests, doc/PERFORMANCE.md, "Bus bandwidth", AllReduce.
    """
    if not record.all_reduce_s or record.world_size == 1:
        return None
    share = 2 * (record.world_size - 1) / record.world_size
    return record.gradient_bytes / statistics.median(record.all_reduce_s) * share


def scaling_groups(results: Results) -> list[ScalingGroup]:
    """Return the steps on several devices, those of one place, cell and backend together; one device first."""
    places = place_columns(pd.DataFrame([one.origin for one in results.scaling])) if results.scaling else []
    groups: dict[tuple[Any, ...], dict[str, ScalingResult]] = {}
    for one in results.scaling:
        record, origin = one.record, one.origin
        backend = (record.backend, record.backend_version)
        place = tuple(origin[column] for column in places)
        groups.setdefault((SpreadWorkload.of_record(record), *backend, place), {}).setdefault(
            record.process.run_id, one
        )
    return [ScalingGroup(members=tuple(found.values()), place=key[-1]) for key, found in groups.items()]

"""What became of the efficiency of several devices from baseline to candidate: listed with verdicts, never judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.frames.ratio_text import ratio_columns
from perfsuite.analysis.frames.rows import median_of
from perfsuite.analysis.frames.scaling_groups import bus_bytes_per_second, communication_share, efficiency
from perfsuite.analysis.statistics.intervals import bare_ratio, ratio_over_processes
from perfsuite.records.scaling import ScalingRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.statistics.intervals import Ratio
    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison

MIN_PROCESSES = 2
"""A variance needs two processes a side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingChange:
    """A step on several devices that both sides have.

    Attributes:
        benchmark: Its verdict.
        efficiency: Of the baseline and of the candidate, geometric means over processes.
        change: Candidate over baseline, of the efficiencies.
        communication: Share of a step, medians over processes; None where the strategy has no step without exchange.
        bus_bytes_per_second: Of a bare all-reduce, the same; None where there was none.
    """

    benchmark: BenchmarkVerdict
    efficiency: tuple[float, float]
    change: Ratio
    communication: tuple[float | None, float | None]
    bus_bytes_per_second: tuple[float | None, float | None]

    def columns(self) -> dict[str, Any]:
        """Return it as columns of a row, absent values None."""
        found: dict[str, Any] = {}
        for name, values in (
            ("efficiency_{}_ratio", self.efficiency),
            ("communication_{}_ratio", self.communication),
            ("bus_{}_bytes_per_second", self.bus_bytes_per_second),
        ):
            found |= {name.format(side): value for side, value in zip(("baseline", "candidate"), values, strict=True)}
        return {**found, **ratio_columns("efficiency_change_ratio", self.change)}


def scaling_changes(comparison: Comparison, chosen: Sequence[BenchmarkVerdict] | None = None) -> list[ScalingChange]:
    """Return what both sides have measured on several devices.

    The interval of a change of efficiency is Student's over processes (Welch); a drift cancels within each process.

    Args:
        comparison: What was decided; nothing is listed where the machines are not the same.
        chosen: Which benchmarks, in their order; None for all.
    """
    rows = {id(one): row for row, one in enumerate(comparison.benchmarks)}
    benchmarks = comparison.benchmarks if chosen is None else chosen
    if comparison.typical is None:
        return []
    found = []
    for benchmark in benchmarks:
        old = _records(comparison, rows[id(benchmark)], candidate=False)
        new = _records(comparison, rows[id(benchmark)], candidate=True)
        # One rank has nobody to be efficient with.
        if old and new and old[0].world_size > 1:
            found.append(_change(benchmark, old, new))
    return found


def _records(comparison: Comparison, row: int, *, candidate: bool) -> list[ScalingRecord]:
    records = comparison.sides.records(row, candidate=candidate)
    return [record for record in records if isinstance(record, ScalingRecord)]


def _change(benchmark: BenchmarkVerdict, old: Sequence[ScalingRecord], new: Sequence[ScalingRecord]) -> ScalingChange:
    before = np.array([efficiency([record]).ratio for record in old])
    after = np.array([efficiency([record]).ratio for record in new])
    mean_before, mean_after = float(np.exp(np.log(before).mean())), float(np.exp(np.log(after).mean()))
    num_processes = min(len(before), len(after))
    if num_processes >= MIN_PROCESSES:
        change = ratio_over_processes(after, before, paired=False)
    else:
        change = bare_ratio(mean_after / mean_before, num_processes)
    return ScalingChange(
        benchmark=benchmark,
        efficiency=(mean_before, mean_after),
        change=change,
        communication=(median_of(map(communication_share, old)), median_of(map(communication_share, new))),
        bus_bytes_per_second=(median_of(map(bus_bytes_per_second, old)), median_of(map(bus_bytes_per_second, new))),
    )

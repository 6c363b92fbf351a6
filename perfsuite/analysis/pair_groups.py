"""Interleaved pairs of several runs: the same two workloads in the same environment are one ratio over processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.collect import ENVIRONMENT_COLUMNS
from perfsuite.analysis.statistics.intervals import paired_ratio_over_processes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.collect import Pair, Results
    from perfsuite.analysis.statistics.intervals import Ratio, Times
    from perfsuite.records import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class PairGroup:
    """The same pair of workloads, measured interleaved by one or several processes of one environment.

    Attributes:
        pairs: One of each process.
    """

    pairs: tuple[Pair, ...]

    def blocks(self) -> list[Times]:
        """Return the blocks of each process, seconds [blocks, 4]."""
        return [np.array(pair.record.blocks) for pair in self.pairs]

    def time_ratio(self) -> Ratio:
        """Return the time of the candidate over that of the baseline."""
        return paired_ratio_over_processes(self.blocks())


def pair_groups(results: Results, comparisons: Sequence[Comparison]) -> list[PairGroup]:
    """Return the pairs of those comparisons, those of one environment and the same workloads together."""
    groups: dict[tuple[object, ...], dict[str, Pair]] = {}
    for pair in results.pairs:
        record = pair.record
        if record.comparison in comparisons:
            environment = tuple(pair.environment[column] for column in ENVIRONMENT_COLUMNS)
            key = (record.comparison, record.baseline, record.candidate, *environment)
            groups.setdefault(key, {}).setdefault(record.process.run_id, pair)
    return [PairGroup(pairs=tuple(found.values())) for found in groups.values()]

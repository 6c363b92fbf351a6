"""Interleaved pairs of several runs: the same two workloads in the same place are one ratio over processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from perfsuite.analysis.frames.columns import place_columns
from perfsuite.analysis.frames.overhead import paired_estimate
from perfsuite.analysis.statistics.intervals import paired_ratio_over_processes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.results import Pair, Results
    from perfsuite.analysis.statistics.intervals import Ratio, Times
    from perfsuite.records.pair import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class PairGroup:
    """The same pair of workloads, measured interleaved by one or several processes of one place.

    Attributes:
        pairs: One of each process.
        place: The columns that distinguish its place from the others; see `place_columns`.
    """

    pairs: tuple[Pair, ...]
    place: tuple[str, ...]

    def blocks(self) -> list[Times]:
        """Return the blocks of each process, seconds [blocks, 4]."""
        return [np.array(pair.record.blocks) for pair in self.pairs]

    def time_ratio(self) -> Ratio:
        """Return the time of the candidate over that of the baseline."""
        if len(self.pairs) == 1:
            return paired_estimate(self.pairs[0].record)
        return paired_ratio_over_processes(self.blocks())


def pair_groups(results: Results, comparisons: Sequence[Comparison]) -> list[PairGroup]:
    """Return the pairs of those comparisons, those of one place and the same workloads together."""
    pairs = [pair for pair in results.pairs if pair.record.comparison in comparisons]
    places = tuple(place_columns(pd.DataFrame([pair.origin for pair in pairs])))
    groups: dict[tuple[object, ...], dict[str, Pair]] = {}
    for pair in pairs:
        record, origin = pair.record, pair.origin
        key = (record.comparison, record.baseline, record.candidate, *(origin[column] for column in places))
        groups.setdefault(key, {}).setdefault(record.process.run_id, pair)
    return [PairGroup(pairs=tuple(found.values()), place=places) for found in groups.values()]

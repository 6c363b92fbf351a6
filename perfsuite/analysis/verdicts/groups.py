"""Geometric means of a comparison over networks, phases and precisions."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.frames.group_means import GroupMean, group_means
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.statistics.intervals import bare_ratio

if TYPE_CHECKING:
    from perfsuite.analysis.verdicts.compare import Comparison


def comparison_groups(comparison: Comparison) -> list[GroupMean]:
    """Return the geometric mean of candidate / baseline over groups of benchmarks; empty where nothing was compared.

    They have an interval where processes are samples: the sides ran interleaved, three processes a side or more, and
    no process is left out as too slow; see `group_means`. It is of each mean by itself, and no verdict.
    """
    typical, sides = comparison.typical, comparison.sides
    if typical is None:
        return []
    workloads = [{} if one is None else dataclasses.asdict(one) for one in sides.workloads]
    is_whole = typical.quantile == TYPICAL and typical.effect.num_left_out == 0
    if is_whole:
        logs = sides.logs[TYPICAL]
        new, old = logs[:, sides.is_candidate], logs[:, ~sides.is_candidate]
        is_sampled = typical.interleaved and bool(typical.judged.any())
        return group_means(workloads, new, old, has_interval=is_sampled)
    change = typical.effect.change[:, None]  # without the slowest processes, as in the rows
    num_processes = min(len(sides.side(candidate=candidate)) for candidate in (False, True))
    found = group_means(workloads, change, np.where(np.isfinite(change), 0.0, np.nan), has_interval=False)
    return [dataclasses.replace(one, ratio=bare_ratio(one.ratio.ratio, num_processes)) for one in found]

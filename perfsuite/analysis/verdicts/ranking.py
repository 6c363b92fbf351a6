"""Verdicts in the order in which they are read: the worst first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perfsuite.analysis.verdicts.verdict import WORST_FIRST

if TYPE_CHECKING:
    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.verdicts.training_verdicts import TrainingComparison, TrainingVerdict


def ranked_trainings(found: TrainingComparison) -> list[TrainingVerdict]:
    """Return the verdicts in the order in which they are shown: the worst first, within them the largest losses."""
    return sorted(found.verdicts, key=lambda one: (WORST_FIRST.index(one.verdict), one.accuracy.change or 0.0))


def ranked(comparison: Comparison) -> list[BenchmarkVerdict]:
    """Return the benchmarks in the order in which they are shown: worst verdicts first, within them largest changes."""

    def rank(benchmark: BenchmarkVerdict) -> tuple[int, float]:
        ratios = [metric.ratio for metric in (benchmark.time, benchmark.memory) if metric is not None and metric.ratio]
        largest = max((abs(math.log(ratio)) for ratio in ratios[:1]), default=0.0)
        return WORST_FIRST.index(benchmark.verdict), -largest

    return sorted(comparison.benchmarks, key=rank)

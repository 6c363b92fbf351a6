"""The rule that separates a change from noise: pure functions of arrays of logarithms of times.

The rule is described in `decide`; how often it is right is measured by tests/yardstick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.statistics.effect import (
    MIN_POOLED,
    TYPICAL,
    Effect,
    is_interleaved,
    steadiest_effect,
)
from perfsuite.analysis.statistics.evidence import Relative, ask_others, gather_evidence
from perfsuite.analysis.statistics.power import (
    num_processes_needed,
)
from perfsuite.analysis.statistics.significance import MIN_PROCESSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfsuite.analysis.statistics.common_mode import CommonShift
    from perfsuite.analysis.statistics.effect import Bools, Floats

TAIL_SHARE = 0.2
"""Of alpha, for the slowest rounds; the rest is for typical rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is decided about typical rounds; arrays are [benchmarks], changes are logarithms of candidate / baseline.

    Attributes:
        effect: The changes as measured, and what they rest on.
        quantile: Of the rounds of a process, which represents it.
        interleaved: Whether the order in which the processes ran separates code from drift.
        low: Lower end of the 95% interval of the change.
        high: Upper end.
        p_value: Two-sided, adjusted for all benchmarks.
        alpha: What it may be at most.
        common: What the benchmarks of a process have in common; None for too few benchmarks.
        agreeing_ratio: Share of the benchmarks that changed alike.
        moved_together: Whether nearly all benchmarks changed alike, by more than chance.
        relative: Changes relative to the other benchmarks; None where they cannot be told from changes of the others.
        detectable: Smallest slowdown that is found with a probability of 95%; NaN where none is.
        num_processes_needed: Per side, for a verdict with a probability of 95%: on a change below the minimum effect if
            there is none, on a larger one if it is as measured.
        judged: Whether there are enough processes.
        out_of_order: Whether there are enough, but those that have this benchmark do not alternate as the sides do.
        by_itself: Significant by itself.
        by_shift: Significant as part of what all benchmarks have in common.
        by_others: Significant relative to the others.
        regressed: Slower.
        improved: Faster.
        unchanged: Within the minimum effect.
    """

    effect: Effect
    quantile: float
    interleaved: bool
    low: Floats
    high: Floats
    p_value: Floats
    alpha: float
    common: CommonShift | None
    agreeing_ratio: float
    moved_together: bool
    relative: Relative | None
    detectable: Floats
    num_processes_needed: Floats
    judged: Bools
    out_of_order: Bools
    by_itself: Bools
    by_shift: Bools
    by_others: Bools
    regressed: Bools
    improved: Bools
    unchanged: Bools


def decide(
    logs: Mapping[float, Floats],
    is_candidate: Bools,
    order: Floats,
    *,
    min_effect: Floats,
    alpha: float,
    resolution: Floats | None = None,
) -> Decision:
    """Decide about typical rounds.

    The rule, for each benchmark:

    1. A process is represented by the logarithm of the median of its rounds (on a noisy host, of a lower quantile, the
       slowest process of either side left out). The change is the difference of the means of both sides, so the ratio
       is candidate / baseline as measured.
    2. Its standard error contains all that differs between processes. Variances are pooled over the sides and shrunk
       across benchmarks, with no more degrees of freedom than the independent variances among them have.
    3. `regressed`: the change reaches the minimum effect, its own 95% interval excludes 1, and it is significant among
       all benchmarks in one of three ways: by itself; as part of a shift that nearly all benchmarks have in common; or
       relative to the others, where nearly all agree and their common-mode shift may be chance. The last two share half
       of alpha. `improved` mirrors it.
    4. `unchanged`: the 95% interval lies within the minimum effect.
    5. If the sides ran one after the other, the median change of all benchmarks may be the machine's and is added to
       the standard error; only a change relative to at least seven others counts, and it must exceed the shift of all.
    6. Alpha is the chance of any false verdict, slower or faster, in all benchmarks.

    Args:
        logs: [benchmarks, processes] by quantile, of the rounds of each process; NaN where it lacks a benchmark.
        is_candidate: [processes]
        order: [processes] start times in any unit, NaN if unknown.
        min_effect: [benchmarks] as logarithms, positive.
        alpha: Chance of any false verdict.
        resolution: [benchmarks] smallest step of the times as a ratio.
    """
    effect, quantile = steadiest_effect(logs, is_candidate, order, resolution)
    interleaved = is_interleaved(is_candidate, order)
    enough = (effect.num >= MIN_PROCESSES) & np.isfinite(effect.se)
    judged = enough
    if interleaved:  # as a whole; a benchmark that some processes lack may still stand one side after the other
        judged = enough & _own_order(np.isfinite(logs[TYPICAL]), is_candidate, order)
    others = None
    if judged.sum() >= MIN_POOLED:
        others = ask_others(logs[quantile], is_candidate, order, effect, judged, min_effect, resolution)
    evidence = gather_evidence(effect, judged, others, min_effect, alpha, interleaved=interleaved)
    slower, faster = evidence.significant(1), evidence.significant(-1)
    regressed, improved = slower.any_way, faster.any_way
    return Decision(
        effect=effect,
        quantile=quantile,
        interleaved=interleaved,
        low=np.where(judged, evidence.change - evidence.half, np.nan),
        high=np.where(judged, evidence.change + evidence.half, np.nan),
        p_value=np.where(judged, evidence.own.p_value, np.nan),
        alpha=evidence.own_alpha,
        common=None if others is None else others.common,
        agreeing_ratio=0.0 if others is None else others.agreeing_ratio,
        moved_together=evidence.moved_together,
        relative=evidence.relative,
        detectable=np.where(judged, evidence.detectable(effect), np.nan),
        num_processes_needed=num_processes_needed(evidence.change, evidence.se, effect, evidence.own.level, min_effect),
        judged=judged,
        out_of_order=enough & ~judged,
        by_itself=slower.by_itself | faster.by_itself,
        by_shift=slower.by_shift | faster.by_shift,
        by_others=slower.by_others | faster.by_others,
        regressed=regressed,
        improved=improved,
        unchanged=evidence.unchanged() & ~regressed & ~improved,
    )


def _own_order(present: Bools, is_candidate: Bools, order: Floats) -> Bools:
    """Tell for each benchmark whether the processes that have it alternate."""
    if present.all():
        return np.full(len(present), is_interleaved(is_candidate, order))
    patterns, rows = np.unique(present, axis=0, return_inverse=True)
    found = [is_interleaved(is_candidate[has], order[has]) for has in patterns]
    return np.array(found, dtype=bool)[rows.reshape(-1)]

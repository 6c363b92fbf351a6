"""The slowest rounds: whether a minority of the rounds became slower, which a median does not show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr

from perfsuite.analysis.statistics.effect import estimate_effect, is_interleaved
from perfsuite.analysis.statistics.significance import MIN_PROCESSES, half_interval, holm

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.effect import Bools, Floats

TAIL_FRACTION = 0.3
"""The slowest rounds of a process that the tail is the mean of. A slowdown of 15% of the rounds by 20% raises that mean
by 10% and the 90th percentile hardly ever."""

TAIL_EFFECT_FACTOR = 2.0
"""How many times the minimum effect the tail must have grown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TailDecision:
    """What is decided about the slowest rounds; arrays are [benchmarks], logarithms.

    Attributes:
        change: Of the mean of the slowest rounds.
        low: Lower end of its 95% interval.
        high: Upper end.
        p_value: One-sided, adjusted for all benchmarks.
        alpha: What it may be at most.
        judged: Whether there are raw rounds of enough processes.
        regressed: Slower.
        suspicious: Slower when looked at alone, by the minimum effect: such a benchmark is not called unchanged.
    """

    change: Floats
    low: Floats
    high: Floats
    p_value: Floats
    alpha: float
    judged: Bools
    regressed: Bools
    suspicious: Bools


def decide_tail(logs: Floats, is_candidate: Bools, order: Floats, *, min_effect: Floats, alpha: float) -> TailDecision:
    """Decide about the slowest rounds, whether a minority of the rounds became slower.

    The mean of the slowest rounds of each process is compared as typical rounds are, by itself alone, in one direction.
    Where the sides ran one after the other nothing is called a regression.

    Args:
        logs: [benchmarks, processes] of the mean of the slowest `TAIL_FRACTION` of the rounds, NaN where unknown.
        is_candidate: [processes]
        order: [processes] start times.
        min_effect: [benchmarks] as logarithms: `TAIL_EFFECT_FACTOR` times that of typical rounds.
        alpha: Chance of any false verdict.
    """
    effect = estimate_effect(logs, is_candidate)
    judged = (effect.num >= MIN_PROCESSES) & np.isfinite(effect.se)
    change = np.where(judged, effect.change, 0.0)
    se = np.where(judged, effect.se, 1.0)
    half = half_interval(effect.dof, se)
    alone = stdtr(effect.dof, -change / se)
    p_value = holm(alone, judged)
    reaches = judged & (change >= min_effect)
    return TailDecision(
        change=change,
        low=change - half,
        high=change + half,
        p_value=p_value,
        alpha=alpha,
        judged=judged,
        regressed=reaches & (p_value <= alpha) & is_interleaved(is_candidate, order),
        suspicious=judged & (change - half > 0) & (change >= min_effect / TAIL_EFFECT_FACTOR),
    )

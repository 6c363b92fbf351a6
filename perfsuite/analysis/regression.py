"""The rule that tells a regression from noise: pure functions on arrays of logarithms of times.

The rule is documented where it is used, in `judge`; its scores stand in the README.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

from perfsuite.analysis.estimate import MIN_POOLED, SLOW, Estimate, estimate_change, is_interleaved, steadiest_estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfsuite.analysis.estimate import Bools, Floats

MIN_PROCESSES = 3
"""Fewer processes a side never give a verdict about time."""

FULL_PROCESSES = 5
"""Fewer processes a side get half of alpha: there the tails of the noise matter more than theory allows for."""

TAIL_SHARE = 0.2
"""Of alpha, for the slowest tenth of the rounds; the rest is for typical rounds."""

COMMON_ERRORS = 1.5
"""How many standard errors of the common shift are taken for chance where the sides ran one after the other."""

TAIL_EFFECT_FACTOR = 2.5
"""How many times the minimum effect the slowest tenth must have grown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdicts of one family of tests; arrays are [benchmarks], logarithms of candidate over baseline.

    Attributes:
        estimate: What they rest on.
        interleaved: Whether the order in which the processes ran separates code from machine.
        change: The change that was judged.
        low: Lower end of its 95% interval.
        high: Upper end.
        mde95: Smallest slowdown that would have been called regressed 95 times of 100.
        p_slower: One-sided error probability, Holm-adjusted over all benchmarks.
        p_faster: The same for a speed-up.
        threshold: What the change must reach.
        regressed: Surely slower, by the minimum effect or more.
        improved: Surely faster, by the minimum effect or more.
        unchanged: Surely within the minimum effect.
        judged: Whether there were enough processes a side.
        se: Standard error of the change.
        levels: The error probability that each may take.
        num_to_settle: Processes a side that would tell a change of the minimum effect from none.
    """

    estimate: Estimate
    interleaved: bool
    change: Floats
    low: Floats
    high: Floats
    mde95: Floats
    p_slower: Floats
    p_faster: Floats
    threshold: Floats
    regressed: Bools
    improved: Bools
    unchanged: Bools
    judged: Bools
    se: Floats
    levels: Floats
    num_to_settle: Floats


def judge(
    logs: Mapping[float, Floats],
    is_candidate: Bools,
    order: Floats,
    *,
    min_effect: Floats,
    alpha: float,
) -> Judgement:
    """Judge typical rounds.

    The rule, for each benchmark:

    1. A process counts as the logarithm of the median of its rounds. On a host where the processes scatter far less
       in a lower quantile and without the slowest process of either side, that is used for all benchmarks.
    2. What all benchmarks of a process share (a clock, a neighbour, a drift) is taken out, where that helps; the part
       of it by which the sides differ is tested by itself.
    3. Variances are pooled over the sides and shrunk across benchmarks (empirical Bayes), with a floor.
    4. `regressed`: one-sided t test, Holm-adjusted over all benchmarks, and the estimate reaches the minimum effect.
       `improved` mirrors it. `unchanged`: the 90% interval, the common part included, lies within the minimum effect.
    5. If the sides did not take turns, nobody can tell code from machine: the change must exceed the minimum effect by
       as much as all benchmarks have shifted together, both with and without that shift.
    6. Three or four processes a side get half of alpha, fewer no verdict.

    Source: Smyth, Linear models and empirical Bayes methods, Stat. Appl. Genet. Mol. Biol. 3 (2004), article 3 (step
    3); Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6 (1979).

    Args:
        logs: [benchmarks, processes] by quantile, of the rounds of each process; NaN where it lacks a benchmark.
        is_candidate: [processes]
        order: [processes] start times in any unit, NaN if unknown.
        min_effect: [benchmarks] as logarithms, positive.
        alpha: Chance of any false alarm in all benchmarks.
    """
    estimate = steadiest_estimate(logs, is_candidate, order)
    return _verdicts(estimate, is_interleaved(is_candidate, order), min_effect, alpha)


def judge_slowest(logs: Floats, is_candidate: Bools, order: Floats, *, min_effect: Floats, alpha: float) -> Judgement:
    """Judge the slowest tenth of the rounds, by the same rule without a choice of quantile."""
    estimate = estimate_change(logs, is_candidate, order, quantile=SLOW, num_trimmed=0, common=True)
    return _verdicts(estimate, is_interleaved(is_candidate, order), min_effect, alpha)


def _verdicts(estimate: Estimate, interleaved: bool, min_effect: Floats, alpha: float) -> Judgement:  # noqa: FBT001
    own, dof = estimate.own, estimate.dof
    shift, shift_se = estimate.common, estimate.common_se
    total = own + shift
    pooled = len(own) >= MIN_POOLED
    if interleaved:
        # A shift that may be chance is taken for chance; a real one belongs to the code, for the order excludes drift.
        counted = estimate.common_is_real or not pooled
        change = total if counted else own
        se = np.hypot(estimate.se, shift_se) if counted and pooled else estimate.se
        margin = 0.0
    else:
        # What of the common shift is no chance is taken out, and the change must exceed it on top: benchmarks may feel
        # the machine's state up to twice as much as the typical one does.
        margin = max(abs(shift) - COMMON_ERRORS * shift_se, 0.0) if math.isfinite(shift_se) else abs(shift)
        change, se = total - math.copysign(margin, shift), estimate.se
    threshold = min_effect + margin
    judged = (estimate.num >= MIN_PROCESSES) & np.isfinite(se)
    levels = np.where(estimate.num >= FULL_PROCESSES, alpha, alpha / 2)
    safe_se = np.where(judged, se, 1.0)
    safe_change = np.where(judged, change, 0.0)
    slower = _holm(stdtr(dof, -(safe_change - margin) / safe_se), judged)
    faster = _holm(stdtr(dof, (safe_change + margin) / safe_se), judged)
    agrees_slower = total >= min_effect if not interleaved else True
    agrees_faster = total <= -min_effect if not interleaved else True
    regressed = judged & (slower <= levels) & (change >= threshold) & agrees_slower
    improved = judged & (faster <= levels) & (change <= -threshold) & agrees_faster
    total_se = np.hypot(safe_se, shift_se if pooled else 0.0)
    within = stdtrit(dof, 0.95) * total_se
    # Out of turn, a machine that shifted may hide what the code did: small with that shift and without, then.
    largest = np.abs(total) if interleaved else np.maximum(np.abs(total), np.abs(own))
    unchanged = judged & ~regressed & ~improved & (largest + within < min_effect)
    num_judged = max(int(judged.sum()), 1)
    critical = stdtrit(dof, 1 - levels / num_judged)
    half = stdtrit(dof, 0.975) * safe_se
    # 3.6 standard errors are 1.96 for the interval and 1.64 for 95% of a chance that it comes to lie inside
    needed = np.ceil(2 * (3.6 * estimate.spread / min_effect) ** 2) + estimate.num_trimmed
    return Judgement(
        estimate=estimate,
        interleaved=interleaved,
        change=change,
        low=np.where(judged, change - half, np.nan),
        high=np.where(judged, change + half, np.nan),
        mde95=np.where(
            judged,
            np.maximum(threshold, critical * safe_se + margin) + stdtrit(dof, 0.95) * safe_se,
            np.nan,
        ),
        p_slower=np.where(judged, slower, np.nan),
        p_faster=np.where(judged, faster, np.nan),
        threshold=threshold,
        regressed=regressed,
        improved=improved,
        unchanged=unchanged,
        judged=judged,
        se=safe_se,
        levels=levels,
        num_to_settle=np.maximum(needed, FULL_PROCESSES),
    )


def _holm(p_values: Floats, judged: Bools) -> Floats:
    """Return Holm-adjusted p-values over the benchmarks that are judged, 1 for the others."""
    adjusted = np.ones(len(p_values))
    where = np.flatnonzero(judged)
    ascending = where[np.argsort(p_values[where], kind="stable")]
    steps = (len(where) - np.arange(len(where))) * p_values[ascending]
    adjusted[ascending] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(where) else []
    return adjusted

"""The rule that tells a regression from noise: pure functions on arrays of logarithms of times.

A process is a sample, a round is not: each process gives one number per benchmark. The rule is documented where it is
used, in `judge`; its scores stand in the README.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import digamma, polygamma, stdtr, stdtrit

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

TYPICAL = 0.5
"""The quantile of a process's rounds that stands for it, unless a lower one is far steadier."""

STEADIER = (0.25, 0.1)
"""Lower quantiles, for hosts on which others run too: what a neighbour does only ever adds time."""

SLOW = 0.9
"""The quantile behind which a slowdown of a minority of the steps shows."""

STEADIER_GAIN = 1.0
"""By how much the mean logarithm of the variance must fall (a factor of e) before a lower quantile without the slowest
process is preferred. Choosing by the spread within the sides says nothing about the difference between them."""

COMMON_GAIN = 0.1
"""The same for taking out what all benchmarks of a process share."""

MIN_POOLED = 8
"""From as many benchmarks on they learn from each other: variances are shrunk, a common shift can be told apart."""

MIN_PROCESSES = 3
"""Fewer processes a side never give a verdict about time."""

FULL_PROCESSES = 5
"""Fewer processes a side get half of alpha: there the tails of the noise matter more than theory allows for."""

FLOOR_SD = 0.002
"""Processes are never taken to agree better than this. Source: the spread of identical processes on idle machines."""

LARGEST_PRIOR_DOF = 100.0
"""However alike the variances are, they are not taken to be known better than from as many further processes."""

COMMON_ALPHA = 0.005
"""A shift common to all benchmarks counts as real only beyond this error probability."""

TAIL_SHARE = 0.2
"""Of alpha, for the slowest tenth of the rounds; the rest is for typical rounds."""

TAIL_EFFECT_FACTOR = 2.5
"""How many times the minimum effect the slowest tenth must have grown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is known of each benchmark's candidate-over-baseline, as logarithms; arrays are [benchmarks].

    Attributes:
        quantile: Of the rounds of each process.
        num_trimmed: Slowest processes a side that are left out.
        common_removed: Whether what all benchmarks of a process share was taken out.
        own: Difference of the sides, what is common to all benchmarks taken out.
        se: Its standard error, variances shrunk towards each other.
        dof: Its degrees of freedom.
        spread: Standard deviation between processes after shrinking.
        num: Processes a side that it rests on, the smaller of both.
        common: Difference of the sides that is common to all benchmarks; 0 if that cannot be told.
        common_se: Its standard error.
        common_is_real: Whether it is more than chance.
        unsteadiness: Mean logarithm of the squared standard errors before shrinking.
    """

    quantile: float
    num_trimmed: int
    common_removed: bool
    own: Floats
    se: Floats
    dof: Floats
    spread: Floats
    num: np.ndarray[Any, np.dtype[np.int64]]
    common: float
    common_se: float
    common_is_real: bool
    unsteadiness: float


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
    num_to_settle: Floats


def is_interleaved(is_candidate: Bools, order: Floats) -> bool:
    """Tell whether the sides took turns: then a machine that drifts slows both down.

    Args:
        is_candidate: [processes]
        order: [processes] start times; equal or NaN ones cannot be ordered and count as not interleaved.
    """
    if np.isnan(order).any() or len(np.unique(order)) < len(order):
        return False
    sides = is_candidate[np.argsort(order)]
    ranks = np.argsort(np.argsort(order)).astype(float)
    num_turns = int((sides[1:] != sides[:-1]).sum()) + 1
    imbalance = abs(ranks[is_candidate].mean() - ranks[~is_candidate].mean()) / (len(order) / 2)
    return num_turns >= 4 and bool(imbalance <= 0.4)  # noqa: PLR2004 - A B B A has three turns too few; sequential is 1.0


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
    estimate = _steadiest(logs, is_candidate, order)
    return _verdicts(estimate, is_interleaved(is_candidate, order), min_effect, alpha)


def judge_slowest(logs: Floats, is_candidate: Bools, order: Floats, *, min_effect: Floats, alpha: float) -> Judgement:
    """Judge the slowest tenth of the rounds, by the same rule without a choice of quantile."""
    estimate = _estimate(logs, is_candidate, order, quantile=SLOW, num_trimmed=0, common=True)
    return _verdicts(estimate, is_interleaved(is_candidate, order), min_effect, alpha)


def _steadiest(logs: Mapping[float, Floats], is_candidate: Bools, order: Floats) -> Estimate:
    """Choose how a process is represented by how well processes of one side agree."""

    def best_of(quantile: float, num_trimmed: int) -> Estimate:
        plain, without = (
            _estimate(logs[quantile], is_candidate, order, quantile=quantile, num_trimmed=num_trimmed, common=common)
            for common in (False, True)
        )
        helps = without.common_removed and plain.unsteadiness - without.unsteadiness >= COMMON_GAIN
        return without if helps else plain

    chosen = best_of(TYPICAL, 0)
    if len(chosen.own) < MIN_POOLED:
        return chosen
    for quantile in STEADIER:
        if quantile in logs:
            other = best_of(quantile, 1)
            least = STEADIER_GAIN if chosen.num_trimmed == 0 else 0.0
            if chosen.unsteadiness - other.unsteadiness > least:
                chosen = other
    return chosen


def _estimate(
    logs: Floats, is_candidate: Bools, order: Floats, *, quantile: float, num_trimmed: int, common: bool
) -> Estimate:
    """Estimate the difference of the sides and how well it is known."""
    num_benchmarks = len(logs)
    per_process = np.zeros(logs.shape[1])
    shift, shift_se, shift_is_real = 0.0, 0.0, False
    pooled = num_benchmarks >= MIN_POOLED
    if pooled:
        per_process = _common_part(logs, is_candidate)
        shift, shift_se, shift_is_real = _common_shift(logs, per_process, is_candidate, order)
    remaining = logs - per_process if common else logs
    base = _trimmed(remaining[:, ~is_candidate], num_trimmed)
    new = _trimmed(remaining[:, is_candidate], num_trimmed)
    with np.errstate(divide="ignore", invalid="ignore"):
        dof = base.num_kept + new.num_kept - 2.0
        variance = (base.squares + new.squares) / dof
        # 1 / n a side; the bounds keep benchmarks without a process finite, they are never judged
        per_mean = 1 / np.maximum(base.num_kept, 1) + 1 / np.maximum(new.num_kept, 1)
    usable = (dof > 0) & np.isfinite(variance)
    variance = np.where(usable, np.maximum(variance, FLOOR_SD**2), np.nan)
    shrunk, prior_dof = _shrink(variance, dof, usable)
    own = new.mean - base.mean
    if pooled and not common:
        own = own - shift
    return Estimate(
        quantile=quantile,
        num_trimmed=num_trimmed,
        common_removed=common and pooled,
        own=own,
        se=np.sqrt(shrunk * per_mean),
        dof=np.where(usable, np.maximum(dof, 1) + prior_dof, 1.0),
        spread=np.sqrt(shrunk),
        num=np.minimum(base.num, new.num),
        common=shift,
        common_se=shift_se,
        common_is_real=shift_is_real,
        unsteadiness=float(np.log(variance[usable] * per_mean[usable]).mean()) if usable.any() else 0.0,
    )


def _common_part(logs: Floats, is_candidate: Bools) -> Floats:
    """Return what all benchmarks of a process share, up to a constant: the median of their deviations [processes]."""
    with np.errstate(invalid="ignore"):
        middle = (np.nanmedian(logs[:, ~is_candidate], axis=1) + np.nanmedian(logs[:, is_candidate], axis=1)) / 2
    return np.nan_to_num(np.nanmedian(logs - middle[:, None], axis=0))


def _common_shift(logs: Floats, per_process: Floats, is_candidate: Bools, order: Floats) -> tuple[float, float, bool]:
    """Return the shift between the sides that all benchmarks share, its standard error, and whether it is real.

    Where the sides took turns, a drift in time is fitted beside it: both are told apart then.
    """
    columns = [np.ones(len(per_process)), is_candidate.astype(float)]
    if is_interleaved(is_candidate, order) and len(order) >= 6:  # noqa: PLR2004 - three coefficients, three left over
        ranks = np.argsort(np.argsort(order)).astype(float)
        columns.append(ranks - ranks.mean())
    design = np.stack(columns, axis=1)
    coefficients, *_ = np.linalg.lstsq(design, per_process, rcond=None)
    dof = len(per_process) - design.shape[1]
    if dof < 1:
        return float(coefficients[1]), math.inf, False
    residuals = per_process - design @ coefficients
    # The median over the benchmarks is itself uncertain, also where the processes agree by chance.
    deviations = logs - per_process
    scatter = np.nanmedian(np.abs(deviations - np.nanmedian(deviations, axis=1, keepdims=True))) * 1.4826
    least = max(FLOOR_SD, 1.2533 * float(scatter)) ** 2 / len(logs)
    variance = max(float(residuals @ residuals) / dof, least)
    error = math.sqrt(variance * np.linalg.inv(design.T @ design)[1, 1])
    shift = float(coefficients[1])
    return shift, error, bool(2 * stdtr(dof, -abs(shift) / error) < COMMON_ALPHA)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One side of each benchmark: location, squares of deviations, and how many processes."""

    mean: Floats
    squares: Floats
    num: np.ndarray[Any, np.dtype[np.int64]]
    num_kept: Floats


def _trimmed(logs: Floats, num_trimmed: int) -> _Side:
    """Return the mean without the slowest processes, and the winsorized sum of squares that goes with it.

    Source: Tukey, McLaughlin, Less vulnerable confidence and significance procedures for location based on a single
    sample: trimming/winsorization, Sankhya A 25 (1963); one-sided here, since neighbours only ever add time.
    """
    num = np.isfinite(logs).sum(axis=1)
    ordered = np.sort(logs, axis=1)  # NaN last
    kept = np.where(num > num_trimmed + 1, num - num_trimmed, num)
    position = np.arange(logs.shape[1])[None]
    inside = position < kept[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(inside, ordered, 0).sum(axis=1) / kept
    last = np.take_along_axis(ordered, np.maximum(kept - 1, 0)[:, None], axis=1)
    winsorized = np.where(inside, ordered, last)
    present = position < num[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = np.where(present, winsorized, 0).sum(axis=1) / num
    squares = np.where(present, (winsorized - centre[:, None]) ** 2, 0).sum(axis=1)
    return _Side(mean=mean, squares=squares, num=num, num_kept=kept.astype(float))


def _shrink(variance: Floats, dof: Floats, usable: Bools) -> tuple[Floats, float]:
    """Shrink variances towards a common one; return them and the degrees of freedom that the others lend.

    Moment estimators of the scaled F distribution of the variances. Source: Smyth 2004, section 6.2.
    """
    if usable.sum() < MIN_POOLED:
        return variance, 0.0
    half = dof[usable] / 2
    logs = np.log(variance[usable]) - digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - polygamma(1, half).mean())
    prior_dof = LARGEST_PRIOR_DOF
    if excess > 0:
        prior_dof = min(2 * _inverse_trigamma(excess), LARGEST_PRIOR_DOF)
    prior = math.exp(float(logs.mean()) + float(digamma(prior_dof / 2)) - math.log(prior_dof / 2))
    with np.errstate(invalid="ignore"):
        shrunk = (dof * variance + prior_dof * prior) / (dof + prior_dof)
    return np.maximum(shrunk, FLOOR_SD**2), prior_dof


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value by Newton's method on 1 / trigamma, which is convex. Source: Smyth 2004, appendix."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return x


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
        change, se = own, estimate.se
        margin = max(abs(shift) - shift_se, 0.0) if math.isfinite(shift_se) else abs(shift)
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

"""How different two sides are, and how well that is known: pure functions of arrays of logarithms of times.

A process is a sample, a round is not: each process gives one number per benchmark.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import digamma, polygamma

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Counts = np.ndarray[Any, np.dtype[np.int64]]

TYPICAL = 0.5
"""The quantile of a process's rounds that represents it, unless a lower one agrees far better between processes."""

LOWER_QUANTILES = (0.25, 0.1)
"""For hosts with other load: a neighbour only ever adds time."""

VARIANCE_GAIN = 1.0
"""By how much the mean logarithm of the variance must fall (a factor of e) before a lower quantile is used, or a linear
trend in time is fitted. Choosing by the scatter within the sides says nothing about the difference between them."""

MIN_POOLED = 8
"""From this many benchmarks on, variances are shrunk towards each other, and a common-mode shift is estimated."""

MIN_TREND_PROCESSES = 8
"""Both sides together; with fewer, a trend would use up a quarter of the degrees of freedom."""

MIN_TRIMMED_PROCESSES = 3
"""On both sides of a benchmark; with fewer, the slowest process is not left out."""

MIN_SD = 0.001
"""Processes are never assumed to agree better than this: 0.1%, a twentieth of the default minimum effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The change of each benchmark, as a logarithm of candidate / baseline; arrays are [benchmarks].

    Attributes:
        change: Mean of the candidate's processes minus mean of the baseline's.
        baseline: Mean of the baseline's processes.
        se: Standard error of `change`: all that differs between processes, whether or not benchmarks share it.
        dof: Its degrees of freedom.
        sd: Standard deviation between processes of one side after shrinking.
        raw_sd: The same before it.
        prior_dof: Degrees of freedom contributed by the other benchmarks.
        num: Processes on the smaller side.
        num_left_out: Slowest processes per side that are left out.
        trend_removed: Whether a linear trend in time was taken out of the scatter.
    """

    change: Floats
    baseline: Floats
    se: Floats
    dof: Floats
    sd: Floats
    raw_sd: Floats
    prior_dof: float
    num: Counts
    num_left_out: int
    trend_removed: bool

    @property
    def noise(self) -> float:
        """Mean logarithm of the squared standard errors."""
        known = self.se[np.isfinite(self.se)]
        return 2 * float(np.log(known).mean()) if len(known) else 0.0


def ranks_of(order: Floats) -> Floats:
    """Return the position of each process in time, from 0."""
    return np.argsort(np.argsort(order, kind="stable"), kind="stable").astype(float)


def is_interleaved(is_candidate: Bools, order: Floats) -> bool:
    """Tell whether the sides alternated, so that a drift of the machine affects both.

    Args:
        is_candidate: [processes]
        order: [processes] start times; equal or NaN ones cannot be ordered and count as not interleaved.
    """
    one_side = is_candidate.all() or not is_candidate.any()
    if one_side or np.isnan(order).any() or len(np.unique(order)) < len(order):
        return False
    sides = is_candidate[np.argsort(order)]
    ranks = ranks_of(order)
    num_turns = int((sides[1:] != sides[:-1]).sum()) + 1
    imbalance = abs(ranks[is_candidate].mean() - ranks[~is_candidate].mean()) / (len(order) / 2)
    return num_turns >= 4 and bool(imbalance <= 0.4)  # noqa: PLR2004 - A B B A has three turns; sequential is 1.0


def steadiest_effect(
    logs: Mapping[float, Floats], is_candidate: Bools, order: Floats, resolution: Floats | None = None
) -> tuple[Effect, float]:
    """Return the effect by the statistic on which processes of one side agree best, and its quantile.

    The median of the rounds, unless the variance is far lower at a lower quantile without the slowest process of either
    side. With few benchmarks that cannot be told from chance, and the median is kept.

    Args:
        logs: [benchmarks, processes] by quantile.
        is_candidate: [processes]
        order: [processes] start times.
        resolution: [benchmarks] of the times, see `estimate_effect`.
    """
    chosen = estimate_effect(logs[TYPICAL], is_candidate, resolution=resolution)
    quantile, num_left_out = TYPICAL, 0
    if len(chosen.change) < MIN_POOLED:
        return chosen, quantile
    known = np.isfinite(logs[TYPICAL])
    lower = {q: logs[q] for q in LOWER_QUANTILES if q in logs and np.isfinite(logs[q][known]).all()}
    effects = {
        q: estimate_effect(values, is_candidate, num_left_out=1, resolution=resolution) for q, values in lower.items()
    }
    best = min(effects, key=lambda q: effects[q].noise, default=TYPICAL)
    if best in effects and chosen.noise - effects[best].noise > VARIANCE_GAIN:
        chosen, quantile, num_left_out = effects[best], best, 1
    if is_interleaved(is_candidate, order) and len(order) >= MIN_TREND_PROCESSES:
        without_trend = estimate_effect(
            logs[quantile], is_candidate, num_left_out=num_left_out, ranks=ranks_of(order), resolution=resolution
        )
        if chosen.noise - without_trend.noise > VARIANCE_GAIN:
            chosen = without_trend
    return chosen, quantile


def estimate_effect(
    logs: Floats,
    is_candidate: Bools,
    *,
    num_left_out: int = 0,
    ranks: Floats | None = None,
    resolution: Floats | None = None,
) -> Effect:
    """Estimate the difference of the sides and how well it is known.

    Args:
        logs: [benchmarks, processes], NaN where a process lacks a benchmark.
        is_candidate: [processes]
        num_left_out: Slowest processes per side to leave out.
        ranks: [processes] position in time of each; a linear trend over it is taken out of the scatter. The change
            stays as measured, and what of the trend the order does not cancel is added to its error.
        resolution: [benchmarks] smallest step of the times as a ratio, 0 where unknown. Times that are rounded to
            multiples of a step scatter by at least step / sqrt(12).
    """
    present = np.isfinite(logs)
    num = np.minimum(present[:, ~is_candidate].sum(axis=1), present[:, is_candidate].sum(axis=1))
    left_out = np.where(num >= MIN_TRIMMED_PROCESSES, num_left_out, 0)
    base = _side(logs[:, ~is_candidate], left_out)
    new = _side(logs[:, is_candidate], left_out)
    residuals = np.empty_like(logs)
    residuals[:, ~is_candidate] = base.deviations
    residuals[:, is_candidate] = new.deviations
    uncancelled = np.zeros(len(logs))
    if ranks is not None:
        residuals, uncancelled = _without_trend(residuals, present, is_candidate, ranks)
    least = np.full(len(logs), MIN_SD)
    if resolution is not None:
        least = np.maximum(least, resolution / math.sqrt(12))
    squares = [np.square(residuals[:, side]).sum(axis=1) for side in (~is_candidate, is_candidate)]
    variance, dof = _variance(squares, [base.num_kept, new.num_kept], trend=ranks is not None)
    # the bounds keep benchmarks without a process finite, they are never judged
    per_mean = 1 / np.maximum(base.num_kept, 1) + 1 / np.maximum(new.num_kept, 1)
    usable = (dof > 0) & np.isfinite(variance)
    variance = np.where(usable, np.maximum(variance, least**2), np.nan)
    mean_square = _mean_squared_correlation(residuals[usable], dof[usable])
    shrunk, prior_dof, total_dof = shrink(variance, dof, usable, mean_square)
    shrunk = np.where(usable, np.maximum(shrunk, least**2), np.nan)
    return Effect(
        change=new.mean - base.mean,
        baseline=base.mean,
        se=np.sqrt(shrunk * per_mean + np.square(uncancelled)),
        dof=np.where(usable, total_dof, 1.0),
        sd=np.sqrt(shrunk),
        raw_sd=np.sqrt(variance),
        prior_dof=prior_dof,
        num=num,
        num_left_out=num_left_out,
        trend_removed=ranks is not None,
    )


def median_of_known(values: Floats, axis: int | None = None, *, keepdims: bool = False) -> Floats:
    """Return the median of what is there; NaN where nothing is, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        median = np.nanmedian if np.isnan(values).any() else np.median  # the first is far slower on small arrays
        found: Floats = median(values, axis=axis, keepdims=keepdims)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One side of each benchmark: location, deviations from it (0 where a process is missing), and how many."""

    mean: Floats
    deviations: Floats
    num: Counts
    num_kept: Floats


def _variance(squares: list[Floats], num: list[Floats], *, trend: bool) -> tuple[Floats, Floats]:
    """Return the variance between processes of one side, and its degrees of freedom.

    With as many processes on both sides it is pooled. Otherwise a side that scatters more would count too little or too
    much, so the variances of the two means are added (as a variance per process), with the degrees of freedom of Welch
    and Satterthwaite; from the typical variances of both sides where there are many benchmarks, which are better known.
    Source: Welch, The generalization of Student's problem, Biometrika 34 (1947), equation 28.
    """
    pooled_dof = num[0] + num[1] - 2.0 - trend
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (squares[0] + squares[1]) / pooled_dof
        equal = num[0] == num[1]
        if equal.all():  # the rest takes a third of the time, for nothing
            return pooled, pooled_dof
        # A trend takes one degree of freedom from both sides together.
        share = pooled_dof / (num[0] + num[1] - 2.0)
        means = [square / (share * (n - 1)) / n for square, n in zip(squares, num, strict=True)]
        separate = (means[0] + means[1]) / (1 / num[0] + 1 / num[1])
        if len(pooled) >= MIN_POOLED:
            means = [np.full(len(pooled), float(median_of_known(mean[np.isfinite(mean)]))) for mean in means]
        parts = [np.square(mean) / (share * (n - 1)) for mean, n in zip(means, num, strict=True)]
        separate_dof = np.square(means[0] + means[1]) / (parts[0] + parts[1])
    dof = np.where(equal | ~np.isfinite(separate_dof), pooled_dof, np.minimum(separate_dof, pooled_dof))
    return np.where(equal, pooled, separate), dof


def _side(logs: Floats, num_left_out: Counts) -> _Side:
    """Return the mean without the slowest processes, and the winsorized deviations that go with it.

    Source: Tukey, McLaughlin, Less vulnerable confidence and significance procedures for location based on a single
    sample: trimming/winsorization, Sankhya A 25 (1963); one-sided here, since neighbours only ever add time.
    """
    present = np.isfinite(logs)
    num = present.sum(axis=1)
    kept = np.where(num > num_left_out + 1, num - num_left_out, num)
    ordered = np.sort(logs, axis=1)  # NaN last
    inside = np.arange(logs.shape[1])[None] < kept[:, None]
    if not logs.shape[1]:
        empty = np.full(len(logs), np.nan)
        return _Side(mean=empty, deviations=logs, num=num, num_kept=kept.astype(float))
    slowest_kept = np.take_along_axis(ordered, np.maximum(kept - 1, 0)[:, None], axis=1)
    winsorized = np.where(present, np.minimum(logs, slowest_kept), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(inside, ordered, 0.0).sum(axis=1) / kept
        centre = winsorized.sum(axis=1) / num
    deviations = np.where(present, winsorized - centre[:, None], 0.0)
    return _Side(mean=mean, deviations=deviations, num=num, num_kept=kept.astype(float))


def _without_trend(residuals: Floats, present: Bools, is_candidate: Bools, ranks: Floats) -> tuple[Floats, Floats]:
    """Return residuals without a linear trend in time, and how far that trend shifts the difference of the sides."""
    time = np.where(present, ranks, 0.0)
    imbalance = np.zeros(len(residuals))
    for side, sign in ((is_candidate, 1.0), (~is_candidate, -1.0)):
        num = np.maximum(present[:, side].sum(axis=1), 1)
        mean = time[:, side].sum(axis=1) / num
        time[:, side] = np.where(present[:, side], time[:, side] - mean[:, None], 0.0)
        imbalance += sign * mean
    spread = np.square(time).sum(axis=1)
    slope = np.where(spread > 0, (residuals * time).sum(axis=1) / np.maximum(spread, 1e-12), 0.0)
    return residuals - slope[:, None] * time, slope * imbalance


def _mean_squared_correlation(residuals: Floats, dof: Floats) -> float:
    """Return the mean squared correlation between benchmarks of their processes' deviations, sampling error taken out.

    From sums over processes, so that a hundred thousand benchmarks need no matrix of their size: with rows u of length
    1, the sum of all squared correlations is the squared norm of u'u.
    """
    num = len(residuals)
    if num < MIN_POOLED:
        return 0.0
    lengths = np.sqrt(np.square(residuals).sum(axis=1, keepdims=True))
    unit = residuals / np.maximum(lengths, 1e-300)
    gram = unit.T @ unit
    square = (float(np.square(gram).sum()) - num) / (num * (num - 1))
    by_chance = 1 / max(float(dof.mean()), 1.0)  # what unrelated series of that many degrees of freedom show
    return min(max((square - by_chance) / max(1 - by_chance, 1e-12), 0.0), 1.0)


def shrink(variance: Floats, dof: Floats, usable: Bools, mean_square: float) -> tuple[Floats, float, Floats]:
    """Shrink variances towards a common one; return them, the prior's degrees of freedom, and those of the result.

    Moment estimators of the scaled F distribution of the variances. Benchmarks that feel the same state of a process do
    not have independent variances: sample variances correlate by the square of the correlation, so they are worth
    1 / mean squared correlation independent ones, and pooling them cannot give more degrees of freedom than those have.
    Source: Smyth, Linear models and empirical Bayes methods, Stat. Appl. Genet. Mol. Biol. 3 (2004), section 6.2.
    """
    num = int(usable.sum())
    if num < MIN_POOLED:
        return variance, 0.0, np.maximum(dof, 1.0)
    half = dof[usable] / 2
    logs = np.log(variance[usable]) - digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1)) - (1 - mean_square) * float(polygamma(1, half).mean())
    prior_dof = 2 * _inverse_trigamma(excess) if excess > 0 else MAX_PRIOR_DOF
    prior_dof = min(prior_dof, MAX_PRIOR_DOF)
    prior = math.exp(float(logs.mean()) + float(digamma(prior_dof / 2)) - math.log(prior_dof / 2))
    with np.errstate(invalid="ignore"):
        shrunk = (dof * variance + prior_dof * prior) / (dof + prior_dof)
    num_independent = 1 / (mean_square + (1 - mean_square) / num)
    total = np.minimum(dof + prior_dof, np.maximum(dof, 1.0) * num_independent)
    return shrunk, prior_dof, np.maximum(total, 1.0)


MAX_PRIOR_DOF = 1e6
"""Where the variances differ by no more than chance they are taken as equal; a number only to keep sums finite."""


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

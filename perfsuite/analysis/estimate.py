"""How different two sides are, and how well that is known: pure functions on arrays of logarithms of times.

A process is a sample, a round is not: each process gives one number per benchmark.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import digamma, polygamma, stdtr

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

FLOOR_SD = 0.002
"""Processes are never taken to agree better than this. Source: the spread of identical processes on idle machines."""

LARGEST_PRIOR_DOF = 100.0
"""However alike the variances are, they are not taken to be known better than from as many further processes."""

COMMON_ALPHA = 0.005
"""A shift common to all benchmarks counts as real only beyond this error probability."""


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
        own_spread: The same before it.
        lent_dof: Degrees of freedom that the other benchmarks lend.
        offsets: What all benchmarks of a process share [processes]; zeros where nothing is taken out.
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
    own_spread: Floats
    lent_dof: float
    offsets: Floats
    num: np.ndarray[Any, np.dtype[np.int64]]
    common: float
    common_se: float
    common_is_real: bool
    unsteadiness: float


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


def steadiest_estimate(logs: Mapping[float, Floats], is_candidate: Bools, order: Floats) -> Estimate:
    """Choose how a process is represented by how well processes of one side agree."""

    def best_of(quantile: float, num_trimmed: int) -> Estimate:
        plain, without = (
            estimate_change(
                logs[quantile], is_candidate, order, quantile=quantile, num_trimmed=num_trimmed, common=common
            )
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


def estimate_change(
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
        own_spread=np.sqrt(variance),
        lent_dof=prior_dof,
        offsets=per_process if common else np.zeros(len(per_process)),
        num=np.minimum(base.num, new.num),
        common=shift,
        common_se=shift_se,
        common_is_real=shift_is_real,
        unsteadiness=float(np.log(variance[usable] * per_mean[usable]).mean()) if usable.any() else 0.0,
    )


def _median(values: Floats, axis: int | None = None, *, keepdims: bool = False) -> Floats:
    """Return the median of what is there; NaN where nothing is, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Floats = np.nanmedian(values, axis=axis, keepdims=keepdims)
    return found


def _common_part(logs: Floats, is_candidate: Bools) -> Floats:
    """Return what all benchmarks of a process share, up to a constant: the median of their deviations [processes]."""
    middle = (_median(logs[:, ~is_candidate], axis=1) + _median(logs[:, is_candidate], axis=1)) / 2
    return np.nan_to_num(_median(logs - middle[:, None], axis=0))


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
    scatter = _median(np.abs(deviations - _median(deviations, axis=1, keepdims=True))) * 1.4826
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

"""The rule that separates a change from noise: pure functions of arrays of logarithms of times.

The rule is described in `decide`; how often it is right is measured by tests/yardstick.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

from perfsuite.analysis.statistics.effect import (
    MIN_POOLED,
    CommonShift,
    Effect,
    common_shift,
    estimate_effect,
    is_interleaved,
    steadiest_effect,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfsuite.analysis.statistics.effect import Bools, Floats

LEVEL = 0.95
"""Of every interval, two-sided."""

MIN_PROCESSES = 3
"""Fewer processes a side never give a verdict on time."""

TAIL_SHARE = 0.2
"""Of alpha, for the slowest rounds; the rest is for typical rounds."""

TAIL_FRACTION = 0.3
"""The slowest rounds of a process that the tail is the mean of. A slowdown of 15% of the rounds by 20% raises that mean
by 10% and the 90th percentile hardly ever."""

TAIL_EFFECT_FACTOR = 2.0
"""How many times the minimum effect the tail must have grown."""

OTHERS_SHARE = 0.5
"""Of alpha for typical rounds, for what the other benchmarks say about one, where they agree with each other."""

MIN_AGREEING_RATIO = 0.8
"""Share of the benchmarks that must have changed alike before the others may say anything about one: changes that half
of the benchmarks have are not the machine's state."""

AGREEMENT_ERRORS = 2.5
"""Benchmarks agree that differ by no more standard errors, or by no more than the minimum effect."""

MIN_CHANCE = 0.1
"""A common-mode shift with a larger p-value may be chance, and only then may it be taken out."""

SHIFT_ERRORS = 1.5
"""How many standard errors of the common-mode shift count as chance where the sides ran one after the other."""

POWER = 0.95
"""The probability with which a detectable slowdown is detected, and with which more processes settle a verdict."""

MAX_NUM_PROCESSES = 1e6
"""Where even more would be needed, a number says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """The change of each benchmark relative to the others; arrays are [benchmarks], logarithms.

    Attributes:
        change: Change with the common-mode shift taken out; where the sides ran one after the other, only that part of
            the shift which is more than chance.
        low: Lower end of its 95% interval.
        high: Upper end.
        p_value: Two-sided, adjusted for all benchmarks.
        alpha: What it may be at most, two-sided.
        margin: What the change must exceed because the sides ran one after the other; 0 where they alternated.
    """

    change: Floats
    low: Floats
    high: Floats
    p_value: Floats
    alpha: float
    margin: float


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
    by_itself: Bools
    by_shift: Bools
    by_others: Bools
    regressed: Bools
    improved: Bools
    unchanged: Bools


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tests:
    """One-sided Holm-adjusted p-values of both directions.

    Attributes:
        slower: [benchmarks]
        faster: [benchmarks]
        alpha: Two-sided error probability of the family.
        level: One-sided p-value of a single test that corresponds to alpha.
    """

    slower: Floats
    faster: Floats
    alpha: float
    level: float

    @property
    def p_value(self) -> Floats:
        """Two-sided [benchmarks]."""
        doubled: Floats = 2 * np.minimum(self.slower, self.faster)
        return np.minimum(doubled, 1.0)

    def significant(self, sign: int) -> Bools:
        """Whether each change is significant in that direction [benchmarks]."""
        found: Bools = 2 * (self.slower if sign > 0 else self.faster) <= self.alpha
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Others:
    """What the other benchmarks say about one.

    Attributes:
        common: What the benchmarks of a process have in common.
        effect: Changes with that taken out.
        agreeing: Whether each changed like the typical one [benchmarks].
        agreeing_ratio: Share of those.
    """

    common: CommonShift
    effect: Effect
    agreeing: Bools
    agreeing_ratio: float

    @property
    def agree(self) -> bool:
        return self.agreeing_ratio >= MIN_AGREEING_RATIO

    @property
    def may_be_chance(self) -> bool:
        return self.common.p_value >= MIN_CHANCE


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
    judged = (effect.num >= MIN_PROCESSES) & np.isfinite(effect.se)
    change = np.where(judged, effect.change, 0.0)
    se = np.where(judged, effect.se, 1.0)
    if judged.any() and not interleaved:
        se = np.hypot(se, np.median(change[judged]))
    half = _half_interval(effect.dof, se)

    others = None
    if judged.sum() >= MIN_POOLED:
        others = _others(logs[quantile], is_candidate, order, effect, judged, min_effect, resolution)
    agree = others is not None and others.agree
    own_alpha = alpha * (1 - OTHERS_SHARE) if agree and interleaved else alpha
    others_alpha = alpha * OTHERS_SHARE if interleaved else alpha
    own = _tests(change, se, effect.dof, judged, own_alpha)

    relative, relative_tests, moved_together = None, None, False
    if others is not None and others.agree:
        moved_together = interleaved and others.common.p_value <= others_alpha
        if others.may_be_chance or not interleaved:
            relative, relative_tests = _relative(others, effect, judged, others_alpha, interleaved=interleaved)

    def significant(sign: int) -> tuple[Bools, Bools, Bools]:
        reaches = judged & (sign * change >= min_effect) & (sign * change - half > 0)
        by_itself = reaches & own.significant(sign) & interleaved
        by_shift = by_others = np.zeros(len(change), dtype=bool)
        if others is not None and moved_together and sign * others.common.change > 0:
            by_shift = reaches & others.agreeing
        if relative is not None and relative_tests is not None:
            far = sign * relative.change >= min_effect + relative.margin
            by_others = reaches & far & relative_tests.significant(sign)
        return by_itself, by_shift, by_others

    slower, faster = significant(1), significant(-1)
    regressed, improved = (np.logical_or.reduce(ways) for ways in (slower, faster))
    unchanged = judged & ~regressed & ~improved & (change - half > -min_effect) & (change + half < min_effect)
    if not interleaved:
        # A machine that shifted may hide what the code did: small with that shift and without.
        unchanged &= False if relative is None else (relative.low > -min_effect) & (relative.high < min_effect)
    needed = _num_processes_needed(change, se, effect, own.level, min_effect)
    detectable = _detectable(
        own_need=np.maximum(stdtrit(effect.dof, 1 - own.level) * se, half) if interleaved else None,
        half=half,
        error=stdtrit(effect.dof, POWER) * effect.se,
        min_effect=min_effect,
        shift=others.common.change if others is not None and not interleaved else 0.0,
        relative_need=None
        if relative is None or relative_tests is None or others is None
        else _relative_need(relative, relative_tests, others, min_effect, interleaved=interleaved),
    )
    by_itself, by_shift, by_others = (up | down for up, down in zip(slower, faster, strict=True))
    return Decision(
        effect=effect,
        quantile=quantile,
        interleaved=interleaved,
        low=np.where(judged, change - half, np.nan),
        high=np.where(judged, change + half, np.nan),
        p_value=np.where(judged, own.p_value, np.nan),
        alpha=own_alpha,
        common=None if others is None else others.common,
        agreeing_ratio=0.0 if others is None else others.agreeing_ratio,
        moved_together=moved_together,
        relative=relative,
        detectable=np.where(judged, detectable, np.nan),
        num_processes_needed=needed,
        judged=judged,
        by_itself=by_itself,
        by_shift=by_shift,
        by_others=by_others,
        regressed=regressed,
        improved=improved,
        unchanged=unchanged,
    )


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
    half = _half_interval(effect.dof, se)
    alone = stdtr(effect.dof, -change / se)
    p_value = _holm(alone, judged)
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


def _half_interval(dof: Floats, se: Floats) -> Floats:
    half: Floats = stdtrit(dof, 0.5 + LEVEL / 2) * se
    return half


def _others(
    logs: Floats,
    is_candidate: Bools,
    order: Floats,
    effect: Effect,
    judged: Bools,
    min_effect: Floats,
    resolution: Floats | None,
) -> _Others:
    common = common_shift(logs, is_candidate, order)
    without = estimate_effect(
        logs - common.per_process, is_candidate, num_left_out=effect.num_left_out, resolution=resolution
    )
    with np.errstate(invalid="ignore"):
        alike = np.abs(without.change) <= np.maximum(AGREEMENT_ERRORS * without.se, min_effect)
    agreeing = judged & alike
    return _Others(
        common=common, effect=without, agreeing=agreeing, agreeing_ratio=float(agreeing.sum() / judged.sum())
    )


def _tests(change: Floats, se: Floats, dof: Floats, judged: Bools, alpha: float, margin: float = 0.0) -> _Tests:
    """Test every change against the margin, in both directions."""
    return _Tests(
        slower=_holm(stdtr(dof, -(change - margin) / se), judged),
        faster=_holm(stdtr(dof, (change + margin) / se), judged),
        alpha=alpha,
        level=alpha / 2 / max(int(judged.sum()), 1),
    )


def _holm(p_values: Floats, judged: Bools) -> Floats:
    """Return Holm-adjusted p-values over the benchmarks that are judged, 1 for the others.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6 (1979). Corrections that
    make use of the benchmarks' correlation found no more in simulations (tests/yardstick).
    """
    adjusted = np.ones(len(p_values))
    where = np.flatnonzero(judged)
    if len(where):
        ascending = where[np.argsort(p_values[where], kind="stable")]
        steps = (len(where) - np.arange(len(where))) * p_values[ascending]
        adjusted[ascending] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _relative(
    others: _Others, effect: Effect, judged: Bools, alpha: float, *, interleaved: bool
) -> tuple[Relative, _Tests]:
    """Compare every benchmark with the others.

    One after the other, what of the common-mode shift is more than chance is taken out, and the change must exceed it
    again: benchmarks may feel the machine's state up to twice as much as the typical one does.
    """
    se = np.where(judged, others.effect.se, 1.0)
    change, margin = others.effect.change, 0.0
    if not interleaved:
        shift, shift_se = others.common.change, others.common.se
        margin = max(abs(shift) - SHIFT_ERRORS * shift_se, 0.0) if math.isfinite(shift_se) else abs(shift)
        change = effect.change - math.copysign(margin, shift)
    change = np.where(judged, change, 0.0)
    half = _half_interval(others.effect.dof, se)
    tests = _tests(change, se, others.effect.dof, judged, alpha, margin)
    relative = Relative(
        change=change, low=change - half, high=change + half, p_value=tests.p_value, alpha=alpha, margin=margin
    )
    return relative, tests


def _relative_need(
    relative: Relative, tests: _Tests, others: _Others, min_effect: Floats, *, interleaved: bool
) -> Floats:
    """Return the true slowdown from which on the comparison with the others finds it with `POWER`."""
    se, dof = others.effect.se, others.effect.dof
    need = np.maximum(stdtrit(dof, 1 - tests.level) * se, min_effect) + relative.margin + stdtrit(dof, POWER) * se
    if interleaved:
        return need
    counted_shift = others.common.change - math.copysign(relative.margin, others.common.change)
    return need - counted_shift


def _detectable(
    *,
    own_need: Floats | None,
    half: Floats,
    error: Floats,
    min_effect: Floats,
    shift: float,
    relative_need: Floats | None,
) -> Floats:
    """Return the true slowdown that is found with `POWER`, in whichever way needs the least; NaN where there is none.

    Every way needs a change that reaches the minimum effect and an interval that excludes 1.
    """
    ways: list[Floats] = []
    if own_need is not None:
        ways.append(np.maximum(own_need, min_effect) + error)
    if relative_need is not None:
        ways.append(np.maximum(relative_need, np.maximum(half, min_effect) + error - shift))
    return np.minimum.reduce(ways) if ways else np.full(len(half), np.nan)


def _num_processes_needed(change: Floats, se: Floats, effect: Effect, level: float, min_effect: Floats) -> Floats:
    """Return how many processes a side give a verdict with `POWER`.

    A change below the minimum effect is called unchanged when its interval fits inside it: half of the interval plus
    the error must, if nothing changed. A larger one must be significant and still reach the minimum effect, if it is as
    large as measured. All errors between processes shrink with their number, also those that benchmarks share; that
    they are themselves estimated is worth 1 / degrees of freedom of their variance.
    """
    num = np.maximum(effect.num, 2).astype(float)
    size = np.abs(change)
    is_small = size < min_effect
    beyond = np.maximum(size - min_effect, 1e-12)
    variance = np.square(se) * (1 + 1 / effect.dof)
    needed = num.copy()
    for _ in range(6):  # the quantiles depend on the number that is looked for
        dof = effect.dof * (needed - 1) / (num - 1)
        error = stdtrit(dof, POWER)
        unchanged = (stdtrit(dof, 0.5 + LEVEL / 2) + stdtrit(dof, 0.5 + POWER / 2)) / min_effect
        changed = np.maximum((stdtrit(dof, 1 - level) + error) / np.maximum(size, 1e-12), error / beyond)
        needed = np.clip(num * variance * np.square(np.where(is_small, unchanged, changed)), 2.0, MAX_NUM_PROCESSES)
    whole: Floats = np.maximum(np.ceil(needed), num + 1)
    return whole

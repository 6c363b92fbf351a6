"""The rule that separates a change from noise: pure functions of arrays of logarithms of times.

The rule is described in `decide`; how often it is right is measured by tests/yardstick.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.statistics.common_mode import CommonShift, common_shift, is_homogeneous
from perfsuite.analysis.statistics.effect import (
    MIN_POOLED,
    TYPICAL,
    Effect,
    estimate_effect,
    is_interleaved,
    steadiest_effect,
)
from perfsuite.analysis.statistics.power import (
    detectable_slowdown,
    future_error,
    num_processes_needed,
    relative_need,
)
from perfsuite.analysis.statistics.significance import MIN_PROCESSES, Tests, both_directions, half_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfsuite.analysis.statistics.effect import Bools, Floats

TAIL_SHARE = 0.2
"""Of alpha, for the slowest rounds; the rest is for typical rounds."""

OTHERS_SHARE = 0.5
"""Of alpha for typical rounds, for what the other benchmarks say about one, where they agree with each other."""

MIN_AGREEING_RATIO = 0.8
"""Share of the benchmarks that must have changed alike before the others may say anything about one: changes that half
of the benchmarks have are not the machine's state."""

AGREEMENT_ERRORS = 2.5
"""Benchmarks agree that are no more standard errors away from their common-mode shift..."""

AGREEMENT_RATIO = 0.02
"""... or no farther than this, or than the minimum effect where that is smaller: a user who asks for large effects only
has not said that half of the benchmarks may change."""

MIN_CHANCE = 0.1
"""A common-mode shift with a larger p-value may be chance, and only then may it be taken out."""

SHIFT_ERRORS = 1.5
"""How many standard errors of the common-mode shift count as chance where the sides ran one after the other."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Others:
    """What the other benchmarks say about one.

    Attributes:
        common: What the benchmarks of a process have in common.
        effect: Changes with that taken out.
        agreeing: Whether each changed like the typical one [benchmarks].
        agreeing_ratio: Share of those.
        homogeneous: Whether the agreeing ones differ among themselves by no more than chance.
    """

    common: CommonShift
    effect: Effect
    agreeing: Bools
    agreeing_ratio: float
    homogeneous: bool

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
    enough = (effect.num >= MIN_PROCESSES) & np.isfinite(effect.se)
    judged = enough
    if interleaved:  # as a whole; a benchmark that some processes lack may still stand one side after the other
        judged = enough & _own_order(np.isfinite(logs[TYPICAL]), is_candidate, order)
    others = None
    if judged.sum() >= MIN_POOLED:
        others = _others(logs[quantile], is_candidate, order, effect, judged, min_effect, resolution)
    evidence = _evidence(effect, judged, others, min_effect, alpha, interleaved=interleaved)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ways:
    """In which ways benchmarks changed significantly in one direction [benchmarks]."""

    by_itself: Bools
    by_shift: Bools
    by_others: Bools

    @property
    def any_way(self) -> Bools:
        return self.by_itself | self.by_shift | self.by_others


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """What there is to decide by; arrays are [benchmarks].

    Attributes:
        change: As measured; 0 where it is not judged.
        se: Standard error of the change.
        half: Half of its 95% interval.
        judged: Whether there are enough processes.
        min_effect: What counts as a change.
        interleaved: Whether the order of the processes separates code from drift.
        own_alpha: What the p-value of a benchmark by itself may be at most.
        own: Tests of each benchmark by itself.
        others: What the other benchmarks say; None for too few.
        moved_together: Whether nearly all changed alike, by more than chance.
        relative: Changes relative to the others; None where they cannot be told from changes of the others.
        relative_tests: Their tests.
    """

    change: Floats
    se: Floats
    half: Floats
    judged: Bools
    min_effect: Floats
    interleaved: bool
    own_alpha: float
    own: Tests
    others: _Others | None
    moved_together: bool
    relative: Relative | None
    relative_tests: Tests | None

    def significant(self, sign: int) -> _Ways:
        """Return which benchmarks changed, upwards (1) or downwards (-1)."""
        reaches = self.judged & (sign * self.change >= self.min_effect) & (sign * self.change - self.half > 0)
        by_itself = by_shift = by_others = np.zeros(len(self.change), dtype=bool)
        if self.interleaved:
            by_itself = reaches & self.own.significant(sign)
        if self.others is not None and self.moved_together and sign * self.others.common.change > 0:
            by_shift = reaches & self.others.agreeing
        if self.relative is not None and self.relative_tests is not None:
            far = sign * self.relative.change >= self.min_effect + self.relative.margin
            by_others = reaches & far & self.relative_tests.significant(sign)
        return _Ways(by_itself=by_itself, by_shift=by_shift, by_others=by_others)

    def unchanged(self) -> Bools:
        """Return which benchmarks lie within the minimum effect with their whole interval."""
        within = (self.change - self.half > -self.min_effect) & (self.change + self.half < self.min_effect)
        if self.interleaved:
            return self.judged & within
        if self.relative is None:
            return np.zeros(len(self.change), dtype=bool)
        # A machine that shifted may hide what the code did: small with that shift and without.
        within &= (self.relative.low > -self.min_effect) & (self.relative.high < self.min_effect)
        return self.judged & within

    def detectable(self, effect: Effect) -> Floats:
        """Return the smallest slowdown of each that is found with a probability of 95%."""
        own_need, of_others, shift = None, None, 0.0
        if self.interleaved:
            own_need = future_error(effect.dof, self.se, 1 - self.own.level)
        elif self.others is not None:
            shift = self.others.common.change
        if self.others is not None and self.relative is not None and self.relative_tests is not None:
            counted_shift = 0.0
            if not self.interleaved:
                counted_shift = self.others.common.change - _more_than_chance(self.others.common)
            of_others = relative_need(
                self.others.effect.dof,
                self.others.effect.se,
                level=self.relative_tests.level,
                min_effect=self.min_effect,
                margin=self.relative.margin,
                counted_shift=counted_shift,
            )
        return detectable_slowdown(
            own_need=own_need,
            relative_need=of_others,
            half=self.half,
            error=future_error(effect.dof, effect.se),
            min_effect=self.min_effect,
            shift=shift,
        )


def _evidence(
    effect: Effect, judged: Bools, others: _Others | None, min_effect: Floats, alpha: float, *, interleaved: bool
) -> _Evidence:
    change = np.where(judged, effect.change, 0.0)
    se = np.where(judged, effect.se, 1.0)
    if judged.any() and not interleaved:
        # The median change of all may be the machine's: it counts as an error of each.
        se = np.hypot(se, np.median(change[judged]))
    agree = others is not None and others.agree
    own_alpha = others_alpha = alpha
    if interleaved:  # else only a change relative to the others counts, and has all of alpha
        others_alpha = alpha * OTHERS_SHARE
        own_alpha = alpha * (1 - OTHERS_SHARE) if agree else alpha
    relative, relative_tests, moved_together = None, None, False
    if others is not None and agree:
        moved_together = interleaved and others.homogeneous and others.common.p_value <= others_alpha
        # A shift that is more than chance may be the code's: taken out, it would hide what all benchmarks lost.
        if others.may_be_chance or not interleaved:
            relative, relative_tests = _relative(others, effect, judged, others_alpha, interleaved=interleaved)
    return _Evidence(
        change=change,
        se=se,
        half=half_interval(effect.dof, se),
        judged=judged,
        min_effect=min_effect,
        interleaved=interleaved,
        own_alpha=own_alpha,
        own=both_directions(change, se, effect.dof, judged, own_alpha),
        others=others,
        moved_together=moved_together,
        relative=relative,
        relative_tests=relative_tests,
    )


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
        near = np.minimum(min_effect, math.log1p(AGREEMENT_RATIO))
        alike = np.abs(without.change) <= np.maximum(AGREEMENT_ERRORS * without.se, near)
    agreeing = judged & alike
    return _Others(
        common=common,
        effect=without,
        agreeing=agreeing,
        agreeing_ratio=float(agreeing.sum() / judged.sum()),
        homogeneous=is_homogeneous(without, agreeing),
    )


def _own_order(present: Bools, is_candidate: Bools, order: Floats) -> Bools:
    """Tell for each benchmark whether the processes that have it alternate."""
    patterns, rows = np.unique(present, axis=0, return_inverse=True)
    found = [is_interleaved(is_candidate[has], order[has]) for has in patterns]
    return np.array(found, dtype=bool)[rows.reshape(-1)]


def _more_than_chance(common: CommonShift) -> float:
    """Return what of a common-mode shift is more than chance."""
    if not math.isfinite(common.se):
        return common.change
    return math.copysign(max(abs(common.change) - SHIFT_ERRORS * common.se, 0.0), common.change)


def _relative(
    others: _Others, effect: Effect, judged: Bools, alpha: float, *, interleaved: bool
) -> tuple[Relative, Tests]:
    """Compare every benchmark with the others.

    One after the other, what of the common-mode shift is more than chance is taken out, and the change must exceed it
    again: benchmarks may feel the machine's state up to twice as much as the typical one does.
    """
    se = np.where(judged, others.effect.se, 1.0)
    change, margin = others.effect.change, 0.0
    if not interleaved:
        machine = _more_than_chance(others.common)
        change, margin = effect.change - machine, abs(machine)
    change = np.where(judged, change, 0.0)
    half = half_interval(others.effect.dof, se)
    tests = both_directions(change, se, others.effect.dof, judged, alpha, margin)
    relative = Relative(
        change=change, low=change - half, high=change + half, p_value=tests.p_value, alpha=alpha, margin=margin
    )
    return relative, tests

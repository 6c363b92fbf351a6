"""What there is to decide by: a benchmark by itself, what the others say about it, and the ways to be significant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.statistics.common_mode import CommonShift, common_shift, is_homogeneous
from perfsuite.analysis.statistics.effect import (
    Effect,
    estimate_effect,
)
from perfsuite.analysis.statistics.power import (
    detectable_slowdown,
    future_error,
    relative_need,
)
from perfsuite.analysis.statistics.significance import Tests, both_directions, half_interval

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.effect import Bools, Floats

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
class Others:
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
        """Whether enough of them changed alike to say anything."""
        return self.agreeing_ratio >= MIN_AGREEING_RATIO

    @property
    def may_be_chance(self) -> bool:
        """Whether what they have in common may be chance."""
        return self.common.p_value >= MIN_CHANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """In which ways benchmarks changed significantly in one direction [benchmarks]."""

    by_itself: Bools
    by_shift: Bools
    by_others: Bools

    @property
    def any_way(self) -> Bools:
        """Return which changed in any of them."""
        return self.by_itself | self.by_shift | self.by_others


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
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
    others: Others | None
    moved_together: bool
    relative: Relative | None
    relative_tests: Tests | None

    def significant(self, sign: int) -> Ways:
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
        return Ways(by_itself=by_itself, by_shift=by_shift, by_others=by_others)

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


def gather_evidence(
    effect: Effect, judged: Bools, others: Others | None, min_effect: Floats, alpha: float, *, interleaved: bool
) -> Evidence:
    """Return what there is to decide by; arguments as in `Evidence`, alpha for everything together."""
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
    return Evidence(
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


def ask_others(
    logs: Floats,
    is_candidate: Bools,
    order: Floats,
    effect: Effect,
    judged: Bools,
    min_effect: Floats,
    resolution: Floats | None,
) -> Others:
    """Return what the other benchmarks say about each; arguments as in `decide`."""
    common = common_shift(logs, is_candidate, order)
    without = estimate_effect(
        logs - common.per_process, is_candidate, num_left_out=effect.num_left_out, resolution=resolution
    )
    with np.errstate(invalid="ignore"):
        near = np.minimum(min_effect, math.log1p(AGREEMENT_RATIO))
        alike = np.abs(without.change) <= np.maximum(AGREEMENT_ERRORS * without.se, near)
    agreeing = judged & alike
    return Others(
        common=common,
        effect=without,
        agreeing=agreeing,
        agreeing_ratio=float(agreeing.sum() / judged.sum()),
        homogeneous=is_homogeneous(without, agreeing),
    )


def _more_than_chance(common: CommonShift) -> float:
    """Return what of a common-mode shift is more than chance."""
    if not math.isfinite(common.se):
        return common.change
    return math.copysign(max(abs(common.change) - SHIFT_ERRORS * common.se, 0.0), common.change)


def _relative(
    others: Others, effect: Effect, judged: Bools, alpha: float, *, interleaved: bool
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

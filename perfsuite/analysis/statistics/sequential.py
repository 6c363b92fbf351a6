"""How many processes a bisection needs: tests that look after every block of processes and stop when they can.

Every value is the logarithm of what one process measured. A block holds one process of each revision, run directly
after one another, so that what the machine does meanwhile hits all of them. How often the tests are right is measured
by tests/yardstick/bisect_scores.py, whose simulated machines share none of their assumptions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import stdtrit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.statistics.effect import Floats

MIN_SD = 0.001
"""Of a process: what repeats to the last digit (peak memory, a coarse clock) is not known better than 0.1%."""

MIN_PAIRS = 4
"""Before the first look at a difference: a variance of three degrees of freedom is the least that means anything."""

MIN_BLOCKS = 2
"""Before a level is decided: a single outlier among the first processes must not decide."""

MAX_DOF = 30.0
"""Of the scatter between processes: more would take the tails for normal ones."""

MIN_CLIPPED = 6
"""Values: of fewer, the median distance from the median is too uncertain to say what an outlier is."""

MAX_DISTANCE = 3.0
"""In robust standard deviations from the median: values beyond are moved there. Of normal ones 0.3% are."""

NORMAL_MAD_RATIO = 1.4826
"""Standard deviation over the median distance from the median, of a normal distribution."""

MAX_BETWEEN = 0.6
"""Of the way from the middle to a level: between are levels at 20 to 80% of the change. A smaller shift is none worth a
search of its own, and must not lead away from the larger one."""

MIN_BEYOND = 0.5
"""Of the same way: a mean closer to the middle is called neither high nor low. Were it, commits of one level in the
middle would be called both by chance. Less than `MAX_BETWEEN`, so that no level is neither for ever."""

Level = Literal["low", "high", "between"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The difference of two sides, as logarithms.

    Attributes:
        log_ratio: Mean of the differences.
        low: Lower end of its interval.
        high: Upper end.
        num: Of differences.
    """

    log_ratio: float
    low: float
    high: float
    num: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is on one side of zero."""
        return self.low > 0 or self.high < 0

    @property
    def is_established(self) -> bool:
        """Whether the interval is no wider than the change itself.

        Its nearer end is then at least half of the change. This asks for more than that zero is outside, so that the
        many looks at a growing series find a difference where there is none in less than about one of 40 cases.
        """
        return self.excludes_zero and self.high - self.low <= abs(self.log_ratio)

    @property
    def nearer_end(self) -> float:
        """The end of the interval that is closer to zero, as a positive number; 0 where zero is inside."""
        return max(0.0, self.low, -self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """How processes of one revision scatter.

    Attributes:
        sd: Standard deviation of the logarithm of a process.
        dof: Degrees of freedom of its square.
    """

    sd: float
    dof: float


def change_of(differences: Sequence[float], alpha: float) -> Change:
    """Return the winsorised mean of differences with its t interval; an infinite one of fewer than two.

    Source: Tukey and McLaughlin, Less vulnerable confidence and significance procedures for location, Sankhya A 25
    (1963): degrees of freedom and width by the number of values that were not moved.

    Args:
        differences: Logarithms.
        alpha: One minus the level of the interval.
    """
    num = len(differences)
    values = clipped(differences)
    mean = float(np.mean(values)) if num else math.nan
    if num < 2:  # noqa: PLR2004 - a variance needs two values
        return Change(log_ratio=mean, low=-math.inf, high=math.inf, num=num)
    sd = max(float(np.std(values, ddof=1)), math.sqrt(2) * MIN_SD)
    # Values that were moved narrow the variance, and say nothing of the mean: Tukey and McLaughlin's interval.
    num_kept = num - int(np.count_nonzero(values != np.asarray(differences)))
    half = float(stdtrit(num_kept - 1, 1 - alpha / 2)) * sd / math.sqrt(num) * num / num_kept
    return Change(log_ratio=mean, low=mean - half, high=mean + half, num=num)


def clipped(values: Sequence[float]) -> Floats:
    """Return values with outliers moved to three robust standard deviations from the median (winsorised).

    A process that another load disturbed says that it was disturbed, not what the code costs. It is not left out, and
    not chosen by hand.
    """
    found = np.asarray(values, dtype=float)
    if len(found) < MIN_CLIPPED:
        return found
    median = np.median(found)
    reach = MAX_DISTANCE * max(NORMAL_MAD_RATIO * float(np.median(np.abs(found - median))), MIN_SD)
    moved: Floats = np.clip(found, median - reach, median + reach)
    return moved


def may_stop(num: int, least: int) -> bool:
    """Whether a difference may be looked at: after blocks of both orders in equal number, which cancel a drift."""
    return num >= least and num % 2 == 0


def scatter_of(differences: Sequence[float], offsets: Sequence[Sequence[float]]) -> Scatter:
    """Pool what is known of the scatter of a process.

    Args:
        differences: Of two revisions in a block, all with one mean: their variance is twice that of a process.
        offsets: For each revision that was compared with the middle of two others its differences from it, whose
            variance is 1.5 times that of a process.
    """
    squares = float(np.var(clipped(differences))) * len(differences) / 2 if len(differences) else 0.0
    dof = max(len(differences) - 1, 0)
    for of_revision in offsets:
        if len(of_revision):
            squares += float(np.var(clipped(of_revision))) * len(of_revision) / MIDDLE_VARIANCE
            dof += len(of_revision) - 1
    sd = math.sqrt(squares / dof) if dof else 0.0
    return Scatter(sd=max(sd, MIN_SD), dof=max(float(dof), 1.0))


MIDDLE_VARIANCE = 1.5
"""Of a process less the mean of two others, in variances of a process."""


def decide_level(offsets: Sequence[float], distance: float, scatter: Scatter, error: float) -> Level | None:
    """Say which of two levels a revision has: a sequential probability ratio test.

    Source of the test: Wald, Sequential Tests of Statistical Hypotheses, Ann. Math. Stat. 16 (1945), with the ratio of
    Student's densities in place of normal ones, as the scatter is estimated.

    The scatter is the larger one of all revisions and of this one alone, and evidence beyond a level counts as evidence
    at it: neither an outlier nor a revision that scatters more decides early.

    Args:
        offsets: Of the revision's processes from the middle of the two levels, in the direction of the high one.
        distance: Between the levels, positive; rather too small than too large.
        scatter: Of processes.
        error: Probability with which the answer may be the wrong one of the two.

    Returns:
        The level; `between` where the revision certainly lies at 20 to 80% of the way; None: not decided yet.
    """
    num = len(offsets)
    if num < MIN_BLOCKS:
        return None
    values = clipped(offsets)
    own_sd = float(np.std(values, ddof=1))
    dof = min(scatter.dof, MAX_DOF)
    se = max(math.sqrt(MIDDLE_VARIANCE) * scatter.sd, own_sd) / math.sqrt(num)
    mean, level = float(np.mean(values)), distance / 2
    half = float(stdtrit(dof, 1 - error / 2)) * se
    if abs(mean) + half < MAX_BETWEEN * level:
        return "between"
    at_most = min(max(mean, -level), level)
    evidence = (
        (dof + 1)
        / 2
        * (math.log1p(((at_most + level) / se) ** 2 / dof) - math.log1p(((at_most - level) / se) ** 2 / dof))
    )
    if abs(evidence) < math.log((1 - error) / error) or abs(mean) < MIN_BEYOND * level:
        return None
    return "high" if evidence > 0 else "low"


def expected_blocks(distance: float, change: float, scatter: Scatter, error: float) -> float:
    """Return about how many blocks a decision takes: what is to be reached over what a block adds on average.

    Args:
        distance: That the test assumes between the levels.
        change: The distance as far as it is known.
        scatter: Of processes.
        error: Of a decision.
    """
    per_block = distance * abs(change) / (2 * MIDDLE_VARIANCE * scatter.sd**2)
    return max(float(MIN_BLOCKS), math.log((1 - error) / error) / per_block)


def is_reversed(number: int) -> bool:
    """Whether a block runs in the reverse order: the Thue-Morse sequence, which no drift and no period follows.

    Args:
        number: Of the block, from 0.
    """
    return number.bit_count() % 2 == 1

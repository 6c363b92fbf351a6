"""How much two sides differ in accuracy, with seeds as samples, and whether the candidate is worse: pure functions.

Accuracies and their differences are ratios (1.0 = 100%), one per seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

from perfsuite.analysis.statistics.power import POWER
from perfsuite.analysis.statistics.significance import both_directions, half_interval, holm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.statistics.effect import Bools, Floats
    from perfsuite.analysis.statistics.significance import Tests

SEED_SD = 0.004
"""Standard deviation between seeds of what all test images of a training share, where the seeds show no larger one.

Trainings of CIFAR-10 err on test images nearly independently of each other, so that little is left that all images
share: Jordan, On the variance of neural network training with respect to test sets and distributions, ICLR 2024. That
study decays the learning rate to 0; the thesis's recipe does not, so 0.4 points are assumed, the binomial deviation of
10,000 images at an accuracy of 80%."""

SEED_SD_DOF = 8
"""Degrees of freedom that this prior counts for. With fewer, three seeds find a true loss of 2 points in less than 90%
of the comparisons; with more, cells whose seeds scatter by more than assumed are called regressed too often; see
tests/yardstick."""

BOUND_LEVEL = 0.95
"""Of the one-sided lower bound of a non-inferiority."""

MAX_NUM_SEEDS = 50
"""More seeds than this are not worth asking for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyChange:
    """The change of one cell's accuracy, candidate minus baseline, and what its error is made of.

    Attributes:
        change: Mean over seeds.
        num_baseline: Seeds of the baseline.
        num_candidate: Seeds of the candidate.
        is_paired: Whether the same seeds are on both sides, each with one split.
        image_variance: Of one sample, from its finite number of test images. A sample is the difference of a pair of
            seeds, or the accuracy of one seed where they are not paired.
        sample_variance: Between samples (pooled over the sides where not paired); None for a single one.
        accuracies: Of each seed of the baseline, and of the candidate; a pair has the same place in both.
    """

    change: float
    num_baseline: int
    num_candidate: int
    is_paired: bool
    image_variance: float
    sample_variance: float | None
    accuracies: tuple[tuple[float, ...], tuple[float, ...]]

    @property
    def dof(self) -> int:
        """Degrees of freedom of `sample_variance`; 0 where there is none."""
        return self.num_baseline - 1 if self.is_paired else self.num_baseline + self.num_candidate - 2

    @property
    def num_seed_terms(self) -> int:
        """How many trainings make one sample."""
        return 2 if self.is_paired else 1

    @property
    def scale(self) -> float:
        """The variance of `change` over that of a sample."""
        return 1 / self.num_baseline if self.is_paired else 1 / self.num_baseline + 1 / self.num_candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyDecision:
    """What is decided about accuracy; arrays are [cells], differences candidate - baseline as ratios.

    Attributes:
        change: As measured.
        low: Lower end of its 95% interval.
        high: Upper end.
        bound: One-sided 95% lower bound.
        p_value: Of no change, two-sided, adjusted for all cells.
        p_inferior: Of a loss of the margin or more, one-sided, adjusted for all cells.
        seed_sd: Standard deviation between seeds that was assumed before each cell's own seeds were looked at.
        detectable: The true loss that is found with a probability of 95%.
        num_seeds_needed: Per side, to show with that probability that the candidate is not worse, if it is not.
        regressed: Lower by the margin or more, and significant.
        improved: Higher by the margin or more, and significant.
        non_inferior: A loss of the margin or more is excluded.
    """

    change: Floats
    low: Floats
    high: Floats
    bound: Floats
    p_value: Floats
    p_inferior: Floats
    seed_sd: float
    detectable: Floats
    num_seeds_needed: Floats
    regressed: Bools
    improved: Bools
    non_inferior: Bools


def paired_change(baseline: Floats, candidate: Floats, image_variances: Floats) -> AccuracyChange:
    """Return the change where both sides have the same seeds.

    Args:
        baseline: Accuracy of each seed [seeds].
        candidate: Of the same seeds [seeds].
        image_variances: Of each difference, from the test images [seeds]; see `mcnemar_variance`.
    """
    differences = candidate - baseline
    return AccuracyChange(
        change=float(differences.mean()),
        num_baseline=len(differences),
        num_candidate=len(differences),
        is_paired=True,
        image_variance=float(image_variances.mean()),
        sample_variance=float(differences.var(ddof=1)) if len(differences) > 1 else None,
        accuracies=(tuple(baseline.tolist()), tuple(candidate.tolist())),
    )


def unpaired_change(baseline: Floats, candidate: Floats, num_images: int) -> AccuracyChange:
    """Return the change where the sides have other seeds.

    Args:
        baseline: Accuracy of each seed [seeds].
        candidate: Of other seeds [seeds].
        num_images: Test images of each.
    """
    sides = (baseline, candidate)
    dof = sum(len(side) - 1 for side in sides)
    squares = sum(float(np.square(side - side.mean()).sum()) for side in sides)
    variances = [float(binomial_variance(side, num_images).mean()) for side in sides]
    return AccuracyChange(
        change=float(candidate.mean() - baseline.mean()),
        num_baseline=len(baseline),
        num_candidate=len(candidate),
        is_paired=False,
        image_variance=sum(variances) / 2,
        sample_variance=squares / dof if dof else None,
        accuracies=(tuple(baseline.tolist()), tuple(candidate.tolist())),
    )


def binomial_variance(accuracy: Floats, num_images: int) -> Floats:
    """Return the variance of accuracies from their finite number of test images."""
    variance: Floats = accuracy * (1 - accuracy) / num_images
    return variance


def mcnemar_variance(num_only_baseline: float, num_only_candidate: float, num_images: int) -> float:
    """Return the variance of the difference of two accuracies on the same images.

    Only images that exactly one of the two trainings predicts correctly contribute. Source: McNemar, Note on the
    sampling error of the difference between correlated proportions or percentages, Psychometrika 12 (1947).
    """
    discordant = (num_only_baseline + num_only_candidate) / num_images
    difference = (num_only_candidate - num_only_baseline) / num_images
    return (discordant - difference**2) / num_images


def seed_sd(changes: Sequence[AccuracyChange]) -> float:
    """Return the standard deviation between seeds: as assumed, or what the seeds of all cells show if that is more."""
    dof = np.array([one.dof for one in changes], dtype=float)
    excess = [((one.sample_variance or 0.0) - one.image_variance) / one.num_seed_terms for one in changes]
    return _pooled_seed_sd(dof, np.array(excess, dtype=float))


def _pooled_seed_sd(dof: Floats, excess: Floats) -> float:
    """Return `SEED_SD`, or what the seeds show if that is more.

    Args:
        dof: Degrees of freedom of each variance between seeds.
        excess: Each variance between seeds minus that of the test images.
    """
    shown = float((dof * excess).sum() / dof.sum()) if dof.sum() else 0.0
    return float(np.sqrt(max(SEED_SD**2, shown)))


def decide_accuracy(changes: Sequence[AccuracyChange], *, margin: float, alpha: float) -> AccuracyDecision:
    """Decide which cells lost accuracy, and which did not.

    1. The variance of a sample is that of its test images, plus that between seeds; its prior (`seed_sd`, `SEED_SD_DOF`
       degrees of freedom) and the cell's own samples are averaged, weighted by degrees of freedom.
    2. `regressed`: lower by the margin or more, and significant among all cells (Holm, both directions). `improved`
       mirrors it.
    3. `non_inferior`: a loss of the margin or more is rejected, again with Holm's correction over all cells. Source:
       Blackwelder, "Proving the null hypothesis" in clinical trials, Controlled Clinical Trials 3 (1982).

    Args:
        changes: One per cell.
        margin: The smallest loss that counts, as a ratio.
        alpha: Chance of any false `regressed` or `improved`; that of any false `non_inferior` is the same.
    """
    deviation = seed_sd(changes)
    change = np.array([one.change for one in changes], dtype=float)
    scale = np.array([one.scale for one in changes], dtype=float)
    own_dof = np.array([one.dof for one in changes], dtype=float)
    prior = np.array([one.image_variance + one.num_seed_terms * deviation**2 for one in changes], dtype=float)
    own = np.array([one.sample_variance or 0.0 for one in changes], dtype=float)
    dof = SEED_SD_DOF + own_dof
    se = np.sqrt(scale * (SEED_SD_DOF * prior + own_dof * own) / dof)
    judged = np.ones(len(change), dtype=bool)
    half = half_interval(dof, se)
    tests = both_directions(change, se, dof, judged, alpha)
    p_inferior = holm(stdtr(dof, -(change + margin) / se), judged)
    lost = (change <= -margin) & tests.significant(-1)
    gained = (change >= margin) & tests.significant(1)
    return AccuracyDecision(
        change=change,
        low=change - half,
        high=change + half,
        bound=change - stdtrit(dof, BOUND_LEVEL) * se,
        p_value=tests.p_value,
        p_inferior=p_inferior,
        seed_sd=deviation,
        detectable=_detectable(dof, se, tests, margin),
        num_seeds_needed=_num_seeds_needed(changes, se, margin, alpha),
        regressed=lost,
        improved=gained,
        non_inferior=p_inferior <= alpha,
    )


def _detectable(dof: Floats, se: Floats, tests: Tests, margin: float) -> Floats:
    """Return the true loss that reaches the margin and is significant, both with `POWER`."""
    found: Floats = np.maximum(stdtrit(dof, 1 - tests.level) * se, margin) + stdtrit(dof, POWER) * se
    return found


def _num_seeds_needed(changes: Sequence[AccuracyChange], se: Floats, margin: float, alpha: float) -> Floats:
    """Return how many seeds a side show non-inferiority with `POWER`, if nothing changed; infinity if too many."""
    scale = np.array([one.scale for one in changes], dtype=float)
    is_paired = np.array([one.is_paired for one in changes], dtype=bool)
    needed = np.full(len(se), np.inf)
    level = 1 - alpha / max(len(se), 1)
    for wanted in range(MAX_NUM_SEEDS, 0, -1):
        dof = SEED_SD_DOF + np.where(is_paired, 1, 2) * (wanted - 1)
        future_se = se * np.sqrt(np.where(is_paired, 1, 2) / wanted / scale)
        is_enough = (stdtrit(dof, level) + stdtrit(dof, POWER)) * future_se <= margin
        needed = np.where(is_enough, wanted, needed)
    return needed


def accuracy_intervals(groups: Sequence[Floats], num_images: Sequence[int]) -> tuple[Floats, Floats]:
    """Return the ends of a 95% interval of the accuracy that each group would have as a mean over many seeds.

    The variance of a seed is that of `decide_accuracy`: the test images, plus what all images of a training share. That
    of the test images is computed as if two more of them were predicted correctly and two wrongly, for no correct image
    out of a few does not show that there is never one. Source: Agresti, Coull, Approximate is better than "exact" for
    interval estimation of binomial proportions, The American Statistician 52 (1998).

    Args:
        groups: Accuracy of each seed [groups] of [seeds].
        num_images: Test images of each group [groups].
    """
    num = np.array([len(group) for group in groups], dtype=float)
    mean = np.array([group.mean() for group in groups], dtype=float)
    images = np.array(num_images, dtype=float)
    shifted = (mean * images + 2) / (images + 4)
    image_variance = shifted * (1 - shifted) / images
    own_dof = num - 1
    own = np.array([group.var(ddof=1) if len(group) > 1 else 0.0 for group in groups], dtype=float)
    prior = image_variance + _pooled_seed_sd(own_dof, own - image_variance) ** 2
    dof = SEED_SD_DOF + own_dof
    half = half_interval(dof, np.sqrt((SEED_SD_DOF * prior + own_dof * own) / dof / num))
    return np.maximum(mean - half, 0.0), np.minimum(mean + half, 1.0)

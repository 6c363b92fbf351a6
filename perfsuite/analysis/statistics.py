"""Pure functions on arrays of times: margins and ratios, each with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

Times = np.ndarray[Any, np.dtype[np.float64]]

CONFIDENCE = 0.95
"""Of every interval around a ratio, two-sided."""

MIN_ROUNDS = 8
"""Fewer rounds of one process give no interval: a bootstrap of their median would be far too narrow."""

MAX_PAIRED_BLOCKS = 1000
"""More blocks than this are averaged with their neighbours first: the work grows with their square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioEstimate:
    """A ratio and what is known of it.

    Attributes:
        ratio: The estimate.
        low: Lower end of its interval, or None where the data give none.
        high: Upper end.
        num_processes: How many processes a side it rests on.
        basis: `processes` where the interval contains what differs between processes, `rounds` or `blocks` where it
            contains only what differs between the rounds, or the blocks of an alternation, of one process.
    """

    ratio: float
    low: float | None
    high: float | None
    num_processes: int
    basis: str


def relative_margins(times: Times, confidence: float = 0.99) -> Times:
    """Return half the width of the interval around each mean over that mean, as a ratio; NaN below two rounds.

    Normal quantile, independent rounds: the rule by which pytest-benchmark's `--benchmark-precision` stops.

    Args:
        times: [benchmarks, rounds] in seconds.
        confidence: Of the interval, two-sided.
    """
    num_rounds = times.shape[1]
    means = times.mean(axis=1)
    if num_rounds < 2:  # noqa: PLR2004 - a variance needs two
        return np.full(len(means), np.nan)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        margins: Times = z * times.std(axis=1, ddof=1) / math.sqrt(num_rounds) / means
    return np.where(means > 0, margins, np.nan)


def ratio_of_medians_one_process(numerator: Times, denominator: Times, *, seed: int = 0) -> RatioEstimate:
    """Return median(numerator) / median(denominator) for rounds of one process, by a moving block bootstrap.

    Neighbouring rounds are alike, so whole blocks of ceil(n ** (1/3)) rounds are drawn. The interval says nothing of
    what differs between processes.
    Source: Kuensch, The jackknife and the bootstrap for general stationary observations, Ann. Stat. 17 (1989).

    Args:
        numerator: Times [rounds] in seconds, all positive.
        denominator: The same for the other side.
        seed: Seed of the draws.
    """
    ratio = float(np.median(numerator) / np.median(denominator))
    if min(len(numerator), len(denominator)) < MIN_ROUNDS:
        return RatioEstimate(ratio=ratio, low=None, high=None, num_processes=1, basis="rounds")
    generator = np.random.default_rng(seed)
    logs = np.log(_bootstrap_medians(numerator, generator) / _bootstrap_medians(denominator, generator))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.exp(np.percentile(logs, [tail, 100 - tail]))
    return RatioEstimate(
        ratio=ratio, low=min(float(low), ratio), high=max(float(high), ratio), num_processes=1, basis="rounds"
    )


def _bootstrap_medians(times: Times, generator: np.random.Generator, resamples: int = 2000) -> Times:
    n = len(times)
    block = math.ceil(n ** (1 / 3))
    starts = generator.integers(0, n - block + 1, size=(resamples, math.ceil(n / block)))
    picked = (starts[:, :, None] + np.arange(block)).reshape(resamples, -1)[:, :n]
    medians: Times = np.median(times[picked], axis=1)
    return medians


def ratio_over_processes(numerators: Times, denominators: Times, *, paired: bool) -> RatioEstimate:
    """Return the ratio of geometric means of per-process medians with its Student interval.

    Args:
        numerators: One median per process [P] in seconds, positive.
        denominators: The same for the other side; in the same order if paired.
        paired: Whether entry i of both sides is from the same process.

    Raises:
        ValueError: Fewer than two processes on a side.
    """
    if min(len(numerators), len(denominators)) < 2:  # noqa: PLR2004 - a variance needs two
        raise ValueError("an interval over processes needs two processes a side")
    from scipy.special import stdtrit

    a, b = np.log(numerators), np.log(denominators)
    if paired:
        variance, freedom = (a - b).var(ddof=1) / len(a), float(len(a) - 1)
    else:
        parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
        variance = parts.sum()
        # Source: Welch, The generalization of Student's problem, Biometrika 34 (1947), equation 28.
        freedom = variance**2 / (parts**2 / np.array([len(a) - 1, len(b) - 1])).sum() if variance > 0 else 1.0
    middle = float(a.mean() - b.mean())
    half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2) * math.sqrt(variance))
    return RatioEstimate(
        ratio=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        num_processes=min(len(a), len(b)),
        basis="processes",
    )


def paired_ratio(blocks: Times, *, confidence: float = CONFIDENCE) -> RatioEstimate:
    """Return candidate / baseline of an alternation, with an interval that outliers and steady drift leave alone.

    The logarithm of a block's ratio is the mean of its candidate turns less that of its baseline turns: a drift that is
    linear within a block cancels. Over the blocks, the Hodges-Lehmann estimate (the median of all pairwise means) with
    the interval of Wilcoxon's signed-rank test. It takes blocks for independent and says nothing of what differs
    between processes.
    Source: Hollander, Wolfe, Chicken, Nonparametric Statistical Methods, 3rd ed., sections 3.1 to 3.3.

    Args:
        blocks: Seconds [blocks, 4] in the order baseline, candidate, candidate, baseline, all positive.
        confidence: Of the interval, two-sided.
    """
    logs = np.log(blocks)
    ratios = (logs[:, 1] + logs[:, 2] - logs[:, 0] - logs[:, 3]) / 2
    if len(ratios) > MAX_PAIRED_BLOCKS:
        ratios = np.array([part.mean() for part in np.array_split(ratios, MAX_PAIRED_BLOCKS)])
    first, second = np.triu_indices(len(ratios))
    means = np.sort((ratios[first] + ratios[second]) / 2)
    middle = float(np.median(means))
    cut = _signed_rank_cut(len(ratios), confidence)
    low, high = (None, None) if cut is None else (math.exp(means[cut]), math.exp(means[-1 - cut]))
    return RatioEstimate(ratio=math.exp(middle), low=low, high=high, num_processes=1, basis="blocks")


@lru_cache(maxsize=1024)
def _signed_rank_cut(num: int, confidence: float = CONFIDENCE) -> int | None:
    """Return how many pairwise means are cut off at either end for an interval of `confidence`; None for too few.

    The largest number c with P(W < c) <= (1 - confidence) / 2 for the signed-rank statistic W of `num` differences.
    """
    ways = np.zeros(num * (num + 1) // 2 + 1)
    ways[0] = 1.0
    for rank in range(1, num + 1):  # each rank counts or not, with probability one half
        ways[rank:] = (ways[rank:] + ways[:-rank]) / 2
        ways[:rank] /= 2
    cut = int(np.searchsorted(np.cumsum(ways), (1 - confidence) / 2, side="right"))
    return cut - 1 if cut > 0 else None

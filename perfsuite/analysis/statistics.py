"""Pure functions on arrays of times: margins and ratios, each with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

Times = np.ndarray[Any, np.dtype[np.float64]]

CONFIDENCE = 0.95
"""Of every interval around a ratio, two-sided."""

MIN_ROUNDS = 8
"""Fewer rounds of one process give no interval: a bootstrap of their median would be far too narrow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioEstimate:
    """A ratio and what is known of it.

    Attributes:
        ratio: The estimate.
        low: Lower end of its interval, or None where the data give none.
        high: Upper end.
        num_processes: How many processes a side it rests on.
        basis: `processes` where the interval contains what differs between processes, `rounds` where it contains
            only what differs between the rounds of one process.
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

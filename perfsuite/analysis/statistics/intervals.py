"""Ratios of times, each with its interval or with its spread within one run."""

from __future__ import annotations

import dataclasses
import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from perfsuite.mean_margin import student_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


Times = np.ndarray[Any, np.dtype[np.float64]]

CONFIDENCE = 0.95
"""Of every interval around a ratio, two-sided."""

MIN_ROUNDS = 8
"""Fewer rounds of one process give no spread: a bootstrap of their median would be far too narrow."""

MAX_PAIRED_BLOCKS = 1000
"""More blocks than this are averaged with their neighbours first: the work grows with their square."""

EQUAL_RATIO = 1e-9
"""Times that differ by less are the same reading of a clock, apart from the rounding of floating-point numbers."""

Basis = Literal["processes", "noise floor", "one run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio and what is known of its error.

    Attributes:
        ratio: The estimate.
        low: Lower end of its interval or spread, or None where the data give none.
        high: Upper end.
        level: Coverage of [low, high]; None where it is no interval but a spread, or absent.
        num_processes: How many processes a side it is computed from.
        basis: What [low, high] is: `processes`: an interval that contains what differs between processes;
            `noise floor`: the interval of one process, widened by the scatter between processes that an A/A run of
            this machine showed; `one run`: no interval, only the spread inside one process, over its rounds or over
            its interleaved blocks; None: absent.
    """

    ratio: float
    low: float | None
    high: float | None
    level: float | None
    num_processes: int
    basis: Basis | None

    def __post_init__(self) -> None:
        has_level = self.basis in {"processes", "noise floor"}
        if (self.level is not None) != has_level:
            raise ValueError(f"a ratio with basis {self.basis!r} has level {self.level!r}")
        if (self.low is None, self.high is None) != (self.basis is None, self.basis is None):
            raise ValueError(f"a ratio with basis {self.basis!r} has the ends {self.low!r} and {self.high!r}")

    def inverse(self) -> Ratio:
        """Return 1 / ratio; the ends change places."""
        return Ratio(
            ratio=1 / self.ratio,
            low=None if self.high is None else 1 / self.high,
            high=None if self.low is None else 1 / self.low,
            level=self.level,
            num_processes=self.num_processes,
            basis=self.basis,
        )

    def times(self, factor: float) -> Ratio:
        """Return factor * ratio, the factor known exactly and above 0."""
        return dataclasses.replace(
            self,
            ratio=self.ratio * factor,
            low=None if self.low is None else self.low * factor,
            high=None if self.high is None else self.high * factor,
        )

    def complement(self) -> Ratio:
        """Return 1 - ratio; the ends change places."""
        return dataclasses.replace(
            self,
            ratio=1 - self.ratio,
            low=None if self.high is None else 1 - self.high,
            high=None if self.low is None else 1 - self.low,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """How much the time of one benchmark differs from process to process on one machine.

    Attributes:
        sd_log: Standard deviation of the logarithm of the median time of a process.
        num_dof: Its degrees of freedom.
    """

    sd_log: float
    num_dof: int


def bare_ratio(ratio: float, num_processes: int = 1) -> Ratio:
    """Return a ratio of which nothing else is known."""
    return Ratio(ratio=ratio, low=None, high=None, level=None, num_processes=num_processes, basis=None)


def ratio_of_one_run(
    numerator: Times, denominator: Times, *, scatter: tuple[Scatter, Scatter] | None = None, seed: int = 0
) -> Ratio:
    """Return median(numerator) / median(denominator) for the rounds of one process a side.

    Without the scatter between processes [low, high] is only the spread inside the run, by a moving block bootstrap:
    neighbouring rounds are alike, so whole blocks of ceil(n ** (1/3)) rounds are drawn.
    Source: Kuensch, The jackknife and the bootstrap for general stationary observations, Ann. Stat. 17 (1989).

    With it, the variance of each side is what an A/A run of the machine showed between processes, which contains what
    differs between the rounds of a process; where the rounds of this run differ by more, what they show. Degrees of
    freedom of the sum: Welch, The generalization of Student's problem, Biometrika 34 (1947), equation 28.

    Args:
        numerator: Times [rounds] in seconds, all positive.
        denominator: The same for the other side.
        scatter: Between processes, of numerator and denominator, where an A/A run of this machine is known.
        seed: Seed of the draws.
    """
    ratio = float(np.median(numerator) / np.median(denominator))
    if min(len(numerator), len(denominator)) < MIN_ROUNDS:
        return bare_ratio(ratio)
    logs = [np.log(_bootstrap_medians(side.tobytes(), seed)) for side in (numerator, denominator)]
    if scatter is None:
        tail = 100 * (1 - CONFIDENCE) / 2
        low, high = np.exp(np.percentile(logs[0] - logs[1], [tail, 100 - tail]))
        low, high = min(float(low), ratio), max(float(high), ratio)
        return Ratio(ratio=ratio, low=low, high=high, level=None, num_processes=1, basis="one run")
    within = [
        max(float(side.var()), error**2) for side, error in zip(logs, _errors(numerator, denominator), strict=True)
    ]
    variances = np.array([max(one.sd_log**2, least) for one, least in zip(scatter, within, strict=True)])
    num_dof = np.array([one.num_dof for one in scatter])
    return _student(math.log(ratio), variances, num_dof, num_processes=1, basis="noise floor")


NUM_RESAMPLES = 2000
"""Of a bootstrap."""


@lru_cache(maxsize=512)
def _bootstrap_medians(rounds: bytes, seed: int) -> Times:
    """Return medians of resampled rounds [NUM_RESAMPLES]; kept, since a cell is compared with several others.

    Each side has draws of its own, whatever it is called: 1 / ratio has the inverse spread.

    Args:
        rounds: Times as the bytes of a float64 array [rounds].
        seed: Seed of the draws.
    """
    times = np.frombuffer(rounds)
    generator = np.random.default_rng([seed, zlib.crc32(rounds)])
    n = len(times)
    block = math.ceil(n ** (1 / 3))
    starts = generator.integers(0, n - block + 1, size=(NUM_RESAMPLES, math.ceil(n / block)))
    picked = (starts[:, :, None] + np.arange(block)).reshape(NUM_RESAMPLES, -1)[:, :n]
    medians: Times = np.median(times[picked], axis=1)
    return medians


def ratio_over_processes(
    numerators: Times,
    denominators: Times,
    *,
    paired: bool,
    rounds: tuple[Times, Times] | None = None,
) -> Ratio:
    """Return the ratio of geometric means of per-process medians with its Student interval.

    A clock of coarse steps rounds all processes to the same reading: their scatter is then too small, or zero, and the
    error does not shrink with their number. So the standard error of a side is at least that of the step in which its
    times are read. Where all readings are the same the step is unknown, and there is no interval.

    Args:
        numerators: One median per process [P] in seconds, positive.
        denominators: The same for the other side; in the same order if paired.
        paired: Whether entry i of both sides is from the same process.
        rounds: All rounds of the processes of each side, from which the step of the clock is read; without them it is
            read from the medians.

    Raises:
        ValueError: Fewer than two processes on a side.
    """
    if min(len(numerators), len(denominators)) < 2:  # noqa: PLR2004 - a variance needs two
        raise ValueError("an interval over processes needs two processes a side")
    a, b = np.log(numerators), np.log(denominators)
    middle = float(a.mean() - b.mean())
    num_processes = min(len(a), len(b))
    least = np.array(_errors(*(rounds or (numerators, denominators)))) ** 2
    if not least.all():
        return bare_ratio(math.exp(middle), num_processes)
    if paired:
        variances, num_dof = np.array([max((a - b).var(ddof=1) / len(a), least.sum())]), np.array([len(a) - 1])
    else:
        variances = np.maximum([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)], least)
        num_dof = np.array([len(a) - 1, len(b) - 1])
    return _student(middle, variances, num_dof, num_processes=num_processes, basis="processes")


def margin_over_processes(medians: Sequence[float]) -> float | None:
    """Return half the 95% interval of the geometric mean of per-process medians, as a ratio of it; Student's t.

    Args:
        medians: In seconds, positive, one a process; of one, or where all are the same reading of a clock: None.
    """
    logs = np.log(medians)
    if len(logs) < 2 or np.ptp(logs) <= EQUAL_RATIO:  # noqa: PLR2004 - a variance needs two
        return None
    error = float(logs.std(ddof=1)) / math.sqrt(len(logs))
    return math.expm1(student_quantile(0.5 + CONFIDENCE / 2, len(logs) - 1) * error)


def _student(middle: float, variances: Times, num_dof: Any, *, num_processes: int, basis: Basis) -> Ratio:
    """Return exp(middle) with the interval of Student and Welch.

    Args:
        middle: Logarithm of the ratio.
        variances: Of the logarithm, from independent parts that add up.
        num_dof: Degrees of freedom of each.
        num_processes: A side.
        basis: What the interval contains.
    """
    from scipy.special import stdtrit

    variance = float(variances.sum())
    dof = variance**2 / float((variances**2 / num_dof).sum())
    half = float(stdtrit(dof, 0.5 + CONFIDENCE / 2)) * math.sqrt(variance)
    return Ratio(
        ratio=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        level=CONFIDENCE,
        num_processes=num_processes,
        basis=basis,
    )


def _errors(*sides: Times) -> tuple[float, ...]:
    """Return the standard error of each side's logarithm that comes from the step in which its times are read.

    0 where all readings of all sides are the same. A side whose readings are all the same has the step of the others.
    """
    steps = [_step(side) for side in sides]
    known = [step for step in steps if step > 0]
    steps = [step or max(known, default=0.0) for step in steps]
    return tuple(step / math.sqrt(12) / float(np.median(side)) for step, side in zip(steps, sides, strict=True))


def _step(times: Times) -> float:
    """Return how far the reading next to the median is from it, in seconds; 0 where all are the same."""
    middle = float(np.median(times))
    distances = np.abs(times - middle)
    apart = distances[distances > EQUAL_RATIO * middle]
    return float(apart.min()) if len(apart) else 0.0


def paired_ratio(blocks: Times, *, confidence: float = CONFIDENCE) -> Ratio:
    """Return candidate / baseline of interleaved blocks of one process, which outliers and a linear drift do not bias.

    The logarithm of a block's ratio is the mean of its candidate turns minus that of its baseline turns: a drift that
    is linear within a block cancels. Over the blocks, the Hodges-Lehmann estimate (the median of all pairwise means)
    with the interval of Wilcoxon's signed-rank test, here the spread within one run: it takes blocks for independent
    and contains nothing of what differs between processes.
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
    ratio = math.exp(float(np.median(means)))
    cut = _signed_rank_cut(len(ratios), confidence)
    if cut is None:
        return bare_ratio(ratio)
    low, high = math.exp(means[cut]), math.exp(means[-1 - cut])
    return Ratio(ratio=ratio, low=low, high=high, level=None, num_processes=1, basis="one run")


def paired_ratio_over_processes(processes: Sequence[Times]) -> Ratio:
    """Return candidate / baseline of blocks that several processes measured, with Student's interval over them.

    Args:
        processes: The blocks of each process as `paired_ratio` takes them; of one process only its own spread is known.
    """
    ratios = np.array([paired_ratio(blocks).ratio for blocks in processes])
    if len(ratios) < 2:  # noqa: PLR2004 - a variance needs two
        return paired_ratio(processes[0])
    turns = np.concatenate(list(processes))
    rounds = (turns[:, 1:3].ravel(), turns[:, [0, 3]].ravel())
    return ratio_over_processes(ratios, np.ones_like(ratios), paired=True, rounds=rounds)


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


def geometric_mean(values: pd.Series[Any]) -> float:
    """Return what stands for several processes: times multiply, so their logarithms are averaged."""
    return float(np.exp(np.log(values.to_numpy(float)).mean()))

"""What the benchmarks of a process have in common: a clock, a neighbour, a drift, or a change of all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc, stdtr

from perfsuite.analysis.statistics.effect import (
    MIN_SD,
    MIN_TREND_PROCESSES,
    is_interleaved,
    median_of_known,
    ranks_of,
)

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.effect import Bools, Effect, Floats

HOMOGENEITY_ALPHA = 0.1
"""Changes that differ among themselves by more than chance, at this level, are not one common change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonShift:
    """What the benchmarks of a process have in common.

    Attributes:
        per_process: Median deviation of its benchmarks [processes], as logarithms.
        change: Difference of the sides in it.
        se: Standard error of that.
        dof: Its degrees of freedom.
        p_value: Two-sided.
    """

    per_process: Floats
    change: float
    se: float
    dof: float
    p_value: float


def common_shift(logs: Floats, is_candidate: Bools, order: Floats) -> CommonShift:
    """Return what the benchmarks of a process have in common, and whether the sides differ in it.

    Where the sides alternated, a linear drift in time is fitted together with the difference.
    """
    middle = (median_of_known(logs[:, ~is_candidate], axis=1) + median_of_known(logs[:, is_candidate], axis=1)) / 2
    per_process = np.nan_to_num(median_of_known(logs - middle[:, None], axis=0))
    columns = [np.ones(len(per_process)), is_candidate.astype(float)]
    if is_interleaved(is_candidate, order) and len(order) >= MIN_TREND_PROCESSES:
        columns.append(ranks_of(order))
    design = np.stack(columns, axis=1)
    coefficients, *_ = np.linalg.lstsq(design, per_process, rcond=None)
    change, dof = float(coefficients[1]), float(len(per_process) - design.shape[1])
    if dof < 1:
        return CommonShift(per_process=per_process, change=change, se=math.inf, dof=1, p_value=1.0)
    residuals = per_process - design @ coefficients
    # A median over benchmarks is itself uncertain, also where the processes agree by chance.
    deviations = logs - per_process
    scatter = float(median_of_known(np.abs(deviations - median_of_known(deviations, axis=1, keepdims=True)))) * 1.4826
    least = max(MIN_SD, 1.2533 * scatter) ** 2 / len(logs)
    num = np.array([(~is_candidate).sum(), is_candidate.sum()], dtype=float)
    if num[0] == num[1]:
        variance = max(float(residuals @ residuals) / dof, least)
        se = math.sqrt(variance * np.linalg.inv(design.T @ design)[1, 1])
    else:
        # One side may scatter more than the other: Welch's errors, as for each benchmark.
        squares = np.array([np.square(residuals[side]).sum() for side in (~is_candidate, is_candidate)])
        parts = np.maximum(squares / np.maximum(num - 1, 1), least) / num
        se = math.sqrt(parts.sum())
        dof = min(dof, float(parts.sum() ** 2 / (np.square(parts) / np.maximum(num - 1, 1)).sum()))
    p_value = float(2 * stdtr(dof, -abs(change) / se))
    return CommonShift(per_process=per_process, change=change, se=se, dof=dof, p_value=p_value)


def is_homogeneous(effect: Effect, agreeing: Bools) -> bool:
    """Tell whether changes differ among themselves by no more than chance.

    Each of them may be within its own error of one common change although half of them are 0: all together they are
    not.
    Source: Cochran, The combination of estimates from different experiments, Biometrics 10 (1954); squares of t are
    brought to the mean of squares of a normal variable.
    """
    dof = effect.dof[agreeing]
    statistics = np.square(effect.change[agreeing] / effect.se[agreeing]) * np.maximum(dof - 2, 0) / dof
    return bool(chdtrc(max(len(statistics) - 1, 1), float(statistics.sum())) >= HOMOGENEITY_ALPHA)

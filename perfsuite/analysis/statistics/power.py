"""What a comparison could find: the smallest detectable slowdown, and how many processes would settle a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from perfsuite.analysis.statistics.significance import LEVEL

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.effect import Effect, Floats

POWER = 0.95
"""The probability with which a detectable slowdown is detected, and with which more processes settle a verdict."""

MAX_NUM_PROCESSES = 1e6
"""Where even more would be needed, a number says nothing."""


def future_error(dof: Floats, se: Floats, level: float = POWER) -> Floats:
    """Return by how much another run may err, one-sided, with a probability of `level`.

    The error of that run is known from this one only, so the quantile of t is widened by half of 1 / dof: a compromise
    between the same data, where it is found in .96 to .97, and new data, in .86 to .92 (8 to 30 degrees of freedom).
    """
    error: Floats = stdtrit(dof, level) * se * (1 + 0.5 / dof)
    return error


def relative_need(
    dof: Floats, se: Floats, *, level: float, min_effect: Floats, margin: float, counted_shift: float
) -> Floats:
    """Return the true slowdown from which on a comparison with the other benchmarks finds it with `POWER`.

    Args:
        dof: Degrees of freedom of the change relative to them [benchmarks].
        se: Its standard error.
        level: One-sided level of a single test.
        min_effect: [benchmarks]
        margin: What the change must exceed on top.
        counted_shift: What of the common-mode shift is part of the change that is compared with these.
    """
    return np.maximum(future_error(dof, se, 1 - level), min_effect) + margin + future_error(dof, se) - counted_shift


def detectable_slowdown(
    *,
    own_need: Floats | None,
    relative_need: Floats | None,
    half: Floats,
    error: Floats,
    min_effect: Floats,
    shift: float,
) -> Floats:
    """Return the true slowdown that is found with `POWER`, in whichever way needs the least; NaN where there is none.

    Every way needs a change that reaches the minimum effect and an interval that excludes 1.

    Args:
        own_need: What a change must reach to be significant by itself; None where that does not count.
        relative_need: The true slowdown that is significant relative to the others; None where that does not count.
        half: Half of the interval of the change.
        error: One-sided error of the change with `POWER`.
        min_effect: [benchmarks]
        shift: What of the change is the machine's, where the sides ran one after the other.
    """
    ways: list[Floats] = []
    if own_need is not None:
        ways.append(np.maximum(np.maximum(own_need, half), min_effect) + error)
    if relative_need is not None:
        ways.append(np.maximum(relative_need, np.maximum(half, min_effect) + error - shift))
    return np.minimum.reduce(ways) if ways else np.full(len(half), np.nan)


def num_processes_needed(change: Floats, se: Floats, effect: Effect, level: float, min_effect: Floats) -> Floats:
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

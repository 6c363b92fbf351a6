"""Which of several machines of one kind is unlike the others: each is compared with those of the rest that agree best.

Pure functions of arrays of logarithms of times. A process is a sample, a round is not; a machine is judged by how much
machines differ, not by how much the rounds of one do.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtr, stdtrit

from perfsuite.analysis.statistics.effect import MIN_POOLED, MIN_SD, median_of_known, shrink
from perfsuite.analysis.statistics.significance import LEVEL, holm

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.effect import Bools, Floats

Places = np.ndarray[Any, np.dtype[np.int64]]

MIN_NODES = 4
"""Fewer have no majority to be unlike: of three, two that agree by chance make the third look odd."""

MIN_TRIMMED = 7
"""From this many others on, a quarter of them may be odd too and is left out."""

MAX_ODD_RATIO = 0.25
"""Share of the others that may be odd as well without hiding an odd one."""

MAX_CROWD_RATIO = 0.1
"""Share of the processes of others that may deviate in a cell by half as much in the same direction: beyond it the cell
has two states (kernels picked per process), and no node is odd for being in one of them."""

POPULATION_DOF = 10.0
"""Machines that are equal to a buyer differ with heavier tails than a normal distribution has: of 31 public results of
nominally equal hosts the farthest lies 4.5 robust standard deviations out. Chosen on simulations (README)."""

NODE_SHARE = 0.8
"""Of alpha, for what all cells of a node share; the rest is for single cells. A slow node is slow in most."""

NUM_REFERENCE = 4000
"""Simulated fleets behind each reference distribution; the tail of each is exact, so that few are enough."""

MAX_REFERENCE = 64
"""Of more machines than these the reference of so many is used: it is slightly too wide for them."""

MIN_WITHIN = 2
"""Processes of a node from which on its own scatter is known."""

MIN_TRIMMED_WITHIN = 5
"""Processes of a node from which on one that was disturbed is left out of its scatter: the median ignores it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OddOnes:
    """How each node of a kind differs from the others; changes are logarithms of time / time on the others.

    Attributes:
        shift: What all cells of a node share [nodes]; NaN where it shares none with enough others.
        half: Half of its 95% interval [nodes]: of this node's processes, and of the others' middle.
        p_value: Of the shift, Holm-adjusted over all nodes [nodes].
        is_odd: Whether the node as a whole is odd [nodes].
        cells: Deviation of each cell of each node [nodes, cells]; NaN where it was not measured or is not judged.
        cell_p_value: Of those, Holm-adjusted over all nodes and cells [nodes, cells].
        is_odd_cell: Whether a single cell of a node is odd [nodes, cells]; never one of a node that is odd as a whole
            and in the same direction.
        between_sd: Standard deviation between the nodes that agree.
        within_sd: Standard deviation between processes of one node; NaN where every node has one.
        detectable: The smallest slowdown of one node that would be called, as a logarithm; half of those of that size
            are.
    """

    shift: Floats
    half: Floats
    p_value: Floats
    is_odd: Bools
    cells: Floats
    cell_p_value: Floats
    is_odd_cell: Bools
    between_sd: float
    within_sd: float
    detectable: float


def find_odd_ones(logs: Floats, *, alpha: float, min_effect: float) -> OddOnes:
    """Compare each node with the others of its kind.

    Args:
        logs: Logarithms of seconds [nodes, repetitions, cells], NaN where nothing was measured; the repetitions of a
            node are processes.
        alpha: Chance of calling any node or cell odd where all are equal.
        min_effect: What counts as a difference, as a ratio less 1; beyond it in either direction.

    Raises:
        ValueError: Fewer than `MIN_NODES` nodes.
    """
    if len(logs) < MIN_NODES:
        raise ValueError(f"{len(logs)} nodes; at least {MIN_NODES} are needed")
    medians = median_of_known(logs, axis=1)
    is_judged = np.isfinite(medians).sum(axis=0) >= MIN_NODES
    medians = np.where(is_judged, medians, np.nan)
    middle = median_of_known(medians, axis=0)
    per_process = median_of_known(logs - middle, axis=2)
    shift = median_of_known(per_process, axis=1)
    variance, dof, factor = _within(per_process[:, :, None], trimmed=True)
    nodes = _compare(shift[:, None], variance * factor, dof)
    smallest = np.log1p(min_effect)
    several = int(is_judged.sum()) > 1
    node_alpha = alpha * NODE_SHARE if several else alpha
    p_value = holm(nodes.p_value[:, 0], np.isfinite(nodes.p_value[:, 0]))
    deviation = nodes.deviation[:, 0]
    is_odd = (p_value <= node_alpha) & (np.abs(deviation) >= smallest)
    cell_variance, cell_dof, cell_factor = _within(logs, trimmed=False)
    single = _compare(medians - middle, cell_variance * cell_factor, cell_dof)
    flat = holm(single.p_value.ravel(), np.isfinite(single.p_value).ravel())
    cell_p_value = flat.reshape(single.p_value.shape)
    is_odd_cell = (cell_p_value <= alpha - node_alpha) & (np.abs(single.deviation) >= smallest)
    is_odd_cell &= several
    is_odd_cell &= ~_crowded(np.where(is_odd_cell, single.deviation, np.nan), logs - middle)
    is_odd_cell &= ~(is_odd[:, None] & (np.sign(single.deviation) == np.sign(deviation)[:, None]))
    between = float(np.nanmedian(nodes.scale[:, 0]))
    return OddOnes(
        shift=deviation,
        half=nodes.half[:, 0],
        p_value=p_value,
        is_odd=is_odd,
        cells=single.deviation,
        cell_p_value=cell_p_value,
        is_odd_cell=is_odd_cell,
        between_sd=between,
        within_sd=float(np.sqrt(np.nanmedian(variance[:, 0]))) if np.isfinite(variance).any() else np.nan,
        detectable=max(float(smallest), _detectable(nodes, node_alpha)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """Each value against the others of its column [nodes, columns]."""

    deviation: Floats
    scale: Floats
    half: Floats
    p_value: Floats
    se: Floats
    dof: Floats


def _within(logs: Floats, *, trimmed: bool) -> tuple[Floats, Floats, Floats]:
    """Return the variance between a node's processes, its degrees of freedom, and what makes it that of their middle.

    All are [nodes, columns], NaN where a node has one process.

    Variances are shrunk over the nodes of a column, from eight on: a node whose processes scatter has its own.

    Args:
        logs: [nodes, processes, columns].
        trimmed: Whether one disturbed process of five and more is left out. Not of single cells: there it is a kernel
            that most processes of the node picked, and not all.
    """
    num = np.isfinite(logs).sum(axis=1)
    ascending = np.sort(logs, axis=1)  # what is unknown comes last
    variance, dof = np.full(num.shape, np.nan), np.zeros(num.shape)
    for known in np.unique(num[num >= MIN_WITHIN]):
        size = int(known) - (1 if trimmed and known >= MIN_TRIMMED_WITHIN else 0)
        where = num == known
        rows = np.moveaxis(ascending, 1, 2)[where][:, :known]
        _, scale = _tightest(rows - rows[:, :1], size)
        variance[where] = np.square(scale) / _core_variance(int(known), size)
        dof[where] = size - 1.0
    variance = np.maximum(variance, MIN_SD**2)
    total = np.where(np.isfinite(variance), dof, np.nan)
    for column in range(variance.shape[1]):
        usable = np.isfinite(variance[:, column])
        if usable.sum() >= MIN_POOLED:
            shrunk, _, known = shrink(variance[:, column], dof[:, column], usable, 0.0)
            variance[usable, column], total[usable, column] = shrunk[usable], known[usable]
    # The median of several processes is less certain than their mean: by pi / 2 where there are many.
    factor = np.where(num > MIN_WITHIN, np.pi / 2, 1.0) / np.maximum(num, 1)
    return variance, total, factor


def _compare(values: Floats, within: Floats, within_dof: Floats) -> _Compared:
    """Compare each value with the middle and the scatter of the others of its column.

    A value is odd only if it lies outside the others by how much they differ, and by how well its own processes agree.
    """
    shape = values.shape
    found = {name: np.full(shape, np.nan) for name in ("deviation", "scale", "half", "p_value", "se", "dof")}
    for column in range(shape[1]):
        where = np.flatnonzero(np.isfinite(values[:, column]))
        if len(where) < MIN_NODES:
            continue
        own = values[where, column]
        centre, scale, num_core = _cores_without(own)
        deviation = own - centre
        floored = np.maximum(scale, MIN_SD)
        p_value = _reference(len(own) - 1).p_value(np.abs(deviation) / floored)
        variance, dof = within[where, column], within_dof[where, column]
        known = np.isfinite(variance)
        # With one process a node, how much nodes differ is all that is known of how well one is known.
        of_own = np.where(known, variance, np.square(floored))
        dof = np.where(known, dof, num_core - 1.0)
        se = np.sqrt(of_own + np.square(floored) / num_core)
        own_p_value = 2 * stdtr(dof, -np.abs(deviation) / se)
        found["deviation"][where, column], found["scale"][where, column] = deviation, floored
        found["se"][where, column], found["dof"][where, column] = se, dof
        found["half"][where, column] = stdtrit(dof, 0.5 + LEVEL / 2) * se
        found["p_value"][where, column] = np.where(known, np.maximum(p_value, own_p_value), p_value)
    return _Compared(**found)


def num_in_core(num: int) -> int:
    """Return how many of so many others are taken as alike."""
    return num - int(num * MAX_ODD_RATIO) if num >= MIN_TRIMMED else num


def _cores_without(values: Floats) -> tuple[Floats, Floats, int]:
    """Return of each value the mean of the others that agree best, their standard deviation, and how many those are.

    The standard deviation is made one of all others, as far as these are normal.
    """
    num = len(values)
    order = np.argsort(values, kind="stable")
    ascending = values[order] - values[order[num // 2]]
    places = np.arange(num - 1)
    others = ascending[places[None, :] + (places[None, :] >= np.arange(num)[:, None])]
    size = num_in_core(num - 1)
    centre, scale = _tightest(others, size)
    scale = scale / _core_sd(num - 1)
    found_centre, found_scale = np.empty(num), np.empty(num)
    found_centre[order], found_scale[order] = centre + values[order[num // 2]], scale
    return found_centre, found_scale, size


def _tightest(ascending: Floats, size: int) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of those `size` neighbours of each row that scatter least.

    Source: Rousseeuw, Least median of squares regression, J. Am. Stat. Assoc. 79 (1984), for the idea of the subset.
    """
    zeros = np.zeros((len(ascending), 1))
    sums = np.concatenate([zeros, np.cumsum(ascending, axis=1)], axis=1)
    squares = np.concatenate([zeros, np.cumsum(np.square(ascending), axis=1)], axis=1)
    mean = (sums[:, size:] - sums[:, :-size]) / size
    variance = (squares[:, size:] - squares[:, :-size] - size * np.square(mean)) / (size - 1)
    best = np.argmin(variance, axis=1)
    rows = np.arange(len(ascending))
    return mean[rows, best], np.sqrt(np.maximum(variance[rows, best], 0.0))


@functools.cache
def _core_variance(num: int, size: int) -> float:
    """Return the mean variance of those `size` of `num` normal values that scatter least, of which each has 1."""
    if num == size:
        return 1.0
    drawn = np.sort(np.random.default_rng(num).standard_normal((NUM_REFERENCE, num)), axis=1)
    return float(np.square(_tightest(drawn, size)[1]).mean())


def _core_sd(num: int) -> float:
    """Return what makes the standard deviation of those that agree best one of all, where all are normal."""
    num = min(num, MAX_REFERENCE)
    return math.sqrt(_core_variance(num, num_in_core(num)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """How far a machine like the others lies outside them, in standard deviations of those that agree best."""

    distances: Floats
    log_p_values: Floats

    def p_value(self, distance: Floats) -> Floats:
        """Return the two-sided p-value of each distance."""
        p_value: Floats = np.exp(np.interp(distance, self.distances, self.log_p_values))
        return p_value

    def distance(self, p_value: float) -> float:
        """Return the distance that has a two-sided p-value."""
        return float(np.interp(-np.log(p_value), -self.log_p_values, self.distances))


@functools.cache
def _reference(num: int) -> _Reference:
    """Return the reference of one machine against `num` others.

    The others are drawn from Student's distribution with `POPULATION_DOF`; given their middle and their scatter, the
    chance that another one of the same population lies beyond a distance is exact, and it is averaged over the draws.
    """
    num = min(num, MAX_REFERENCE)
    generator = np.random.default_rng(num)
    drawn = np.sort(generator.standard_t(POPULATION_DOF, (NUM_REFERENCE, num)), axis=1)
    centre, scale = _tightest(drawn, num_in_core(num))
    scale = scale / _core_sd(num)
    distances = np.concatenate([np.linspace(0, 10, 101), np.geomspace(10.5, 1e4, 100)])
    beyond = distances[:, None] * scale[None, :]
    tails = stdtr(POPULATION_DOF, centre - beyond) + stdtr(POPULATION_DOF, -centre - beyond)
    return _Reference(distances=distances, log_p_values=np.log(np.minimum(tails.mean(axis=1), 1.0)))


def _crowded(deviation: Floats, processes: Floats) -> Bools:
    """Tell which cells of a node have too many companions [nodes, cells].

    These are processes of other nodes that deviate half as much in the same direction. Kernels that each process picks
    give a cell two states, and chance gives one node the same state in all of its processes.

    Args:
        deviation: Of each node [nodes, cells].
        processes: The same of its processes [nodes, repetitions, cells].
    """
    most = np.maximum(processes.shape[1], MAX_CROWD_RATIO * np.isfinite(processes).sum(axis=(0, 1)))
    found = np.zeros(deviation.shape, dtype=bool)
    for column in range(deviation.shape[1]):
        own = deviation[:, column]
        sign = np.sign(own)
        limit = np.abs(own) / 2
        for node in np.flatnonzero(np.isfinite(own)):
            beyond = sign[node] * processes[:, :, column] > limit[node]
            found[node, column] = beyond.sum() - beyond[node].sum() > most[column]
    return found


def _detectable(nodes: _Compared, alpha: float) -> float:
    """Return the smallest deviation of a typical node that is called odd."""
    known = np.isfinite(nodes.scale[:, 0])
    num = int(known.sum())
    if num < MIN_NODES:
        return float("inf")
    between = _reference(num - 1).distance(alpha / num) * float(np.median(nodes.scale[known, 0]))
    own = stdtrit(nodes.dof[known, 0], 1 - alpha / num / 2) * nodes.se[known, 0]
    return max(between, float(np.median(own)))

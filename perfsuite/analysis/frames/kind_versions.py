"""Kinds of machines and versions: how many nodes measured each, and what each version takes against the first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from perfsuite.analysis.frames.fleet import part_of_kind
from perfsuite.analysis.statistics.effect import MIN_SD, median_of_known
from perfsuite.analysis.statistics.significance import LEVEL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.analysis.frames.fleet import NodeKind
    from perfsuite.analysis.statistics.effect import Floats

MIN_NODES = 2
"""With both versions, from which on an interval over nodes is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindVersion:
    """What nodes of one kind measured in one environment.

    Attributes:
        kind: Of the nodes.
        environment: Which versions.
        num_nodes: That measured in it.
        num_processes: Of all of these.
        num_cells: Different ones.
        baseline: The environment that it is compared with: the first of its kind.
        ratio: Its time over the baseline's: geometric mean over nodes and shared cells; None of the baseline itself,
            and where nothing is shared.
        low: Lower end of the 95% interval over nodes, or None.
        high: Upper end.
        num_both: Nodes that measured both; 0 where other nodes did, which are compared as groups.
    """

    kind: str
    environment: str
    num_nodes: int
    num_processes: int
    num_cells: int
    baseline: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    num_both: int = 0


def kind_versions(kinds: Iterable[NodeKind]) -> list[KindVersion]:
    """Return a row per kind and environment."""
    return [row for kind in kinds for row in _versions_of(kind)]


def _versions_of(kind: NodeKind) -> list[KindVersion]:
    baseline = kind.environments[0]
    medians = {name: _by_cell(kind, name) for name in kind.environments}
    found = []
    for name in kind.environments:
        logs = part_of_kind(kind, name).logs
        is_known = np.isfinite(logs)
        ratio, low, high, num_both = (None, None, None, 0)
        if name != baseline:
            ratio, low, high, num_both = _against(medians[baseline], medians[name])
        found.append(
            KindVersion(
                kind=kind.kind,
                environment=name,
                num_nodes=int(is_known.any(axis=(1, 2)).sum()),
                num_processes=int(is_known.any(axis=2).sum()),
                num_cells=logs.shape[2],
                baseline=baseline,
                ratio=ratio,
                low=low,
                high=high,
                num_both=num_both,
            )
        )
    return found


def _by_cell(kind: NodeKind, environment: str) -> dict[str, Floats]:
    """Return the median over processes of every node, by cell."""
    part = part_of_kind(kind, environment)
    medians = median_of_known(part.logs, axis=1)
    return {cell: medians[:, column] for column, (_, cell) in enumerate(part.cells)}


def _against(
    baseline: dict[str, Floats], other: dict[str, Floats]
) -> tuple[float | None, float | None, float | None, int]:
    """Return the ratio, the ends of its interval and the nodes that measured both."""
    shared = [cell for cell in baseline if cell in other]
    if not shared:
        return None, None, None, 0
    before = np.stack([baseline[cell] for cell in shared], axis=1)
    after = np.stack([other[cell] for cell in shared], axis=1)
    changes = median_of_known(after - before, axis=1)
    paired = changes[np.isfinite(changes)]
    if len(paired):
        return *_within_nodes(paired), len(paired)
    return *_between_nodes(before, after), 0


def _within_nodes(changes: Floats) -> tuple[float, float | None, float | None]:
    """Return the ratio and its interval over nodes that measured both versions, from the change on each."""
    middle, num = float(changes.mean()), len(changes)
    if num < MIN_NODES:
        return math.exp(middle), None, None
    return math.exp(middle), *_interval(middle, float(changes.var(ddof=1)) / num, num - 1.0)


def _between_nodes(before: Floats, after: Floats) -> tuple[float | None, float | None, float | None]:
    """Return the same where other nodes measured the other version, of the cells that all of them have (Welch)."""
    sides = [side[np.isfinite(side).any(axis=1)] for side in (before, after)]
    complete = np.isfinite(np.concatenate(sides)).all(axis=0)
    if not complete.any():
        return None, None, None
    middles = [side[:, complete].mean(axis=1) for side in sides]
    change = float(middles[1].mean() - middles[0].mean())
    if min(map(len, middles)) < MIN_NODES:
        return math.exp(change), None, None
    variances = [max(float(side.var(ddof=1)), MIN_SD**2) / len(side) for side in middles]
    inverse_dof = sum(one**2 / (len(side) - 1) for one, side in zip(variances, middles, strict=True))
    return math.exp(change), *_interval(change, sum(variances), sum(variances) ** 2 / inverse_dof)


def _interval(change: float, variance: float, dof: float) -> tuple[float, float]:
    half = float(stdtrit(dof, 0.5 + LEVEL / 2)) * math.sqrt(variance)
    return math.exp(change - half), math.exp(change + half)

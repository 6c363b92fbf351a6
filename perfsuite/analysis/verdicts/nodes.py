"""Which node of a fleet is unlike the others of its kind, by how much, and what distinguishes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from perfsuite.analysis.frames.fleet import node_kinds
from perfsuite.analysis.statistics.odd_one_out import MIN_NODES, find_odd_ones
from perfsuite.analysis.verdicts.compare import ALPHA, MIN_EFFECT
from perfsuite.analysis.verdicts.node_evidence import node_evidence, node_state
from perfsuite.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.fleet import NodeKind
    from perfsuite.analysis.frames.fleet_runs import NodeRun
    from perfsuite.analysis.statistics.odd_one_out import OddOnes

NodeWord = Literal["slow", "fast", "cells differ", "open", "same", "not judged"]

ODD_FIRST: tuple[NodeWord, ...] = ("slow", "fast", "cells differ", "open", "same", "not judged")

ODD: frozenset[NodeWord] = frozenset({"slow", "fast", "cells differ"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OddCell:
    """A cell in which a node alone is unlike the others.

    Attributes:
        name: What was measured.
        ratio: Time over that of the others.
    """

    name: str
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeVerdict:
    """What is said of one node.

    Attributes:
        kind: Nodes of one kind are compared with each other.
        node: Its name.
        verdict: `slow` or `fast`: what all cells share is; `cells differ`: single cells are; `same`: the interval
            lies within the minimum effect; `open`: neither; `not judged`: too few others measured the same.
        ratio: Its time over that of the others that agree best, over all cells; None where it is not judged.
        low: Lower end of the 95% interval.
        high: Upper end.
        p_value: Holm-adjusted over all nodes of the kind.
        num_cells: Cells in which it is compared.
        num_beyond: Of these, in how many it deviates by the minimum effect or more in the direction of the verdict.
        odd_cells: Cells in which it alone is unlike the others, the largest change first.
        num_processes: Of the node.
        environments: In which it measured.
        evidence: What distinguishes it from the others of its kind, in words; of odd nodes alone.
    """

    kind: str
    node: str
    verdict: NodeWord
    ratio: float | None
    low: float | None
    high: float | None
    p_value: float | None
    num_cells: int
    num_beyond: int
    odd_cells: tuple[OddCell, ...]
    num_processes: int
    environments: tuple[str, ...]
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindVerdict:
    """What is said of all nodes of a kind.

    Attributes:
        kind: Which.
        nodes: Odd ones first, the largest changes first.
        reason: Why they cannot be judged, in words; empty where they are.
        between_sd: Standard deviation between nodes that agree, as a ratio; None where they are not judged.
        within_sd: The same between processes of a node; None with one process each.
        detectable: The smallest slowdown of a node that would be called, as a ratio less 1.
    """

    kind: str
    nodes: tuple[NodeVerdict, ...]
    reason: str = ""
    between_sd: float | None = None
    within_sd: float | None = None
    detectable: float | None = None

    @property
    def odd(self) -> tuple[NodeVerdict, ...]:
        """The odd ones among them."""
        return tuple(node for node in self.nodes if node.verdict in ODD)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetVerdict:
    """What is said of a fleet.

    Attributes:
        kinds: Those with odd nodes first.
        sources: What they are made of, in the order of the files.
        min_effect: What counts as a difference, as a ratio less 1.
        alpha: Chance of any false alarm where all nodes of each kind are equal.
        is_fleet: Whether the files are of several machines of one kind that measured the same, or a fleet wrote them.
    """

    kinds: tuple[KindVerdict, ...]
    sources: tuple[NodeKind, ...]
    min_effect: float
    alpha: float
    is_fleet: bool

    @property
    def nodes(self) -> tuple[NodeVerdict, ...]:
        """All nodes, odd ones first."""
        found = [node for kind in self.kinds for node in kind.nodes]
        return tuple(sorted(found, key=_rank))


def judge_nodes(runs: Sequence[NodeRun], *, min_effect: float = MIN_EFFECT, alpha: float = ALPHA) -> FleetVerdict:
    """Compare every node with the others of its kind.

    Args:
        runs: Processes on nodes, without copies.
        min_effect: What counts as a difference, as a ratio less 1.
        alpha: Chance of any false alarm in the whole fleet where all nodes of each kind are equal; shared equally by
            the kinds that can be judged.
    """
    sources = node_kinds(runs)
    num_judged = sum(len(_comparable(kind)) >= MIN_NODES for kind in sources)
    kinds = [_judge_kind(kind, min_effect=min_effect, alpha=alpha / max(num_judged, 1)) for kind in sources]
    kinds.sort(key=lambda kind: -len(kind.odd))
    return FleetVerdict(
        kinds=tuple(kinds),
        sources=sources,
        min_effect=min_effect,
        alpha=alpha,
        is_fleet=num_judged > 0 or any(run.fleet_node is not None for run in runs),
    )


def _rank(node: NodeVerdict) -> tuple[int, float]:
    change = 0.0 if node.ratio is None else abs(math.log(node.ratio))
    largest = max((abs(math.log(cell.ratio)) for cell in node.odd_cells), default=0.0)
    return ODD_FIRST.index(node.verdict), -max(change, largest)


def _comparable(kind: NodeKind) -> list[int]:
    """Return which nodes share a cell with enough others."""
    is_known = np.isfinite(kind.logs).any(axis=1)
    is_shared = is_known.sum(axis=0) >= MIN_NODES
    return [int(index) for index in np.flatnonzero((is_known & is_shared).any(axis=1))]


def _judge_kind(kind: NodeKind, *, min_effect: float, alpha: float) -> KindVerdict:
    if len(_comparable(kind)) < MIN_NODES:
        return _kind_not_judged(kind)
    found = find_odd_ones(kind.logs, alpha=alpha, min_effect=min_effect)
    states = [node_state(node) for node in kind.nodes]
    is_odd = found.is_odd | found.is_odd_cell.any(axis=1)
    # An odd node is compared with those that are not: two with the same fault would hide it from each other.
    usual = [states[index] for index in np.flatnonzero(~is_odd)]
    nodes = []
    for index, state in enumerate(states):
        evidence = node_evidence(state, usual) if is_odd[index] and usual else ()
        nodes.append(_node_verdict(kind, found, index, min_effect, evidence))
    return KindVerdict(
        kind=kind.kind,
        nodes=tuple(sorted(nodes, key=_rank)),
        between_sd=found.between_sd,
        within_sd=found.within_sd if math.isfinite(found.within_sd) else None,
        detectable=math.expm1(found.detectable),
    )


def _kind_not_judged(kind: NodeKind) -> KindVerdict:
    num = len(kind.nodes)
    why = plural(num, "node")
    if num >= MIN_NODES:
        why += ", but fewer that measured the same"
    reason = f"{kind.kind}: cannot tell: {why}; {MIN_NODES} of one kind are the fewest that show an odd one"
    nodes = [_not_judged(kind, index) for index in range(num)]
    return KindVerdict(kind=kind.kind, nodes=tuple(nodes), reason=reason)


def _not_judged(kind: NodeKind, index: int) -> NodeVerdict:
    node = kind.nodes[index]
    return NodeVerdict(
        kind=kind.kind,
        node=node.name,
        verdict="not judged",
        ratio=None,
        low=None,
        high=None,
        p_value=None,
        num_cells=0,
        num_beyond=0,
        odd_cells=(),
        num_processes=len(node.runs),
        environments=_environments(kind, index),
        evidence=(),
    )


def _environments(kind: NodeKind, index: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(run.environment for run in kind.nodes[index].runs))


def _node_verdict(
    kind: NodeKind, found: OddOnes, index: int, min_effect: float, evidence: tuple[str, ...]
) -> NodeVerdict:
    shift, half = float(found.shift[index]), float(found.half[index])
    if not math.isfinite(shift):
        return _not_judged(kind, index)
    cells = found.cells[index]
    smallest = math.log1p(min_effect)
    odd = sorted(map(int, np.flatnonzero(found.is_odd_cell[index])), key=lambda cell: -abs(cells[cell]))
    sign = -1.0 if shift < 0 else 1.0
    return NodeVerdict(
        kind=kind.kind,
        node=kind.nodes[index].name,
        verdict=_word(found, index, smallest),
        ratio=math.exp(shift),
        low=math.exp(shift - half),
        high=math.exp(shift + half),
        p_value=float(found.p_value[index]),
        num_cells=int(np.isfinite(cells).sum()),
        num_beyond=int((sign * cells >= smallest).sum()),
        odd_cells=tuple(OddCell(name=_cell_name(kind, cell), ratio=math.exp(cells[cell])) for cell in odd),
        num_processes=len(kind.nodes[index].runs),
        environments=_environments(kind, index),
        evidence=evidence,
    )


def _word(found: OddOnes, index: int, smallest: float) -> NodeWord:
    if found.is_odd[index]:
        return "slow" if found.shift[index] > 0 else "fast"
    if found.is_odd_cell[index].any():
        return "cells differ"
    is_same = abs(found.shift[index]) + found.half[index] <= smallest
    return "same" if is_same else "open"


def _cell_name(kind: NodeKind, cell: int) -> str:
    environment, name = kind.cells[cell]
    return f"{name} in {environment}" if len(kind.environments) > 1 else name

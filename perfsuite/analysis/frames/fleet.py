"""Runs on many machines -> nodes of each kind, with the times of their processes side by side."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.load.kept_files import copied_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfsuite.analysis.frames.fleet_runs import NodeRun
    from perfsuite.analysis.statistics.effect import Floats

FleetCell = tuple[str, str]
"""An environment, and what was measured in it."""

NodeKey = tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine.

    Attributes:
        name: The fleet's name of it, else its host, with its board where a host has several.
        runs: Its processes, in the order of the files.
    """

    name: str
    runs: tuple[NodeRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKind:
    """Nodes that are nominally equal.

    Attributes:
        kind: What they are.
        nodes: In the order of the files.
        cells: What they measured, in the order of the files.
        logs: Logarithm of the median of the rounds in seconds [nodes, processes, cells], NaN where nothing was
            measured.
    """

    kind: str
    nodes: tuple[Node, ...]
    cells: tuple[FleetCell, ...]
    logs: Floats

    @property
    def environments(self) -> list[str]:
        """Environments in which they measured, in the order of the files."""
        return list(dict.fromkeys(environment for environment, _ in self.cells))


def node_kinds(runs: Iterable[NodeRun]) -> tuple[NodeKind, ...]:
    """Return nodes by kind, in the order of the runs; runs that measured nothing are left out."""
    by_kind: dict[str, dict[NodeKey, list[NodeRun]]] = {}
    for run in _with_commits(list(runs)):
        if run.cells:
            by_kind.setdefault(run.kind, {}).setdefault(_key(run), []).append(run)
    return tuple(_kind(kind, nodes) for kind, nodes in by_kind.items())


def without_copied_runs(runs: Sequence[NodeRun]) -> tuple[tuple[NodeRun, ...], tuple[str, ...]]:
    """Return runs without copies and first answers, and what was left out, in words; see `results_of`.

    Of the copies of a run the fullest stays.
    """
    kept, notes = [], []
    originals = copied_from([run.run_ids for run in runs], [len(run.cells) for run in runs])
    for run, original in zip(runs, originals, strict=True):
        if original is None:
            kept.append(run)
        else:
            notes.append(f"{run.file}: left out, it contains the same run as {runs[original].file}")
    full = [run for run in kept if not run.is_quick]
    if full:
        notes += [f"{run.file}: measured with --perf-quick, left out" for run in kept if run.is_quick]
        kept = full
    return tuple(kept), tuple(notes)


def _with_commits(runs: list[NodeRun]) -> list[NodeRun]:
    """Return runs whose environments name the commit, where no fleet named them and there are several commits."""
    by_hand = {run.properties.get("commit") for run in runs if run.fleet_node is None}
    if len(by_hand) < 2:  # noqa: PLR2004 - one is no difference
        return runs
    return [_with_commit(run) if run.fleet_node is None else run for run in runs]


def _with_commit(run: NodeRun) -> NodeRun:
    commit = run.properties.get("commit", "unknown")
    return dataclasses.replace(run, environment=f"{run.environment}, commit {commit}")


def _key(run: NodeRun) -> NodeKey:
    return ("fleet", run.fleet_node) if run.fleet_node is not None else ("host", run.host, run.board)


def _kind(kind: str, by_key: Mapping[NodeKey, Sequence[NodeRun]]) -> NodeKind:
    names = _names(list(by_key))
    nodes = tuple(Node(name=name, runs=tuple(runs)) for name, runs in zip(names, by_key.values(), strict=True))
    columns: dict[FleetCell, int] = {}
    for node in nodes:
        for run in node.runs:
            for cell in run.cells:
                columns.setdefault((run.environment, cell), len(columns))
    most = max(len(node.runs) for node in nodes)
    logs = np.full((len(nodes), most, len(columns)), np.nan)
    # Nodes of a fleet measure the same cells: their columns are looked up once.
    columns_of: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for number, node in enumerate(nodes):
        for process, run in enumerate(node.runs):
            key = (run.environment, run.cells)
            if key not in columns_of:
                columns_of[key] = [columns[run.environment, cell] for cell in run.cells]
            logs[number, process, columns_of[key]] = run.logs
    return NodeKind(kind=kind, nodes=nodes, cells=tuple(columns), logs=logs)


def _names(keys: Sequence[NodeKey]) -> list[str]:
    """Name nodes: a host by its name, and by the board where it has several."""
    boards: dict[str | None, set[str | None]] = {}
    for key in keys:
        if key[0] == "host":
            boards.setdefault(key[1], set()).add(key[2])
    found = []
    for key in keys:
        parts = [key[1] or "unknown host"]
        if key[0] == "host" and len(boards[key[1]]) > 1:
            parts.append(f"board {key[2] or 'unknown'}")
        found.append(" ".join(parts))
    # A fleet and a file that was collected by hand may name two machines alike.
    return [name if found.count(name) == 1 else f"{name} ({key[0]})" for name, key in zip(found, keys, strict=True)]


def part_of_kind(kind: NodeKind, environment: str) -> NodeKind:
    """Return what nodes of a kind measured in one environment, all nodes in their order."""
    is_kept = np.array([one == environment for one, _ in kind.cells])
    cells = tuple(cell for cell in kind.cells if cell[0] == environment)
    return dataclasses.replace(kind, cells=cells, logs=kind.logs[:, :, is_kept])

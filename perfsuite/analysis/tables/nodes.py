"""Which node of a fleet is odd, and kinds of machines by versions: only renders."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import row_change_text
from perfsuite.analysis.frames.kind_versions import kind_versions
from perfsuite.analysis.tables.table import Column, Priority, Table, shown, text_column
from perfsuite.analysis.verdicts.compare import ALPHA, MIN_EFFECT
from perfsuite.analysis.verdicts.node_words import (
    NODE_SYMBOLS,
    change_words,
    evidence_words,
    fleet_notes,
    kind_name,
    kind_sentence,
)
from perfsuite.analysis.verdicts.nodes import judge_nodes
from perfsuite.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.kind_versions import KindVersion
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.verdicts.nodes import FleetVerdict, NodeVerdict

NO_NODES = "no nodes to compare: it needs benchmarks (pytest benchmarks -m step) on several machines of one kind"

STYLES = {"slow": "bold red", "fast": "cyan", "cells differ": "bold red", "open": "yellow"}

MAX_VERSIONS = 6
"""Columns of a pivot; more are rows of the table of the fleet's files in CSV."""


def nodes_table(results: Results, *, min_effect: float = MIN_EFFECT, alpha: float = ALPHA) -> Table:
    """Return a row per node, odd ones first.

    Args:
        results: What is shown.
        min_effect: What counts as a difference, as a ratio less 1.
        alpha: Chance of any false alarm where all nodes are equal.
    """
    verdict = judge_nodes(results.node_runs, min_effect=min_effect, alpha=alpha)
    return fleet_table(verdict, notes=results.notes)


def fleet_table(verdict: FleetVerdict, *, notes: Sequence[str] = ()) -> Table:
    """Return a verdict on a fleet as a table; CSV and JSON have every value in base units."""
    if not verdict.nodes:
        return Table(title="Nodes", frame=[], columns=(), notes=(NO_NODES, *notes))
    rows = [_values(node, verdict) for node in verdict.nodes]
    several = len(verdict.kinds) > 1
    columns = shown(
        text_column("node", priority=Priority.KEY),
        text_column("kind_name", "kind", shown_when=several, priority=Priority.NORMAL),
        Column(
            heading="verdict",
            show=lambda row: f"{NODE_SYMBOLS[row['verdict']]} {row['verdict']}",
            style=lambda row: STYLES.get(row["verdict"], ""),
            priority=Priority.MAIN,
        ),
        Column(heading="time [95%]", show=lambda row: row["change"], numeric=True, priority=Priority.MAIN),
        Column(heading="cells", show=_cells, numeric=True, priority=Priority.NORMAL),
        Column(heading="n", show=lambda row: str(row["num_processes"]), numeric=True, priority=Priority.DETAIL),
        Column(
            heading="unlike the others",
            show=lambda row: row["evidence"] or "",
            foldable=True,
            shown_when=any(row["evidence"] for row in rows),
            priority=Priority.MAIN,
        ),
    )
    return Table(
        title=_title(verdict),
        frame=rows,
        columns=columns,
        legend=(
            "time: of the node relative to the other nodes that agree best, over all cells; [95%]: over its processes",
            f"cells: how many deviate by {100 * verdict.min_effect:.3g}% or more in that direction; n: processes",
            "same: the interval lies within that; open: neither same nor odd; cells differ: only single cells are odd",
            f"chance of any false alarm if all nodes of each kind are equal: {verdict.alpha:g}",
        ),
        notes=(*fleet_notes(verdict), *notes),
    )


def _title(verdict: FleetVerdict) -> str:
    sentences = [kind_sentence(verdict, kind) for kind in verdict.kinds if not kind.reason]
    if not sentences:
        return f"{plural(len(verdict.nodes), 'node')}, none of which can be judged"
    text = "; ".join(sentences[:2])
    return f"{text[:1].upper()}{text[1:]}"


def _values(node: NodeVerdict, verdict: FleetVerdict) -> dict[str, Any]:
    values = dataclasses.asdict(node)
    return {
        **values,
        "kind_name": kind_name(verdict, node.kind),
        "change": change_words(node),
        "odd_cells": ", ".join(cell.name for cell in node.odd_cells) or None,
        "environments": ", ".join(node.environments),
        "evidence": evidence_words(node) or None,
    }


def _cells(row: dict[str, Any]) -> str:
    return f"{row['num_beyond']} of {row['num_cells']}" if row["num_cells"] else "-"


def kinds_table(results: Results) -> Table:
    """Return a row per kind of machine and a column per version: nodes, and the time against the kind's first one."""
    return pivot_table(judge_nodes(results.node_runs), notes=results.notes)


def pivot_table(verdict: FleetVerdict, *, notes: Sequence[str] = ()) -> Table:
    """Return kinds by versions as a table."""
    versions = kind_versions(verdict.sources)
    if not versions:
        return Table(title="Kinds of machines", frame=[], columns=(), notes=(NO_NODES, *notes))
    names = list(dict.fromkeys(one.environment for one in versions))
    rows: list[dict[str, Any]] = []
    for kind in verdict.kinds:
        own = {one.environment: one for one in versions if one.kind == kind.kind}
        row: dict[str, Any] = {
            "kind": kind.kind,
            "kind_name": kind_name(verdict, kind.kind),
            "num_nodes": len(kind.nodes),
            "num_odd": None if kind.reason else len(kind.odd),
        }
        for name in names:
            row |= _version_values(name, own.get(name))
        rows.append(row)
    legend = ["nodes that measured the version, and its time over that of the kind's first version, over all cells"]
    if any(one.low is not None for one in versions):
        legend.append("[95%]: over nodes, each compared with itself where it measured both")
    left_out = []
    if len(names) > MAX_VERSIONS:
        left_out.append(f"{len(names) - MAX_VERSIONS} more versions are in CSV and JSON alone")
    return Table(
        title=f"{plural(len(rows), 'kind')} of machines in {plural(len(names), 'version')}",
        frame=rows,
        columns=(
            text_column("kind_name", "kind", priority=Priority.KEY),
            Column(heading="nodes", show=lambda row: f"{row['num_nodes']:,}", numeric=True),
            Column(
                heading="odd",
                show=lambda row: "-" if row["num_odd"] is None else f"{row['num_odd']:,}",
                numeric=True,
                priority=Priority.MAIN,
            ),
            *(_version_column(name) for name in names[:MAX_VERSIONS]),
        ),
        legend=tuple(legend),
        notes=(*left_out, *notes),
    )


def _version_values(name: str, one: KindVersion | None) -> dict[str, Any]:
    if one is None:
        values = dict.fromkeys(_VERSION_KEYS)
    else:
        is_baseline = one.environment == one.baseline
        numbers = (one.num_nodes, one.num_processes, one.ratio, one.low, one.high, is_baseline)
        values = dict(zip(_VERSION_KEYS, numbers, strict=True))
    return {f"{name}: {key}": value for key, value in values.items()}


_VERSION_KEYS = ("num_nodes", "num_processes", "time_ratio", "time_ratio_low", "time_ratio_high", "is_baseline")
"""Of each version, in CSV and JSON."""


def _version_column(name: str) -> Column:
    def show(row: dict[str, Any]) -> str:
        num = row[f"{name}: num_nodes"]
        if num is None:
            return "-"
        nodes = plural(num, "node")
        if row[f"{name}: time_ratio"] is None:
            return f"{nodes}, baseline" if row[f"{name}: is_baseline"] else nodes
        interval = "" if row[f"{name}: time_ratio_low"] is not None else " [no interval]"
        return f"{nodes}, {row_change_text(row, f'{name}: time_ratio')}{interval}"

    return Column(heading=name, show=show, numeric=True, priority=Priority.MAIN)

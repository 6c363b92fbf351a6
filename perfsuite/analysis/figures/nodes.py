"""Nodes of each kind: how far each is from the others, the odd ones named."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.figures.axis import ratio_axis
from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.ratio_marks import drawn_values
from perfsuite.analysis.figures.row_marks import Point, Shape
from perfsuite.analysis.figures.row_panel import MAX_ROWS, Row, drawn_panels, rows_panels
from perfsuite.analysis.figures.style import BETTER, SAME, UNSURE, WORSE
from perfsuite.analysis.frames.labels import span
from perfsuite.analysis.verdicts.node_words import (
    NODE_SYMBOLS,
    change_words,
    evidence_words,
    fleet_notes,
    kind_name,
    kind_sentence,
)
from perfsuite.formatting import counted, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Panel
    from perfsuite.analysis.verdicts.nodes import FleetVerdict, KindVerdict, NodeVerdict, NodeWord

COLORS: dict[NodeWord, str] = {
    "slow": WORSE,
    "fast": BETTER,
    "cells differ": WORSE,
    "open": UNSURE,
    "same": SAME,
    "not judged": SAME,
}

MAX_BINS = 40
"""Of the outline of how many nodes lie where."""

MIN_OUTLINE = 12
"""Nodes that are set together in one row, at the fewest: fewer have a row each."""


def nodes_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the time of every node over that of the others of its kind, a panel per kind; the odd ones first.

    Of more than 24 nodes the odd ones and the farthest others have a row, and one row shows how all others are spread.
    """
    verdict = figure_data.fleet
    judged = [kind for kind in verdict.kinds if not kind.reason]
    if not judged:
        return None
    rows_of = {kind.kind: _rows(kind) for kind in judged}
    every = [row for rows in rows_of.values() for row in rows]
    values = drawn_values(every)
    band = (1 / (1 + verdict.min_effect), 1 + verdict.min_effect)
    panels: list[Panel] = []
    forest: list[Panel] = []
    for kind in judged:
        num_processes = counted(span([node.num_processes for node in kind.nodes]), "process")
        n = f"n = {plural(len(kind.nodes), 'node')}, {num_processes} each"
        axis = ratio_axis("time / time on the others, x", values, 1.5 * verdict.min_effect, n=n, band=band)
        title = f"{kind_name(verdict, kind.kind)}"
        panels += rows_panels(title, "Time over that of the others", rows_of[kind.kind], axis)
        forest += rows_panels(title, "Time over that of the others", rows_of[kind.kind], axis, in_columns=True)
    drawn, not_drawn = drawn_panels(panels)
    drawn_forest, _ = drawn_panels(forest)
    return Drawing(
        kind="nodes",
        title="Time of each node over that of the others of its kind, with 95% intervals",
        finding=_finding(verdict, judged),
        panels=drawn,
        legend=_legend(judged),
        notes=(
            f"grey: within {100 * verdict.min_effect:.3g}%, which does not count",
            *fleet_notes(verdict),
            *not_drawn,
        ),
        forest=drawn_forest,
    )


def _finding(verdict: FleetVerdict, judged: Sequence[KindVerdict]) -> str:
    text = "; ".join(kind_sentence(verdict, kind) for kind in judged)
    return f"{text[:1].upper()}{text[1:]}."


def _legend(judged: Sequence[KindVerdict]) -> tuple[Swatch, ...]:
    words = {node.verdict for kind in judged for node in kind.nodes}
    return tuple(
        Swatch(label=f"{symbol} {word}", color=COLORS[word], look="point")
        for word, symbol in NODE_SYMBOLS.items()
        if word in words and word != "not judged"
    )


def _rows(kind: KindVerdict) -> list[Row]:
    known = [node for node in kind.nodes if node.ratio is not None]
    if len(known) <= MAX_ROWS:
        return [_row(node) for node in known]
    num_odd = len(kind.odd)
    num_named = min(max(num_odd, MAX_ROWS // 2), len(known) - MIN_OUTLINE)
    # Odd ones come first, then those that are not surely the same, each the farthest first.
    named, others = known[:num_named], known[num_named:]
    return [*(_row(node) for node in named), _others_row(others, farther=len(named) - num_odd)]


def _row(node: NodeVerdict) -> Row:
    value = change_words(node)
    why = evidence_words(node)
    tip = f"{node.node}: {node.verdict}, {value}{f'; {why}' if why else ''}"
    point = Point(value=node.ratio or 1.0, color=COLORS[node.verdict], tip=tip, low=node.low, high=node.high)
    return Row(label=f"{NODE_SYMBOLS[node.verdict]} {node.node}", value=value, points=(point,))


def _others_row(nodes: Sequence[NodeVerdict], *, farther: int) -> Row:
    """Return one row for nodes of which none is odd: how they are spread, and their median."""
    ratios = np.array([node.ratio for node in nodes], dtype=float)
    counts, edges = np.histogram(ratios, bins=min(MAX_BINS, math.isqrt(len(ratios)) + 1))
    low, middle, high = (float(value) for value in (ratios.min(), np.median(ratios), ratios.max()))
    tip = f"{plural(len(nodes), 'other node')}: {100 * (low - 1):+.1f}% to {100 * (high - 1):+.1f}%"
    shape = Shape(edges=tuple(map(float, edges)), shares=tuple(map(float, counts / counts.sum())), color=SAME, tip=tip)
    point = Point(value=middle, color=SAME, tip=tip, look="tick")
    label = f"the {len(nodes):,} others" if farther else f"the {len(nodes):,} nodes that are not odd"
    return Row(label=label, value=f"{100 * (low - 1):+.1f}% to {100 * (high - 1):+.1f}%", points=(point,), shape=shape)

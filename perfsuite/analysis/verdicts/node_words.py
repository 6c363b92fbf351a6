"""What is said of a fleet, in words: for tables, figures and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.frames.change_text import percent_change_text, percent_text
from perfsuite.analysis.frames.device_names import short_device_names
from perfsuite.analysis.frames.labels import enumerate_words
from perfsuite.formatting import plural

if TYPE_CHECKING:
    from perfsuite.analysis.verdicts.nodes import FleetVerdict, KindVerdict, NodeVerdict, NodeWord

NODE_SYMBOLS: dict[NodeWord, str] = {
    "slow": "▲",
    "fast": "▼",
    "cells differ": "◆",
    "open": "?",
    "same": "=",
    "not judged": "-",
}
"""Before the word, for eyes that search a long table; the words alone say it too."""

MAX_NAMED = 3
"""Odd nodes and odd cells that a sentence names."""


def change_words(node: NodeVerdict) -> str:
    """Return how much longer a node takes than the others: `+3.9% [+3.6, +4.2]`; a dash where it is not judged."""
    return "-" if node.ratio is None else percent_change_text(node.ratio, node.low, node.high)


def evidence_words(node: NodeVerdict) -> str:
    """Return in which single cells a node is odd, and what distinguishes it; of odd nodes alone."""
    named = [f"{cell.name} {percent_text(cell.ratio)}" for cell in node.odd_cells[:MAX_NAMED]]
    num_more = len(node.odd_cells) - len(named)
    if num_more:
        named.append(plural(num_more, "more cell"))
    cells = ", ".join(named)
    return "; ".join([cells, *node.evidence] if cells else node.evidence)


def kind_name(verdict: FleetVerdict, kind: str) -> str:
    """Return the short name of a kind."""
    return short_device_names({one.kind for one in verdict.kinds}).get(kind, kind)


def kind_sentence(verdict: FleetVerdict, kind: KindVerdict) -> str:
    """Return what is said of the nodes of a kind: `1 of 8 T4 nodes is odd: gpu-17 takes 3.9% longer, power cap`."""
    if kind.reason:
        return kind.reason
    name, num = kind_name(verdict, kind.kind), len(kind.nodes)
    odd = kind.odd
    if not odd:
        num_open = sum(node.verdict == "open" for node in kind.nodes)
        unsure = f"; {num_open} open" if num_open else ""
        return f"no odd node among {plural(num, f'{name} node')}{unsure}"
    named = [_named(node) for node in odd[:MAX_NAMED]]
    if len(odd) > MAX_NAMED:
        named.append(plural(len(odd) - MAX_NAMED, "other"))
    verb = "is" if len(odd) == 1 else "are"
    return f"{len(odd)} of {num:,} {name} nodes {verb} odd: {enumerate_words(named)}"


def _named(node: NodeVerdict) -> str:
    if node.verdict == "cells differ":
        cell = node.odd_cells[0]
        where = f"in {plural(len(node.odd_cells), 'cell')}, {percent_text(cell.ratio)} in {cell.name}"
        return f"{node.node} {where}"
    ratio = node.ratio or 1.0
    way = "longer" if ratio > 1 else "less time"
    why = f" ({node.evidence[0]})" if node.evidence else ""
    return f"{node.node} takes {percent_text(ratio).lstrip('+-')} {way}{why}"


def fleet_notes(verdict: FleetVerdict) -> list[str]:
    """Return what a reader must know of the verdicts on a fleet."""
    found = [kind.reason for kind in verdict.kinds if kind.reason]
    for kind in verdict.kinds:
        if not kind.reason:
            name = f"{kind_name(verdict, kind.kind)}: " if len(verdict.kinds) > 1 else ""
            found += [f"{name}{note}" for note in _notes_of_kind(kind)]
    return found


def _notes_of_kind(kind: KindVerdict) -> list[str]:
    """Return how far nodes of a judged kind scatter, and which odd ones are unexplained."""
    scatter = f"nodes that agree scatter by {100 * (kind.between_sd or 0):.2f}%"
    if kind.within_sd is None:
        scatter += "; one process a node, so how much its processes differ is not known"
    else:
        scatter += f", processes of a node by {100 * kind.within_sd:.2f}%"
    notes = [f"{scatter}; slowdowns of {100 * (kind.detectable or 0):.1f}% or more are reported"]
    unknown = [node.node for node in kind.odd if not node.evidence]
    if unknown:
        notes.append(f"nothing that was recorded distinguishes {enumerate_words(unknown[:MAX_NAMED])}")
    return notes

"""Entries of a legend that several figures have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.figures.panels import Swatch
from perfsuite.analysis.figures.style import INK, MUTED, VERDICT_COLORS, precision_color
from perfsuite.analysis.verdicts.verdict import WORST_FIRST
from perfsuite.analysis.verdicts.verdict_words import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.analysis.figures.panels import Look
    from perfsuite.analysis.verdicts.verdict import Verdict


def precision_swatches(names: Iterable[str], look: Look = "box") -> list[Swatch]:
    """Return what the colours of precisions stand for, each once, in their order."""
    return [Swatch(label=name, color=precision_color(name), look=look) for name in dict.fromkeys(names)]


def verdict_swatches(verdicts: Iterable[Verdict]) -> list[Swatch]:
    """Return what the colours of verdicts stand for, the worst first."""
    shown = set(verdicts)
    return [
        Swatch(label=f"{SYMBOLS[verdict]} {verdict}", color=VERDICT_COLORS[verdict], look="point")
        for verdict in WORST_FIRST
        if verdict in shown
    ]


def sample_swatches(what: str) -> list[Swatch]:
    """Return what the small points of both sides stand for: `a process` of the candidate, and of the baseline."""
    return [
        Swatch(label=f"{what} of the candidate", color=INK, look="process"),
        Swatch(label="of the baseline", color=MUTED, look="process"),
    ]

"""How tables and figures show a verdict, and a change that has an interval or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.verdicts.verdict import WORST_FIRST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.analysis.verdicts.verdict import Verdict

SYMBOLS: dict[Verdict, str] = {
    "failed": "✗",
    "regressed": "▲",
    "improved": "▼",
    "unchanged": "=",
    "inconclusive": "?",
    "missing": "-",
    "new": "+",
    "incomparable": "≠",
}
"""Before the word, for eyes that search a long table; the words alone say it too."""

STYLES: dict[Verdict, str] = {
    "failed": "bold red",
    "regressed": "bold red",
    "improved": "green",
    "unchanged": "",
    "inconclusive": "yellow",
    "missing": "yellow",
    "new": "cyan",
    "incomparable": "magenta",
}


def shown_verdict(row: dict[str, Any]) -> str:
    """Return the verdict of a row."""
    return f"{SYMBOLS[row['verdict']]} {row['verdict']}"


def count_verdicts(verdicts: Iterable[Verdict]) -> dict[Verdict, int]:
    """Return how often each verdict occurs, the worst first; those that do not are left out."""
    found = list(verdicts)
    return {verdict: found.count(verdict) for verdict in WORST_FIRST if verdict in found}


def counts_in_words(verdicts: Iterable[Verdict]) -> str:
    """Return it in words: `1 regressed, 5 unchanged`."""
    return ", ".join(f"{num} {verdict}" for verdict, num in count_verdicts(verdicts).items())

"""Is it the code or the machine? What a history can tell of a change, and what would confirm it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.statistics.change_points import MIN_REFERENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.history.check import CheckedSeries

OF_THE_MACHINE = ("driver", "host", "board", "power limit")
"""Of `PLACES`, what belongs to the machine; the others belong to the code and to what it is run with."""

MACHINE_SHARE = 0.5
"""Of the benchmarks; where at least so many shift by about as much, it is likely the machine."""


def likely_cause(judged: Sequence[CheckedSeries], differences: tuple[str, ...]) -> list[str]:
    """Return whether a change is the machine's or the code's, as far as that can be told, and what would confirm it.

    Args:
        judged: The verdicts on new runs.
        differences: What is another in the newest run than in the last one before, in words.
    """
    moved = [one for one in judged if one.verdict in {"regressed", "improved"}]
    odd = [one for one in judged if one.verdict == "inconclusive" and one.low is not None]
    notes = [f"since the last run before, {', '.join(differences)}"] if differences else []
    if not moved and not odd:
        return notes
    of_machine = [text for text in differences if text.startswith(OF_THE_MACHINE)]
    share = len(moved or odd) / max(sum(one.ratio is not None for one in judged), 1)
    if of_machine and len(of_machine) == len(differences):
        notes.append("only the machine changed, not the code: the machine is the likely cause")
    elif of_machine:
        notes.append("machine and code changed at once: this order cannot separate them; interleave the runs")
    elif share >= MACHINE_SHARE and len(judged) >= MIN_REFERENCE and not differences:
        notes.append(
            f"{share:.0%} of the series moved at once and nothing that is recorded changed: clocks, cooling or other "
            "load are likely; perfsuite doctor looks at them"
        )
    notes.append(
        "to confirm: perfsuite ab --baseline PYTHON --candidate PYTHON, with the environments or checkouts "
        "(--dir-baseline, --dir-candidate) of before and after, interleaved"
    )
    return notes

"""Is it the code or the machine? What a history can tell of a change, and what would confirm it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from perfsuite.analysis.statistics.run_level import MIN_REFERENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.history.check import CheckedSeries

OF_THE_MACHINE = ("driver", "host", "board", "power limit")
"""Of `PLACES`, what belongs to the machine; the others belong to the code and to what it is run with."""

MACHINE_SHARE = 0.5
"""Of the benchmarks; where at least so many shift by about as much, it is likely the machine."""


def likely_cause(judged: Sequence[CheckedSeries], differences: tuple[str, ...]) -> list[str]:
    """Return whether a change is the machine's or the code's, as far as that can be told, and what would confirm it.

    A new level is certain by its third run: what changed with its first run is asked, not what changed with the newest.

    Args:
        judged: The verdicts on new runs.
        differences: What is another in the newest run than in the last one before, in words.
    """
    notes = [f"since the last run before, {', '.join(differences)}"] if differences else []
    moved = [one for one in judged if one.verdict in {"regressed", "improved"}]
    # Without any that moved, those are asked that may have: their interval is known, their verdict is not.
    affected = moved or [one for one in judged if one.verdict == "inconclusive" and one.low is not None]
    if not affected:
        return notes
    since, suspects = _where_most_moved(moved) or (None, differences)
    if since is not None and suspects != differences:
        what = ", ".join(suspects) or "nothing that is recorded changed"
        notes.append(f"with the first run at the new level ({since}), {what}")
    num_with_ratio = sum(one.ratio is not None for one in judged)
    notes += machine_or_code(suspects, share=len(affected) / max(num_with_ratio, 1), num_series=len(judged))
    notes.append(
        "to confirm: perfsuite ab --baseline PYTHON --candidate PYTHON, with the environments or checkouts "
        "(--dir-baseline, --dir-candidate) of before and after, interleaved"
    )
    return notes


def machine_or_code(suspects: Sequence[str], *, share: float, num_series: int) -> list[str]:
    """Return which of the two is likely, in a line, or nothing.

    Args:
        suspects: What is another in the first run at the new level than in the one before, in words.
        share: Of the series, which moved at once.
        num_series: How many there are.
    """
    of_machine = [text for text in suspects if text.startswith(OF_THE_MACHINE)]
    if of_machine and len(of_machine) == len(suspects):
        return ["only the machine changed, not the code: the machine is the likely cause"]
    if of_machine:
        return ["machine and code changed at once: this order cannot separate them; interleave the runs"]
    if share >= MACHINE_SHARE and num_series >= MIN_REFERENCE and not suspects:
        moved = f"{share:.0%} of the series moved at once and nothing that is recorded changed"
        return [f"{moved}: clocks, cooling or other load are likely; perfsuite doctor looks at them"]
    return []


def _where_most_moved(moved: Sequence[CheckedSeries]) -> tuple[str, tuple[str, ...]] | None:
    """Return the first run of the new level of most series that moved, and what changed with it; None for none."""
    found = Counter(
        (one.since, one.change.differences) for one in moved if one.since is not None and one.change is not None
    )
    return found.most_common(1)[0][0] if found else None

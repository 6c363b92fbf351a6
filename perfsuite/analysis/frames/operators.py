"""Which operators of an iteration lose most to memory."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.labels import enumerate_words
from perfsuite.analysis.frames.pooled import first_rows
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.records.workload import PHASES

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results
    from perfsuite.records.operators import OperatorCost

MIN_SHARE = 0.01
"""Of the roofline that a kind of operators takes at least to be named."""

WHOLE_STEP = PHASES[-1]


def kinds_in_words(results: Results) -> list[str]:
    """Return a line for each whole step: how much of its roofline waits for memory, by kind of operator."""
    lines = []
    first = first_rows(results)
    for index, (row, operators) in enumerate(zip(rows_of(results.benchmarks), results.operators, strict=True)):
        roofline_s = row.get("roofline_s")
        if index not in first or not operators or not roofline_s or row["phase"] != WHOLE_STEP:
            continue
        by_kind = lost_by_kind(operators)
        lost = sum(by_kind.values()) / roofline_s
        named = [
            f"{kind} {seconds / roofline_s:.0%}"
            for kind, seconds in by_kind.items()
            if seconds / roofline_s >= MIN_SHARE
        ]
        name = f"{row['model']} {row['precision']}"
        if named:
            lines.append(
                f"{name}: {lost:.0%} of its roofline is memory's: {enumerate_words(named)} (--table operators)"
            )
    return list(dict.fromkeys(lines))


def lost_by_kind(operators: tuple[OperatorCost, ...]) -> dict[str, float]:
    """Return the seconds that memory takes beyond arithmetic by kind of operator, the most first."""
    lost: dict[str, float] = defaultdict(float)
    for one in operators:
        lost[one.kind] += one.lost_s
    return dict(sorted(lost.items(), key=lambda item: item[1], reverse=True))

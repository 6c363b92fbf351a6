"""What gave no result: cells that failed, ran out of memory, were interrupted, skipped or not run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.rows import rows_of

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results

WORST_FIRST = ("failed", "out of memory", "interrupted", "cannot tell", "not run", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmeasured:
    """A benchmark that gave no result.

    Attributes:
        name: The end of pytest's name of it.
        outcome: What became of it: `out of memory`.
        reason: Why.
        file: Label of its file.
    """

    name: str
    outcome: str
    reason: str
    file: str


def unmeasured(results: Results) -> tuple[Unmeasured, ...]:
    """Return what gave no result, the worst first; one that did not in several files is named once for each.

    A benchmark that missed a limit has an outcome as well as a result, and is none of these.
    """
    frame = results.benchmarks
    measured = set() if frame.empty else set(zip(frame["file"], frame["fullname"], strict=True))
    measured |= {(training.file, training.fullname) for training in results.trainings}
    measured |= {(one.file, one.fullname) for one in results.scaling}
    measured_others = {(pair.file, pair.name) for pair in results.pairs}
    measured_others |= {(one.file, one.name) for one in results.numerics}
    found = []
    for row in rows_of(results.outcomes):
        file, nodeid = str(row["file"]), str(row["nodeid"])
        name = nodeid.rsplit("::", 1)[-1]
        if (file, nodeid) in measured or (file, name) in measured_others:
            continue
        outcome = str(row["outcome"]).replace("_", " ")
        found.append(Unmeasured(name=name, outcome=outcome, reason=str(row["reason"]), file=file))
    return tuple(sorted(found, key=lambda one: WORST_FIRST.index(one.outcome)))

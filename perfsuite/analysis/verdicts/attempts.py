"""What became of a benchmark on either side where not every process measured it, and the verdict on that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.analysis.verdicts.verdict import Verdict
    from perfsuite.records.outcome import Outcome, OutcomeKind

FAILURES: tuple[OutcomeKind, ...] = ("failed", "out_of_memory", "interrupted")
"""Outcomes of a benchmark that was begun and gave no result; one that was skipped or not run never began.

`interrupted` is also what is recorded of a benchmark whose process was killed or crashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What became of a benchmark on one side.

    Attributes:
        side: `baseline` or `candidate`.
        num_measured: Processes (of a full training: trainings) that gave a result.
        outcomes: Of those that recorded why they gave none.
        num_cut_short: Processes that ended early and recorded no outcome for it.
        unit: What is counted.
    """

    side: str
    num_measured: int = 0
    outcomes: tuple[Outcome, ...] = ()
    num_cut_short: int = 0
    unit: str = "process"

    @property
    def num_failed(self) -> int:
        """How many failed."""
        return len(self.of_kinds(FAILURES))

    @property
    def failed_ratio(self) -> float:
        """Share of those that began it which failed; 0 where none began it."""
        return self.num_failed / max(self.num_measured + self.num_failed, 1)

    def of_kinds(self, kinds: Iterable[OutcomeKind]) -> list[Outcome]:
        """Return the outcomes of some kinds."""
        return [outcome for outcome in self.outcomes if outcome.outcome in kinds]

    def in_words(self, outcomes: Sequence[Outcome]) -> str:
        """Return how often each kind occurred, with its first reason: `out of memory in 1 of 5 processes ...`."""
        total = self.num_measured + len(self.outcomes)
        units = {"process": "processes"}.get(self.unit, f"{self.unit}s")
        parts = []
        for kind in dict.fromkeys(outcome.outcome for outcome in outcomes):
            reasons = [outcome.reason for outcome in outcomes if outcome.outcome == kind]
            where = f"the {self.side}" if total == 1 else f"{len(reasons)} of {total} {units} of the {self.side}"
            parts.append(f"{kind.replace('_', ' ')} in {where}: {reasons[0]}")
        return "; ".join(parts)

    @property
    def failures_in_words(self) -> str:
        """How often it failed, and why."""
        return self.in_words(self.of_kinds(FAILURES))

    @property
    def why_absent(self) -> str:
        """Why this side has no result, as far as that was recorded."""
        if self.outcomes:
            return self.in_words(self.outcomes)
        cut_short = f" ({self.num_cut_short} of them cut short)" if self.num_cut_short else ""
        return f"no {self.side} file has it{cut_short}"


def fails_more(old: Attempts, new: Attempts) -> bool:
    """Whether it fails in a larger share of the candidate's processes than of the baseline's: no noise explains it."""
    return new.failed_ratio > old.failed_ratio


def verdict_without_times(old: Attempts, new: Attempts) -> tuple[Verdict, str]:
    """Return the verdict, with its reason, where there are no times of both sides to compare."""
    if fails_more(old, new):
        return "failed", _failures(new, old)
    if new.num_failed:
        return "inconclusive", f"failed on both sides: {_failures(new, old)}"
    if new.of_kinds(["cannot_tell"]):
        return "inconclusive", new.why_absent
    if not new.num_measured:
        return "missing", new.why_absent
    return "new", old.why_absent


def with_failures(verdict: Verdict, reason: str, old: Attempts, new: Attempts) -> tuple[Verdict, str]:
    """Return the verdict on what was measured, changed to `failed` where it fails more often in the candidate."""
    if fails_more(old, new):
        return "failed", f"{_failures(new, old)}; where measured: {reason}"
    return verdict, f"{reason}; {_failures(new, old)}" if old.num_failed else reason


def _failures(*sides: Attempts) -> str:
    return "; ".join(side.failures_in_words for side in sides if side.num_failed)

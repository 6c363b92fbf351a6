"""The search itself: pure decisions about measured values. It is given the same values, it takes the same way.

So a bisection resumes by being run again: what is measured is read instead, and nothing else has to be kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from perfsuite.analysis.statistics.sequential import (
    MIN_BLOCKS,
    MIN_PAIRS,
    Change,
    Scatter,
    change_of,
    decide_level,
    expected_blocks,
    is_reversed,
    may_stop,
    scatter_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfsuite.campaign.bisect.revisions import Revision, Suspects, Verdict

    Turns = tuple[tuple[str, Revision], ...]
    """Role and revision of each process of a block, in the order in which they run."""

NUM_CONFIRMING = 6
"""Fewest processes of the commit that was found and of its parent: its change is what a reader takes away."""

MAX_UNDECIDED = 3
"""Revisions that could not be decided, after which the search ends: each has cost all processes that it may cost."""

MIN_REST_RATIO = 0.2
"""Of the whole change. If more than that is elsewhere, it is worth another search."""

MAX_FROM_MIDDLE = 0.25
"""Of the whole change: a revision at 25 to 75% of it has a level of its own."""

Ending = Literal["found", "not_confirmed", "only_skipped", "undecided", "no_difference", "not_established"]


class NotMeasurableError(Exception):
    """A revision gives no value; the message is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One process of each of two or three revisions, run directly after one another.

    Attributes:
        stage: What it is for; names its files.
        heading: The same for people.
        number: Of the block in its stage, from 1.
        turns: Role and revision of each process, in the order in which they run.
        num_left: About how many processes are left, those of this block included.
        num_most: Where `num_left` is only the fewest that are possible: how many there may be at most; else None.
    """

    stage: str
    heading: str
    number: int
    turns: Turns
    num_left: int
    num_most: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """When the search decides.

    Attributes:
        alpha: Chance that a wrong revision is found, over all steps.
        min_effect: Logarithm of the smallest change that matters.
        max_processes: Of a revision in one comparison.
    """

    alpha: float
    min_effect: float
    max_processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A revision that was measured.

    Attributes:
        revision: It.
        verdict: `good`, `bad` or `skip`.
        reason: Why it was skipped, or what else is to be known; None: nothing.
        position: 0: as fast as the good one; 1: as the bad one; None: not measured.
        num_blocks: How many blocks it took.
        is_undecided: Whether it was skipped because all processes did not decide.
    """

    revision: Revision
    verdict: Verdict
    reason: str | None
    position: float | None
    num_blocks: int
    is_undecided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutcome:
    """How a search ended.

    Attributes:
        ending: In a word.
        total: Of the bad revision against the good one.
        steps: In their order.
        left: The revisions of which one made the change; none where there is nothing to be found.
        parent: What the only one that is left was compared with.
        change: Of that against its parent.
        rest: Where more than a fifth of the whole change remains: `before` the parent or `after` the revision.
        between: Where what was found was not confirmed, a revision that is neither as good nor as bad: there is more
            than one change.
        reason: Why what was found could not be compared with its parent.
    """

    ending: Ending
    total: Change
    steps: tuple[Step, ...] = ()
    left: tuple[Revision, ...] = ()
    parent: Revision | None = None
    change: Change | None = None
    rest: Literal["before", "after"] | None = None
    between: Revision | None = None
    reason: str | None = None


@dataclass(slots=True)
class _Known:
    """What was measured so far.

    Attributes:
        differences: Bad less good, of every block that has both.
        offsets: Of each step the revision less the middle of both.
    """

    differences: list[float] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)

    def total(self, alpha: float) -> Change:
        return change_of(self.differences, alpha)

    def scatter(self) -> Scatter:
        return scatter_of(self.differences, self.offsets)


class Search:
    """A bisection on its way.

    Args:
        suspects: What is bisected.
        measure: Runs a block and returns the logarithm of each role's value; raises `NotMeasurableError` for a revision
            on trial, and whatever ends the search for one that must be measurable.
        terms: When it decides.
        tell: Called with a line on the progress.
    """

    def __init__(
        self,
        suspects: Suspects,
        measure: Callable[[Block], Mapping[str, float]],
        terms: Terms,
        tell: Callable[[str], None],
    ) -> None:
        self._suspects = suspects
        self._measure = measure
        self._terms = terms
        self._tell = tell
        self._known = _Known()
        self._steps: list[Step] = []
        self._error_left = terms.alpha

    def run(self) -> SearchOutcome:
        """Search to the end."""
        total = self._establish()
        if not total.is_established:
            return SearchOutcome(ending="no_difference" if self._is_within(total) else "not_established", total=total)
        self._tell(self._established_in_words(total))
        while (revision := self._suspects.next()) is not None:
            step = self._try(revision)
            self._suspects.mark(revision, step.verdict)
            self._steps.append(step)
            self._tell(step_in_words(step, len(self._steps)))
            if sum(one.is_undecided for one in self._steps) >= MAX_UNDECIDED:
                return self._outcome("undecided")
        if self._suspects.num_left() > 1:
            return self._outcome("only_skipped")
        return self._confirm()

    def num_steps_left(self) -> int:
        """Return about how many revisions are still to be measured: each halves those that are left."""
        return max(0, math.ceil(math.log2(max(1, self._suspects.num_left()))))

    def _is_within(self, total: Change) -> bool:
        return -self._terms.min_effect < total.low and total.high < self._terms.min_effect

    def _establish(self) -> Change:
        """Compare bad with good until their difference is established, is none that matters, or is not to be had."""
        after, most = 3 * MIN_BLOCKS * self.num_steps_left() + 2 * NUM_CONFIRMING, self._terms.max_processes
        for number in range(1, most + 1):
            turns = (("good", self._suspects.good), ("bad", self._suspects.bad))
            found = self._measure(
                Block(
                    stage="ends",
                    heading="good against bad",
                    number=number,
                    turns=_in_order(turns, number),
                    num_left=2 * max(1, MIN_PAIRS - number + 1) + after,
                    num_most=2 * (most - number + 1) + (3 * self.num_steps_left() + 2) * most,
                )
            )
            self._known.differences.append(found["bad"] - found["good"])
            total = self._known.total(self._terms.alpha)
            if may_stop(number, MIN_PAIRS) and (total.is_established or self._is_within(total)):
                break
        return total

    def _try(self, revision: Revision) -> Step:
        """Compare a revision with good and bad until it is decided which of them it is like."""
        steps_left = self.num_steps_left()
        error = self._error_left / (steps_left + 1)
        offsets: list[float] = []
        self._known.offsets.append(offsets)
        turns = (("good", self._suspects.good), ("trial", revision), ("bad", self._suspects.bad))
        for number in range(1, self._terms.max_processes + 1):
            expected = self._expected_blocks(error)
            block = Block(
                stage=revision.key,
                heading=f"step {len(self._steps) + 1} of about {len(self._steps) + steps_left}",
                number=number,
                turns=_in_order(turns, number),
                num_left=3 * max(1, expected - number + 1) + self._num_after_this_step(expected),
                num_most=None,
            )
            try:
                found = self._measure(block)
            except NotMeasurableError as error_found:
                return Step(
                    revision=revision, verdict="skip", reason=str(error_found), position=None, num_blocks=number - 1
                )
            self._known.differences.append(found["bad"] - found["good"])
            sign = math.copysign(1.0, self._known.total(self._terms.alpha).log_ratio)
            offsets.append(sign * (found["trial"] - (found["good"] + found["bad"]) / 2))
            total = self._known.total(self._terms.alpha)
            level = decide_level(offsets, total.nearer_end, self._known.scatter(), error)
            position = 0.5 + sum(offsets) / number / abs(total.log_ratio)
            if level is not None:
                self._error_left -= error
                # A level of its own counts as bad, on whichever side of the middle it seems to be: by side, commits of
                # one level would be called good and bad by chance, and a change found where none is.
                verdict: Verdict = "good" if level == "low" else "bad"
                reason = f"between good and bad, at {position:.0%} of the change" if level == "between" else None
                return Step(revision=revision, verdict=verdict, reason=reason, position=position, num_blocks=number)
        return Step(
            revision=revision,
            verdict="skip",
            reason=f"cannot tell after {self._terms.max_processes} processes, at {position:.0%} of the change",
            position=position,
            num_blocks=self._terms.max_processes,
            is_undecided=True,
        )

    def _confirm(self) -> SearchOutcome:
        """Compare what was found with its parent in fresh processes."""
        (culprit,) = self._suspects.left()
        parent = self._suspects.parent_of(culprit)
        differences: list[float] = []
        turns = (("parent", parent), ("found", culprit))
        most = max(self._terms.max_processes, NUM_CONFIRMING)
        for number in range(1, most + 1):
            block = Block(
                stage=f"confirm-{culprit.key}",
                heading="against its parent",
                number=number,
                turns=_in_order(turns, number),
                num_left=2 * max(1, NUM_CONFIRMING - number + 1),
                num_most=2 * (most - number + 1),
            )
            try:
                found = self._measure(block)
            except NotMeasurableError as error:
                return self._outcome("not_confirmed", parent=parent, reason=str(error))
            differences.append(found["found"] - found["parent"])
            change = change_of(differences, self._terms.alpha)
            if may_stop(number, NUM_CONFIRMING) and change.is_established:
                break
        total = self._known.total(self._terms.alpha)
        share = change.log_ratio / total.log_ratio
        is_alike = change.is_established and share >= MIN_REST_RATIO
        return self._outcome(
            "found" if is_alike else "not_confirmed",
            parent=parent,
            change=change,
            rest=self._rest(total, change, parent, culprit) if is_alike else None,
            between=None if is_alike else self._between(),
        )

    def _between(self) -> Revision | None:
        """Return the measured revision whose level is closest to the middle of good and bad, where one is near it."""
        near = [(abs(step.position - 0.5), step.revision) for step in self._steps if step.position is not None]
        distance, revision = min(near, key=lambda one: one[0], default=(math.inf, None))
        return revision if distance < MAX_FROM_MIDDLE else None

    def _rest(
        self, total: Change, change: Change, parent: Revision, culprit: Revision
    ) -> Literal["before", "after"] | None:
        """Return on which side of what was found more of the whole change is, where there is more."""
        rest = abs(total.log_ratio) - abs(change.log_ratio)
        half = math.hypot(total.high - total.log_ratio, change.high - change.log_ratio)
        if rest <= max(half, MIN_REST_RATIO * abs(total.log_ratio)):
            return None
        positions = {step.revision.name: step.position for step in self._steps if step.position is not None}
        positions |= {self._suspects.good.name: 0.0, self._suspects.bad.name: 1.0}
        before, after = positions.get(parent.name, 0.0), 1 - positions.get(culprit.name, 1.0)
        return "before" if before > after else "after"

    def _outcome(
        self,
        ending: Ending,
        *,
        parent: Revision | None = None,
        change: Change | None = None,
        rest: Literal["before", "after"] | None = None,
        between: Revision | None = None,
        reason: str | None = None,
    ) -> SearchOutcome:
        return SearchOutcome(
            ending=ending,
            total=self._known.total(self._terms.alpha),
            steps=tuple(self._steps),
            left=self._suspects.left(),
            parent=parent,
            change=change,
            rest=rest,
            between=between,
            reason=reason,
        )

    def _expected_blocks(self, error: float) -> int:
        total = self._known.total(self._terms.alpha)
        distance = max(total.nearer_end, abs(total.log_ratio) / 10)
        blocks = expected_blocks(distance, total.log_ratio, self._known.scatter(), error)
        return min(self._terms.max_processes, math.ceil(blocks))

    def _num_after_this_step(self, blocks_per_step: int) -> int:
        return 3 * blocks_per_step * max(0, self.num_steps_left() - 1) + 2 * NUM_CONFIRMING

    def _established_in_words(self, total: Change) -> str:
        steps = self.num_steps_left()
        expected = self._expected_blocks(self._error_left / (steps + 1))
        return (
            f"bad against good: {change_in_words(total, higher='higher', lower='lower')}, {total.num} processes each; "
            f"about {steps} steps of {3 * expected} processes (at most {3 * self._terms.max_processes}), then "
            f"{2 * NUM_CONFIRMING} or more"
        )


def _in_order(turns: Turns, number: int) -> Turns:
    """Return the turns of a block as they are run: a drift of the machine hits all alike over several blocks."""
    return turns[::-1] if is_reversed(number - 1) else turns


def step_in_words(step: Step, number: int) -> str:
    """Return what a step found, in a line."""
    words = {"good": "like good", "bad": "like bad", "skip": "skipped"}[step.verdict]
    position = "" if step.position is None or step.reason else f", {step.position:.0%} of the change"
    reason = "" if step.reason is None else f": {step.reason}"
    return f"step {number}: {step.revision.key} {words}{position}{reason}  ({step.revision.subject[:50]})"


def change_in_words(change: Change, *, higher: str = "slower", lower: str = "faster") -> str:
    """Return a change with its interval: `10.2% [9.1, 11.3] slower`, or `+0.3% [-0.4, +1.0]` where zero is inside."""
    value, low, high = (100 * math.expm1(part) for part in (change.log_ratio, change.low, change.high))
    if not math.isfinite(low) or not math.isfinite(high):
        return f"{value:+.1f}% (too few processes for an interval)"
    if not change.excludes_zero:
        return f"{value:+.1f}% [{low:+.1f}, {high:+.1f}]"
    near, far = sorted((abs(low), abs(high)))
    return f"{abs(value):.1f}% [{near:.1f}, {far:.1f}] {higher if value > 0 else lower}"

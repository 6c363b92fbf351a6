"""What is bisected, whether commits or environments: revisions, and the choice of the next one to be measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

Verdict = Literal["good", "bad", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A commit or an environment.

    Attributes:
        name: The whole commit id, or the path of the environment as it was given.
        key: Names its files: of letters, digits and dashes, different for every revision of a bisection.
        subject: First line of the commit's message, or the versions in the environment.
        date: The author's date as git writes it in ISO form; None for an environment.
    """

    name: str
    key: str
    subject: str
    date: str | None = None


class Suspects(Protocol):
    """Revisions between a good and a bad one, narrowed down by what is known of some of them."""

    good: Revision
    bad: Revision

    def next(self) -> Revision | None:
        """Return the revision to be measured next; None where only one is left, or only skipped ones are."""

    def mark(self, revision: Revision, verdict: Verdict) -> None:
        """Take down what a revision is."""

    def left(self) -> tuple[Revision, ...]:
        """Return the revisions of which one made the change, the oldest first."""

    def num_left(self) -> int:
        """Return how many these are."""

    def parent_of(self, revision: Revision) -> Revision:
        """Return what a revision is compared with in the end."""


class OrderedList:
    """Suspects in one line: environments in the order in which they were given."""

    def __init__(self, revisions: Sequence[Revision]) -> None:
        self._revisions = tuple(revisions)
        self._low, self._high = 0, len(self._revisions) - 1
        self._skipped: set[str] = set()
        self.good, self.bad = self._revisions[0], self._revisions[-1]

    def next(self) -> Revision | None:
        """Return the revision closest to the middle that was not skipped."""
        middle = (self._low + self._high) / 2
        inside = [index for index in range(self._low + 1, self._high) if self._name(index) not in self._skipped]
        return self._revisions[min(inside, key=lambda index: abs(index - middle))] if inside else None

    def mark(self, revision: Revision, verdict: Verdict) -> None:
        """Take down what a revision is."""
        index = self._revisions.index(revision)
        if verdict == "good":
            self._low = index
        elif verdict == "bad":
            self._high = index
        else:
            self._skipped.add(revision.name)

    def left(self) -> tuple[Revision, ...]:
        """Return the revisions after the last good one, up to the first bad one."""
        return self._revisions[self._low + 1 : self._high + 1]

    def num_left(self) -> int:
        """Return how many these are."""
        return self._high - self._low

    def parent_of(self, revision: Revision) -> Revision:
        """Return the revision before it."""
        return self._revisions[self._revisions.index(revision) - 1]

    def _name(self, index: int) -> str:
        return self._revisions[index].name

"""The verdicts on a benchmark, and which of them end a command with status 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Verdict = Literal["failed", "regressed", "incomparable", "missing", "inconclusive", "improved", "new", "unchanged"]

WORST_FIRST: tuple[Verdict, ...] = (
    "failed",
    "regressed",
    "incomparable",
    "missing",
    "inconclusive",
    "improved",
    "new",
    "unchanged",
)
"""A benchmark's verdict is the first of these that one of its metrics has."""

JUDGED: frozenset[Verdict] = frozenset({"regressed", "improved", "unchanged"})
"""Verdicts that say something about the code."""

PASSING: frozenset[Verdict] = frozenset({"improved", "unchanged", "new"})

FAIL_ON = ("regressed", "failed", "missing", "unjudged", "incomparable", "inconclusive", "never")
"""What `--fail-on` may list: verdicts; `regressed`: `failed` as well; `unjudged`: no benchmark could be judged;
`inconclusive`: anything but improved, unchanged or new."""


def failing_verdicts(fail_on: Sequence[str]) -> set[Verdict]:
    """Return the verdicts that end a command with status 1.

    Args:
        fail_on: Of `FAIL_ON`.
    """
    if "never" in fail_on:
        return set()
    if "inconclusive" in fail_on:
        return set(WORST_FIRST) - PASSING
    failing: set[Verdict] = {name for name in WORST_FIRST if name in fail_on}
    if "regressed" in failing:
        failing.add("failed")  # it may have regressed as well where it was measured
    return failing

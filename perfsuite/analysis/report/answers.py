"""One answer of the first screen."""

from __future__ import annotations

from dataclasses import dataclass

MAX_NAMED = 4
"""Of what an answer lists, where the page has all of it further below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer of the first screen.

    Attributes:
        question: What it answers.
        lead: The answer in a few words.
        lines: What belongs to it.
        tone: `plain`, `good`, `bad` or `unsure`, for a colour that only repeats what the words say.
        target: Where in the page more of it stands, or None.
    """

    question: str
    lead: str
    lines: tuple[str, ...]
    tone: str = "plain"
    target: str | None = None


def first_lines(lines: list[str], num: int = MAX_NAMED + 2) -> list[str]:
    """Return the first lines, and how many more there are."""
    return lines if len(lines) <= num else [*lines[:num], f"and {len(lines) - num} more"]

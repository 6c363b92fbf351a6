"""One answer of the first screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_NAMED = 4
"""Of what an answer lists, where the page has all of it further below."""

MAX_ROWS = 6
"""Of a small table."""


MAX_NARROW = 38
"""Characters of all columns together that a phone of 390 px shows in the small size."""


MAX_NARROW_COLUMNS = 4
"""Columns that fit next to another answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallTable:
    """A few rows of an answer; the first column names, the others are numbers.

    Attributes:
        heads: Above the columns.
        rows: As many texts each.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def is_wide(self) -> bool:
        """Whether its columns do not fit side by side on a phone: there its cells are listed below the name."""
        return sum(max(map(len, column)) for column in zip(self.heads, *self.rows, strict=True)) > MAX_NARROW


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer of the first screen.

    Attributes:
        question: What it answers.
        lead: The answer in a few words.
        context: About what it is, in a line; empty where that goes without saying.
        tables: The numbers behind it.
        lines: What else belongs to it.
        action: What to do next, in words; empty where nothing is.
        command: The command for it; empty where there is none.
        tone: `plain`, `good`, `bad` or `unsure`, for a colour that only repeats what the words say.
        target: Where in the page more of it stands, or None.
    """

    question: str
    lead: str
    context: str = ""
    tables: tuple[SmallTable, ...] = ()
    lines: tuple[str, ...] = ()
    action: str = ""
    command: str = ""
    tone: str = "plain"
    target: str | None = None

    @property
    def is_wide(self) -> bool:
        """Whether it needs the whole width on a large screen too."""
        return any(len(table.heads) > MAX_NARROW_COLUMNS for table in self.tables)


def first_lines(lines: list[str], num: int = MAX_NAMED + 2) -> list[str]:
    """Return the first lines, and how many more there are."""
    return lines if len(lines) <= num else [*lines[:num], f"and {len(lines) - num} more"]


def small_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, most: int = MAX_ROWS
) -> tuple[tuple[SmallTable, ...], tuple[str, ...]]:
    """Return the first rows as a table without empty columns, and a line that says how many more there are.

    Args:
        heads: Above the columns.
        rows: All of them.
        most: How many are shown.
    """
    shown = rows[:most]
    if not shown:
        return (), ()
    kept = [index for index in range(len(heads)) if any(row[index] for row in shown)]
    table = SmallTable(
        heads=tuple(heads[index] for index in kept), rows=tuple(tuple(row[index] for index in kept) for row in shown)
    )
    return (table,), (f"and {len(rows) - most:,} more",) if len(rows) > most else ()


def sentence(parts: Iterable[str]) -> str:
    """Return parts as a line with a capital letter and a full stop."""
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""

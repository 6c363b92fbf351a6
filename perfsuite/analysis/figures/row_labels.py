"""Labels of rows: set in lines that fit the width of a panel, and never two alike."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.panels import fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_LINE = 49
"""Letters of a label and its number together, in the width of a panel."""

MAX_VALUE = 36
"""Letters of a number in words; what is longer is shortened, so that its label has room next to it."""

MAX_LINES = 3
"""A label that needs more is shortened in its middle."""

_PIECES = re.compile(r"[^_\-:/\[\],.=]*[_\-:/\[\],.=]*")
"""Where a word that is longer than a line may go on in the next one."""


def label_lines(label: str, first_room: int, room: int = FIRST_LINE) -> tuple[str, ...]:
    """Return a label in at most `MAX_LINES` lines; what is longer is shortened in its middle.

    Args:
        label: In one line.
        first_room: How many letters the first line holds.
        room: How many letters every other line holds.
    """
    for most in range(first_room + (MAX_LINES - 1) * room, 0, -BREAK_LOSS):
        lines = _filled_lines(fitted(label, most), first_room, room)
        if len(lines) <= MAX_LINES:
            break
    return lines


BREAK_LOSS = 8
"""A label that takes too many lines is tried again with so many letters fewer."""


def _filled_lines(label: str, first_room: int, room: int) -> tuple[str, ...]:
    lines = [""]
    for word in _words(label):
        if len(f"{lines[-1]}{word}".strip()) <= (first_room if len(lines) == 1 else room):
            lines[-1] += word
        else:
            lines.append(word)
    return tuple(line.strip() for line in lines if line.strip()) or ("",)


def _words(label: str) -> list[str]:
    """Return the words of a label, each with the blank after it; one longer than a line in pieces."""
    words = []
    for word in re.findall(r"\S+\s*|\s+", label):
        pieces = [word] if len(word.strip()) <= FIRST_LINE // 2 else [part for part in _PIECES.findall(word) if part]
        for piece in pieces:
            words += [piece[start : start + FIRST_LINE // 2] for start in range(0, len(piece), FIRST_LINE // 2)]
    return words


def group_and_label(network: str, place: str, precision: str = "") -> tuple[str, str]:
    """Return the group and the label of a row: with several places a group is a network, its rows are places."""
    if place:
        return network, " ".join(part for part in (place, precision) if part)
    return "", " ".join(part for part in (network, precision) if part)


def distinct_labels(labels: Sequence[tuple[str, str]]) -> list[str]:
    """Return labels by group; where shortening would make two of a group alike, each is numbered."""
    longest = FIRST_LINE * (MAX_LINES - 1)
    short = [(group, fitted(label, longest)) for group, label in labels]
    counts = Counter(short)
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for key in short:
        seen[key] += 1
        found.append(key[1] if counts[key] == 1 else f"#{seen[key]} {key[1]}")
    return found


def without_common_beginning(names: Sequence[str]) -> tuple[list[str], str]:
    """Return names without what all of them begin with, and what that is; whole words are left out only.

    With an opening bracket of parameters, `test_train[`, the closing one goes too. A name is never left empty, and a
    single one stays as it is.
    """
    if len(set(names)) < 2:  # noqa: PLR2004 - one name has nothing in common with another
        return list(names), ""
    first, last = min(names), max(names)  # in the order of letters: what they share, all names share
    num_shared = 0
    while first[num_shared : num_shared + 1] == last[num_shared : num_shared + 1] != "":
        num_shared += 1
    common = first[:num_shared]
    shortest = min(map(len, names))
    while common and (common[-1] not in "_-:/[. " or len(common) == shortest):
        common = common[:-1]
    short = [name[len(common) :] for name in names]
    if common.endswith("[") and all(len(name) > 1 and name.endswith("]") for name in short):
        short = [name[:-1] for name in short]
    return short, common

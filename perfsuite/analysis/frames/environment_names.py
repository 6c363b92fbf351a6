"""Environments, GPUs and machines as users name them: by a part of a name that no other has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.errors import InvalidChoiceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_SHOWN_CHARACTERS = 100


def choose_by_part(option: str, text: str, names: Mapping[str, Sequence[str]], *, kind: str = "environment") -> str:
    """Return the label that a user means, whatever the case of the letters.

    A whole name wins over a part of one: `A100` is not ambiguous where there is an `A100` and an `A100 80GB`.

    Args:
        option: The option, for the message.
        text: What the user wrote.
        names: Other names of each label, by label.
        kind: What they are, in the singular, for the message.

    Raises:
        InvalidChoiceError: No name has that part, or those of several labels do; the message lists the labels.
    """
    found = _labels_with(text.strip().casefold(), names)
    if len(found) == 1:
        return found[0]
    shown = text.strip()[:MAX_SHOWN_CHARACTERS]
    if found:
        raise InvalidChoiceError(
            f"{option}: {shown!r} is part of several names: {', '.join(found)}; write more of the one that is meant"
        )
    listed = ", ".join(names) or "none"
    raise InvalidChoiceError(f"{option}: unknown {kind} {shown!r}; in these files: {listed}")


def _labels_with(wanted: str, names: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the labels one of whose names is the wanted one; where there are none, those with a part of it."""
    if not wanted:
        return []
    whole, parts = [], []
    for label, others in names.items():
        own = {name.casefold() for name in (label, *others)}
        if wanted in own:
            whole.append(label)
        if any(wanted in name for name in own):
            parts.append(label)
    return whole or parts

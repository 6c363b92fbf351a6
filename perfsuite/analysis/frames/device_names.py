"""Short names of GPUs and CPUs for tables and figures: as short as they can be without being mistaken for another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MAKERS = re.compile(r"\b(?:NVIDIA|GeForce|Tesla|AMD|Instinct|Radeon(?=\s(?:RX|PRO|VII))|Intel)\b[\s-]*", re.IGNORECASE)
"""Words that the rest of a name implies. `Quadro`, `Apple` and `Laptop` stay: `RTX 4000`, `M3` and `RTX 4090` without
them would be other devices."""

_TRADE_MARKS = re.compile(r"\((?:R|TM|C)\)|[®™]", re.IGNORECASE)

_FILLING = re.compile(
    r"""
      \b\d{1,2}(?:st|nd|rd|th)\sGen\s+                                   # 12th Gen Intel Core i9
    | \s+with\sRadeon\b.*                                               # Ryzen 5 7430U with Radeon Graphics
    | \s+(?:\d{1,4}|Dual|Quad|Six|Eight|Twelve|Sixteen)-Cores?\b         # EPYC 7763 64-Core Processor
    | \s+(?:Processor|CPU|Graphics|Generation|GPU)(?=\s|$|@)             # Xeon Processor @ 2.60GHz
    """,
    re.IGNORECASE | re.VERBOSE,
)

_CLOCK = re.compile(r"\s*@?\s*(\d{1,2}(?:\.\d{1,3})?\s?GHz)\b", re.IGNORECASE)
_MEMORY = re.compile(r"[\s-]+(\d{1,4}\s?G(?:i?B))(?=[\s-]|$)", re.IGNORECASE)
_FORM = re.compile(r"[\s-]+(SXM\d?|PCI-?E(?:\sGen\s?\d)?|NVL|HBM\d?[a-z]?|FHHL|DGXS)(?=[\s-]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a name is made of.

    Attributes:
        full: The whole of it.
        stripped: Without makers, trade marks and filling words.
        model: Of that, what is neither memory nor form nor clock.
        memory: `40GB`, or empty.
        form: `SXM4`, `PCIe`, or empty.
        clock: `2.60GHz`, or empty.
    """

    full: str
    stripped: str
    model: str
    memory: str
    form: str
    clock: str

    def joined(self, *parts: str) -> str:
        """Return the model with those parts behind it."""
        return " ".join(part for part in (self.model, *parts) if part)


_FORMS: tuple[Callable[[_Parts], str], ...] = (
    lambda name: name.model,
    lambda name: name.joined(name.memory, name.clock),
    lambda name: name.joined(name.form),
    lambda name: name.joined(name.form, name.memory, name.clock),
    lambda name: name.stripped,
    lambda name: name.full,
)
"""What a name is shortened to, the shortest first."""

_STRIPPED = len(_FORMS) - 2
"""Up to here devices of one model are named alike."""


def short_device_names(names: Iterable[str]) -> dict[str, str]:
    """Return a short name for every device, never one for two of them: `Tesla T4` is `T4`.

    Memory, form and clock are shown where devices of one model differ in them, in all of these alike: `A100 40GB` and
    `A100 80GB`, but `A100` where it is the only one. What is as short as its name, or unknown, stays as it is.

    Args:
        names: Of all devices that are shown together, as torch or the operating system gives them; repeated ones count
            once.

    Returns:
        The short name by the name, printable, in the order of the names.
    """
    parts = {name: _parts(name) for name in dict.fromkeys(names)}
    groups: dict[str, list[str]] = {}
    for name, part in parts.items():
        groups.setdefault(part.model.casefold(), []).append(name)
    forms = dict.fromkeys(parts, 0)
    while True:
        short = {name: _FORMS[form](parts[name]) for name, form in forms.items()}
        shared = _shared(short.values())
        longer = [name for group in groups.values() for name in _too_short(group, short, shared, forms)]
        if not longer:
            return _numbered(short)
        for name in longer:
            forms[name] += 1


def _too_short(group: list[str], short: dict[str, str], shared: set[str], forms: dict[str, int]) -> list[str]:
    """Return the devices of a model that need more of their names.

    All of them alike, but the whole name only those that nothing less distinguishes.
    """
    confused = [name for name in group if short[name].casefold() in shared and forms[name] < len(_FORMS) - 1]
    if not confused:
        return []
    return [name for name in group if forms[name] < _STRIPPED or name in confused]


def _parts(name: str) -> _Parts:
    full = " ".join(printable(name).split()) or "unknown device"
    stripped = " ".join(_FILLING.sub("", _MAKERS.sub("", _TRADE_MARKS.sub("", full))).split()) or full
    model, clock = _taken(_CLOCK, stripped)
    if clock and not re.search(r"\d", model):  # `Xeon` says too little: the clock is all that tells which
        model, clock = " ".join(part for part in (model, clock) if part), ""
    model, memory = _taken(_MEMORY, model)
    model, form = _taken(_FORM, model)
    return _Parts(full=full, stripped=stripped, model=model or stripped, memory=memory, form=form, clock=clock)


def _taken(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    """Return a text without what a pattern finds, and that."""
    found = " ".join(match[1] for match in pattern.finditer(text))
    return " ".join(pattern.sub(" ", text).split()), found


def _shared(names: Iterable[str]) -> set[str]:
    """Return what several devices would be called, whatever the case of its letters."""
    seen: set[str] = set()
    shared: set[str] = set()
    for name in names:
        folded = name.casefold()
        (shared if folded in seen else seen).add(folded)
    return shared


def _numbered(short: dict[str, str]) -> dict[str, str]:
    """Number names that are the same even in full: they differ in what cannot be printed, in spaces or in case."""
    shared = _shared(short.values())
    taken = {name.casefold() for name in short.values()}
    return {name: _free(text, taken) if text.casefold() in shared else text for name, text in short.items()}


def _free(text: str, taken: set[str]) -> str:
    number = 1
    while f"{text} ({number})".casefold() in taken:
        number += 1
    taken.add(f"{text} ({number})".casefold())
    return f"{text} ({number})"

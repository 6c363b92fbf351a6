"""Texts of users -> values, or one line that says what is allowed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from perfsuite.errors import InvalidChoiceError
from perfsuite.formatting import GIB_BYTES, MIB_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


def choose(table: Mapping[str, T], name: str, *, kind: str) -> T:
    """Pick an entry by name.

    Args:
        table: The entries by name.
        name: What the user asked for.
        kind: What the entries are, in the singular, for the message.

    Raises:
        InvalidChoiceError: `name` is not in `table`; the message lists what is.
    """
    try:
        return table[name]
    except KeyError:
        raise InvalidChoiceError(f"unknown {kind} {name!r}; choose from {', '.join(sorted(table))}") from None


def require_device_name(option: str, name: str) -> None:
    """Check that an option names a device, whether or not it is there.

    Raises:
        InvalidChoiceError: It does not; the message names the option.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", name):
        raise InvalidChoiceError(f"{option}: unknown device {name[:20]!r}; choose from auto, cuda, cuda:N, cpu")


def split_names(option: str, value: str) -> tuple[str, ...]:
    """Return the names of a comma-separated option, each once, in their order.

    Raises:
        InvalidChoiceError: One of them is empty; the message names the option.
    """
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise InvalidChoiceError(f"{option}: {value!r} has an empty name in it; give names separated by commas")
    return tuple(dict.fromkeys(names))


def parse_batch_sizes(option: str, value: str, largest: int) -> tuple[int, ...]:
    """Return the batch sizes of a comma-separated option, each once, in their order.

    Raises:
        InvalidChoiceError: One is no whole number from 1 to `largest`; the message names the option.
    """
    return tuple(dict.fromkeys(_parse_batch_size(option, part, largest) for part in split_names(option, value)))


def _parse_batch_size(option: str, value: str, largest: int) -> int:
    """Return a batch size from what the user wrote.

    Raises:
        InvalidChoiceError: No whole number from 1 to `largest`; the message names the option.
    """
    # Longer texts are not even read: Python refuses whole numbers of thousands of digits.
    fits = value.isascii() and value.isdigit() and len(value) <= len(str(largest)) and 1 <= int(value) <= largest
    if not fits:
        raise InvalidChoiceError(
            f"{option}: {value[:20]!r} is not a batch size; whole numbers from 1 to {largest} are allowed"
        )
    return int(value)


def parse_capacity(text: str) -> int:
    """Return bytes for a size as people write it: `15GiB`, `15360 MiB`, `16GB`.

    Raises:
        InvalidChoiceError: No number, an unknown unit, or nothing left of it.
    """
    units = {"B": 1, "KIB": 1024, "MIB": MIB_BYTES, "GIB": GIB_BYTES, "KB": 10**3, "MB": 10**6, "GB": 10**9}
    stripped = text.strip()
    number = stripped.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = stripped[len(number) :].upper()
    try:
        size = float(number) * units[unit]
    except (KeyError, ValueError):
        size = -1.0
    if not 0 < size < 2**60:
        raise InvalidChoiceError(f"--capacity: {text!r} is an invalid size; write 15GiB, 15360MiB or 16GB for instance")
    return int(size)

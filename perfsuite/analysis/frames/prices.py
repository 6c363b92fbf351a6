"""What an hour of a GPU costs, as users give it: `t4=0.35,a100=1.10`; in no currency, for none is computed with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.environment_names import choose_by_part
from perfsuite.errors import InvalidChoiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OPTION = "--price"

MAX_PRICE = 1e9
"""An hour, in whatever currency; more is a typing error, and would not fit a column."""

_NUMBER = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price as a user gave it.

    Attributes:
        name: A part of the GPU's name.
        per_hour: What an hour costs, above 0.
    """

    name: str
    per_hour: float


def read_prices(values: Iterable[str]) -> tuple[Price, ...]:
    """Return the prices of all values of the option, each a list separated by commas.

    Raises:
        InvalidChoiceError: One is no `NAME=PRICE`, or its price no number above 0.
    """
    return tuple(_price(part) for value in values for part in value.split(","))


def _price(text: str) -> Price:
    name, sign, number = (part.strip() for part in text.rpartition("="))
    if not sign or not name:
        raise InvalidChoiceError(f"{OPTION}: {text[:40]!r} is not NAME=PRICE; write t4=0.35 for instance")
    per_hour = float(number) if _NUMBER.match(number) else 0.0
    if not 0 < per_hour <= MAX_PRICE:
        raise InvalidChoiceError(
            f"{OPTION} {name[:40]}: {number[:20]!r} is not a price per hour; a number above 0 is allowed, such as 0.35"
        )
    return Price(name=name, per_hour=per_hour)


def prices_of(prices: Iterable[Price], devices: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return the price per hour by device.

    Args:
        prices: As the user gave them.
        devices: Other names of each device, by the name that is shown.

    Raises:
        InvalidChoiceError: A name is none of these devices', is part of several, or a device has two prices.
    """
    found: dict[str, float] = {}
    for price in prices:
        device = choose_by_part(OPTION, price.name, devices, kind="GPU or CPU")
        if device in found:
            raise InvalidChoiceError(f"{OPTION}: {device} has two prices, {found[device]:g} and {price.per_hour:g}")
        found[device] = price.per_hour
    return found

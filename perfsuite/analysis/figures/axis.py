"""The axis that panels of one quantity share: its limits, its ticks, what is drawn across it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perfsuite.formatting import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator

Scale = Literal["number", "time", "log time", "log ratio"]

MAX_TICKS = 7
"""Of a logarithmic axis of ratios, in the width of a panel."""

FAR_APART = 3.0
"""Ratios that differ by more stand on a logarithmic axis: all of them are seen where they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What all panels of one quantity share.

    Attributes:
        label: Quantity, unit, n.
        limits: Of the axis.
        reference: Where to draw a line that means no difference.
        band: Between where a difference does not count.
        dashed: Where to draw a dashed line; the legend says what it is.
        scale: Numbers whose unit the label says, times in the unit that suits each, or ratios on a logarithmic axis.
    """

    label: str
    limits: tuple[float, float]
    reference: float | None = None
    band: tuple[float, float] | None = None
    dashed: float | None = None
    scale: Scale = "number"


def set_ticks(axes: Axes, scale: Scale) -> None:
    """Set the ticks of the axis, at round numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    if scale == "log ratio":
        axes.xaxis.set_major_locator(_ratio_locator(axes.get_xlim()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
        return
    if scale == "log time":
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6 if scale == "number" else 4))
    if scale != "number":
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _round_duration(value)))


def _round_duration(value: float) -> str:
    """Return the time of a tick, which is a round number: `10 ms`, not `10.00 ms`."""
    if value <= 0:
        return "0"
    number, _, unit = duration(value).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def _ratio_locator(limits: tuple[float, float]) -> Locator:
    """Return the ticks of a logarithmic axis of ratios: 1, 2, 5, 10 ..., by tens where it is long."""
    from matplotlib.ticker import FixedLocator

    low, high = limits
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= MAX_TICKS:
            return FixedLocator(ticks)
    return FixedLocator(ticks[:: math.ceil(len(ticks) / MAX_TICKS)])


def upper_limit(values: Sequence[float], room: float = 1.06) -> float:
    """Return where an axis from 0 ends, so that the largest value has room."""
    return max([value for value in values if value > 0], default=1.0) * room


def spread_limits(values: Sequence[float], around: float, least: float) -> tuple[float, float]:
    """Return limits that hold all values and lie at least that far on both sides of a middle."""
    far = max([abs(value - around) for value in values] + [least]) * 1.08
    low, high = min([*values, around - least]), max([*values, around + least])
    return max(around - far, low - 0.08 * (high - low)), min(around + far, high + 0.08 * (high - low))


def ratio_limits(values: Sequence[float], least: float) -> tuple[tuple[float, float], Scale]:
    """Return limits around 1 that hold all of these ratios, and the scale: logarithmic where they lie far apart.

    Args:
        values: Ratios and the ends of their intervals, all positive.
        least: How far the limits lie from 1 at least.
    """
    low, high = min([*values, 1.0]), max([*values, 1.0])
    if high <= FAR_APART * low:
        return spread_limits(values, 1.0, least), "number"
    room = (high / low) ** 0.06
    return (low / room, high * room), "log ratio"


def ratio_axis(
    quantity: str, values: Sequence[float], least: float, *, n: str, band: tuple[float, float] | None = None
) -> Axis:
    """Return an axis of ratios with a line at 1; its label says where it is logarithmic.

    Args:
        quantity: What is divided by what, and its unit.
        values: Ratios and the ends of their intervals, all positive.
        least: How far the limits lie from 1 at least.
        n: How many processes, in words.
        band: Between where a difference does not count.
    """
    limits, scale = ratio_limits(values, least)
    logarithmic = ", logarithmic" if scale == "log ratio" else ""
    return Axis(label=f"{quantity}{logarithmic}; {n}", limits=limits, reference=1.0, band=band, scale=scale)

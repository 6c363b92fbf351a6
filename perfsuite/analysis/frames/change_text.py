"""How a change is printed: both values in one unit, and the change once, as a percentage or in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from perfsuite.formatting import duration, significant
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfsuite.analysis.statistics.intervals import Ratio

SAME_RATIO = 1.01
"""Changes within this are called the same: three significant digits would print them as 1.00 or 1.01."""

NEAR_RATIO = 1.05
"""An interval around no change within this is called the same, with its bound; a wider one leaves it open."""

SPEED_NOTE = "2.00x faster: half of the time; 2.00x slower: twice the time"

SPEED_DIGITS = 3


def times_text(before_s: float | None, after_s: float | None) -> str:
    """Return two times in the unit that suits each: `60.53 -> 72.48 ms`; n/a where one is absent."""
    if before_s is None and after_s is None:
        return "-"
    before, after = ("n/a" if one is None else duration(one) for one in (before_s, after_s))
    value, _, unit = before.partition(" ")
    return f"{value if unit and after.endswith(f' {unit}') else before} -> {after}"


def peaks_text(before_bytes: float | None, after_bytes: float | None) -> str:
    """Return two peaks in MiB with the change: `700.0 -> 720.5 MiB (+2.9%)`, `700.0 MiB` where both are the same."""
    if before_bytes is None and after_bytes is None:
        return "-"
    show = METRICS["peak_allocated_bytes"].show
    before, after = ("n/a" if one is None else show(one) for one in (before_bytes, after_bytes))
    if before == after:
        return f"{before} MiB"
    change = f" ({percent_text(after_bytes / before_bytes)})" if before_bytes and after_bytes else ""
    return f"{before} -> {after} MiB{change}"


def percent_text(ratio: float, *, unit: str = "%") -> str:
    """Return a ratio as a change: `+5.1%`; of a factor of ten and more without a decimal."""
    percent = 100 * (ratio - 1)
    decimals = 0 if abs(percent) >= 1000 else 1  # noqa: PLR2004 - more digits than anybody reads
    return f"{percent:+,.{decimals}f}{unit}"


def percent_change_text(ratio: float, low: float | None, high: float | None) -> str:
    """Return a change with its 95% interval, where it has one: `+12.3% [+11.5, +13.1]`."""
    text = percent_text(ratio)
    if low is None or high is None:
        return text
    return f"{text} [{percent_text(low, unit='')}, {percent_text(high, unit='')}]"


def row_change_text(row: Mapping[str, Any], name: str = "ratio") -> str:
    """Return the change that a row holds, with its interval where it has one; a dash where it is absent.

    Args:
        row: With `<name>`, `<name>_low` and `<name>_high`.
        name: Of the column of the ratio.
    """
    if row[name] is None:
        return "-"
    return percent_change_text(row[name], row[f"{name}_low"], row[f"{name}_high"])


def speed_text(ratio: Ratio) -> str:
    """Return a ratio of times as a change of speed in words, never without its interval, its spread, or neither.

    `1.83x faster [1.79, 1.87]`: it takes 1 / 1.83 of the time. `same within 1.5%`: so far at most is the interval from
    no change. `open [1.10x faster, 1.30x slower]`: the interval contains no change, and is not narrow.

    Args:
        ratio: Time over the baseline's time.
    """
    low, high = ratio.low, ratio.high
    if low is None or high is None:
        is_same = _factor(ratio.ratio) == _factor(1.0)
        return f"{'same' if is_same else _factor_and_direction(ratio.ratio)} [no interval]"
    is_spread = ratio.basis == "one run"
    mark = " A/A" if ratio.basis == "noise floor" else ""
    furthest = math.exp(max(abs(math.log(low)), abs(math.log(high))))
    has_one = low <= 1 <= high
    if furthest <= SAME_RATIO or (has_one and furthest <= NEAR_RATIO):
        within = f"same within {100 * (furthest - 1):.2g}%"
        return f"{within} (this run)" if is_spread else f"{within}{mark}"
    if has_one:
        what, ends = "open", (f"{_factor(low)}x faster", f"{_factor(high)}x slower")
    else:
        near, far = sorted((_inverse(low), _inverse(high)))
        what, ends = (
            _factor_and_direction(ratio.ratio),
            (significant(near, SPEED_DIGITS), significant(far, SPEED_DIGITS)),
        )
    brackets = f"({ends[0]} to {ends[1]})" if is_spread else f"[{ends[0]}, {ends[1]}]"
    return f"{what} {brackets}{mark}"


def _inverse(ratio: float) -> float:
    return max(ratio, 1 / ratio)


def _factor(ratio: float) -> str:
    return significant(_inverse(ratio), SPEED_DIGITS)


def _factor_and_direction(ratio: float) -> str:
    direction = "slower" if ratio > 1 else "faster"
    return f"{_factor(ratio)}x {direction}"

"""How a dict of `Across` keeps a ratio: its value and what is known of its error, a key each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.statistics.intervals import Ratio

if TYPE_CHECKING:
    from collections.abc import Mapping

RATIO_KEYS = ("ci_low", "ci_high", "ci_level", "num_processes", "basis")
"""Of the attributes of `Ratio`, in the order of `ratio_entry`."""


def ratio_entry(ratio: Ratio | None, key: str = "ratio") -> dict[str, Any]:
    """Return a ratio as the values of an entry, all None where there is no ratio.

    Args:
        ratio: What to keep.
        key: Of its value.
    """
    if ratio is None:
        return {key: None, **dict.fromkeys(RATIO_KEYS)}
    values = (ratio.low, ratio.high, ratio.level, ratio.num_processes, ratio.basis)
    return {key: ratio.ratio, **dict(zip(RATIO_KEYS, values, strict=True))}


def ratio_of_entry(entry: Mapping[str, Any], key: str, suffix: str = "") -> Ratio | None:
    """Return the ratio of an entry, or None where it has none.

    Args:
        entry: It, or a row of a pivot.
        key: Of its value: `speedup` in `Across.amp`, `ratio` in all others.
        suffix: What a pivot adds to every key.
    """
    value = entry.get(f"{key}{suffix}")
    if value is None:
        return None
    low, high, level, num_processes, basis = (entry[f"{name}{suffix}"] for name in RATIO_KEYS)
    return Ratio(ratio=value, low=low, high=high, level=level, num_processes=num_processes, basis=basis)

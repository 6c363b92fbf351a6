"""Changes in words say which side is faster, by how much, and how well that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfsuite.analysis.frames.change_text import peaks_text, percent_change_text, speed_text, times_text
from perfsuite.analysis.statistics.intervals import Ratio, bare_ratio
from perfsuite.formatting import MIB_BYTES

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.intervals import Basis


def over(ratio: float, low: float, high: float, basis: Basis = "processes") -> Ratio:
    level = None if basis == "one run" else 0.95
    return Ratio(ratio=ratio, low=low, high=high, level=level, num_processes=3, basis=basis)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (over(0.546, 0.535, 0.559), "1.83x faster [1.79, 1.87]"),
        (over(1.25, 1.2, 1.3), "1.25x slower [1.20, 1.30]"),
        (over(0.0578, 0.057, 0.0587), "17.3x faster [17.0, 17.5]"),
        (over(0.00512, 0.005, 0.0053), "195x faster [189, 200]"),
        (over(0.4, 0.39, 0.41, "one run"), "2.50x faster (2.44 to 2.56)"),
        (over(0.4, 0.39, 0.41, "noise floor"), "2.50x faster [2.44, 2.56] A/A"),
        (over(1.003, 0.991, 1.015), "same within 1.5%"),
        (over(1.003, 1.001, 1.005), "same within 0.5%"),
        (over(1.003, 0.991, 1.015, "one run"), "same within 1.5% (this run)"),
        (over(1.003, 0.991, 1.015, "noise floor"), "same within 1.5% A/A"),
        (over(1.02, 0.8, 1.3), "open [1.25x faster, 1.30x slower]"),
        (over(1.02, 0.8, 1.3, "one run"), "open (1.25x faster to 1.30x slower)"),
        (bare_ratio(0.5), "2.00x faster [no interval]"),
        (bare_ratio(2.0), "2.00x slower [no interval]"),
        (bare_ratio(1.001), "same [no interval]"),
    ],
)
def test_a_change_of_speed_is_said_in_words_with_what_is_known_of_it(ratio: Ratio, expected: str) -> None:
    assert speed_text(ratio) == expected


@pytest.mark.parametrize("basis", ["processes", "one run"])
def test_a_change_and_its_inverse_say_the_opposite(basis: Basis) -> None:
    ratio = over(0.546, 0.535, 0.559, basis)
    assert speed_text(ratio.inverse()) == speed_text(ratio).replace("faster", "slower")


def test_both_values_are_in_units_for_people() -> None:
    assert times_text(0.06053, 0.07248) == "60.53 -> 72.48 ms"
    assert times_text(0.9, 1.2) == "900.0 ms -> 1.200 s"
    assert times_text(None, 1.2) == "n/a -> 1.200 s"
    assert times_text(1.2, None) == "1.200 s -> n/a"
    assert times_text(None, None) == "-"
    assert peaks_text(700 * MIB_BYTES, 720 * MIB_BYTES) == "700.0 -> 720.0 MiB (+2.9%)"
    assert peaks_text(700 * MIB_BYTES, 700 * MIB_BYTES + 512) == "700.0 MiB"
    assert peaks_text(None, 2000 * MIB_BYTES) == "n/a -> 2,000 MiB"
    assert peaks_text(None, None) == "-"


def test_a_change_in_percent_has_its_interval() -> None:
    assert percent_change_text(1.123, 1.115, 1.131) == "+12.3% [+11.5, +13.1]"
    assert percent_change_text(0.9, None, None) == "-10.0%"
    assert percent_change_text(17.3, None, None) == "+1,630%"

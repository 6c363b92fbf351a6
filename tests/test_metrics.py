from __future__ import annotations

import pytest

from perfsuite.formatting import duration, significant
from perfsuite.metrics import METRICS

UNITS = (
    *("_s", "_bytes", "_ratio", "_accuracy", "_second", "_joules", "_joule", "_mhz", "_watts", "_celsius", "_flops"),
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.012345, "0.01235"),
        (1.0, "1.000"),
        (9.99996, "10.00"),
        (999.96, "1,000"),
        (-0.99999, "-1.000"),
        (1234.5, "1,234"),
        (98765.4, "98,765"),
    ],
)
def test_numbers_are_shown_with_four_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.500 s"), (0.0125, "12.50 ms"), (3.2e-6, "3.200 us"), (1.5e-9, "1.500 ns"), (0, "0 ns")],
)
def test_durations_are_shown_in_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_absent_value_is_a_dash_and_never_zero() -> None:
    assert METRICS["peak_allocated_bytes"].show(None) == "-"
    assert METRICS["peak_allocated_bytes"].show(float("nan")) == "-"
    assert METRICS["num_skipped_steps"].show(0) == "0"


def test_memory_is_shown_in_mebibytes() -> None:
    assert METRICS["peak_allocated_bytes"].show(707 * 1024**2) == "707.0"
    assert METRICS["peak_allocated_bytes"].show(3387 * 1024**2) == "3,387"


def test_every_metric_key_ends_in_its_unit_or_counts() -> None:
    for key in METRICS:
        assert key.startswith(("num_", "largest_")) or key.endswith(UNITS), key

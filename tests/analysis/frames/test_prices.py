"""Prices of GPUs as users write them, and names of environments by a part."""

from __future__ import annotations

import pytest

from perfsuite.analysis.frames.environment_names import choose_by_part
from perfsuite.analysis.frames.prices import Price, prices_of, read_prices
from perfsuite.errors import InvalidChoiceError

DEVICES = {
    "T4": ("Tesla T4", "t4"),
    "A100 40GB": ("NVIDIA A100-SXM4-40GB", "a100-40gb"),
    "A100 80GB": ("NVIDIA A100-SXM4-80GB", "a100-80gb"),
}


def test_prices_are_a_list_and_may_be_given_several_times() -> None:
    assert read_prices(["t4=0.35,a100-40gb = 1.10", "x=.5", "y=2."]) == (
        Price(name="t4", per_hour=0.35),
        Price(name="a100-40gb", per_hour=1.1),
        Price(name="x", per_hour=0.5),
        Price(name="y", per_hour=2.0),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t4", "--price: 't4' is not NAME=PRICE; write t4=0.35 for instance"),
        ("", "--price: '' is not NAME=PRICE; write t4=0.35 for instance"),
        ("=0.35", "--price: '=0.35' is not NAME=PRICE; write t4=0.35 for instance"),
        ("t4=", "--price t4: '' is not a price per hour; a number above 0 is allowed, such as 0.35"),
        ("t4=0", "--price t4: '0' is not a price per hour; a number above 0 is allowed, such as 0.35"),
        ("t4=-1", "--price t4: '-1' is not a price per hour; a number above 0 is allowed, such as 0.35"),
        ("t4=nan", "--price t4: 'nan' is not a price per hour; a number above 0 is allowed, such as 0.35"),
        ("t4=inf", "--price t4: 'inf' is not a price per hour; a number above 0 is allowed, such as 0.35"),
        ("t4=1e400", "--price t4: '1e400' is not a price per hour; a number above 0 is allowed, such as 0.35"),
        ("t4=$1", "--price t4: '$1' is not a price per hour; a number above 0 is allowed, such as 0.35"),
        ("t4=\u0661", "--price t4: '\u0661' is not a price per hour; a number above 0 is allowed, such as 0.35"),
        ("t4=0,35", "--price t4: '0' is not a price per hour; a number above 0 is allowed, such as 0.35"),
        (
            "t4=9999999999",
            "--price t4: '9999999999' is not a price per hour; a number above 0 is allowed, such as 0.35",
        ),
    ],
)
def test_what_is_no_price_is_one_line(text: str, message: str) -> None:
    with pytest.raises(InvalidChoiceError) as raised:
        read_prices([text])
    assert str(raised.value) == message


@pytest.mark.parametrize("name", ["t4", "T4", "Tesla T4", "tesla", " t4 "])
def test_a_price_is_of_the_device_that_a_part_of_a_name_means(name: str) -> None:
    assert prices_of([Price(name=name, per_hour=0.35)], DEVICES) == {"T4": 0.35}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["h100"], "--price: unknown GPU or CPU 'h100'; in these files: T4, A100 40GB, A100 80GB"),
        (
            ["a100"],
            "--price: 'a100' is part of several names: A100 40GB, A100 80GB; write more of the one that is meant",
        ),
        (["t4", "tesla"], "--price: T4 has two prices, 1 and 1"),
    ],
)
def test_a_price_that_is_no_devices_or_a_second_one_is_one_line(names: list[str], message: str) -> None:
    with pytest.raises(InvalidChoiceError) as raised:
        prices_of([Price(name=name, per_hour=1.0) for name in names], DEVICES)
    assert str(raised.value) == message


def test_a_whole_name_wins_over_a_part_of_another() -> None:
    names = {"A100": ("NVIDIA A100-SXM4-40GB",), "A100 MIG": ("NVIDIA A100-SXM4-40GB MIG 1g.5gb",)}
    assert choose_by_part("--against", "a100", names) == "A100"
    assert choose_by_part("--against", "NVIDIA A100-SXM4-40GB", names) == "A100"
    assert choose_by_part("--against", "mig", names) == "A100 MIG"


def test_an_empty_name_means_nothing() -> None:
    with pytest.raises(InvalidChoiceError, match="--against: unknown environment ''; in these files: A"):
        choose_by_part("--against", " ", {"A": ()})
    with pytest.raises(InvalidChoiceError, match="in these files: none"):
        choose_by_part("--against", "a", {})

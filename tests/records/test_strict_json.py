from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from perfsuite.errors import RecordError
from perfsuite.records.strict_json import read_dataclass
from perfsuite.records.telemetry import Telemetry


@dataclass(frozen=True, kw_only=True)
class Holder:
    shares: dict[str, float] | None
    names: tuple[str, ...] | None = None


def test_a_container_that_may_be_absent_is_read_with_what_is_in_it() -> None:
    assert read_dataclass(Holder, {"shares": {"a": 1}}, "x").shares == {"a": 1.0}
    assert read_dataclass(Holder, {"shares": None, "names": ["a"]}, "x").names == ("a",)


@pytest.mark.parametrize("shares", [{"a": "b"}, [1.0], 3, "a"])
def test_a_container_of_the_wrong_kind_is_refused(shares: object) -> None:
    with pytest.raises(RecordError, match=r"x\.shares"):
        read_dataclass(Holder, {"shares": shares}, "x")


def test_telemetry_of_a_throttled_gpu_is_read_as_it_was_written() -> None:
    telemetry = Telemetry(num_samples=3, seconds=1.0, throttle_ratio={"power cap": 0.8})
    assert read_dataclass(Telemetry, dataclasses.asdict(telemetry), "telemetry") == telemetry

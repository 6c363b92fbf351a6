from __future__ import annotations

import itertools

import numpy as np
import pytest

from perfsuite.analysis.frames.latency import latency_columns
from perfsuite.measure.latency import MIN_LATENCIES, NUM_LATENCIES, measure_latencies


class FakeTime:
    """A clock that every call of `run` moves on."""

    def __init__(self, seconds: list[float]) -> None:
        self.now, self._seconds = 100.0, itertools.cycle(seconds)

    def run(self) -> None:
        self.now += next(self._seconds)

    def __call__(self) -> float:
        return self.now


def test_every_iteration_is_timed_alone() -> None:
    time = FakeTime([0.001, 0.002, 0.004])
    found = measure_latencies(time.run, time, max_time_s=60)
    assert len(found) == NUM_LATENCIES
    assert found[:3] == pytest.approx([0.001, 0.002, 0.004])


def test_it_ends_when_the_time_is_over_but_never_with_too_few() -> None:
    time = FakeTime([0.1])
    assert len(measure_latencies(time.run, time, max_time_s=3.0)) == pytest.approx(30, abs=1)
    slow = FakeTime([5.0])
    assert len(measure_latencies(slow.run, slow, max_time_s=3.0)) == MIN_LATENCIES


def test_percentiles_are_those_of_sorted_times() -> None:
    times = np.random.default_rng(0).gamma(5, 0.001, 999)
    ordered = np.sort(times)
    found = latency_columns(tuple(times))
    for name, share in (("latency_p50_s", 0.5), ("latency_p95_s", 0.95), ("latency_p99_s", 0.99)):
        assert ordered[int(998 * share)] <= found[name] <= ordered[int(998 * share) + 1]
    assert found["num_latencies"] == 999


@pytest.mark.parametrize(("number", "absent"), [(19, ["p95", "p99"]), (20, ["p99"]), (99, ["p99"]), (100, [])])
def test_a_percentile_that_no_iteration_can_be_beyond_is_absent(number: int, absent: list[str]) -> None:
    found = latency_columns([0.001] * number)
    assert [name[8:11] for name, value in found.items() if value is None] == absent

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import make_pair, make_workload

from perfsuite.analysis.frames.overhead import (
    FOUND,
    decide,
    decide_record,
    more_time_in_words,
    overhead_in_words,
    paired_estimate,
    seconds_to_decide,
)
from perfsuite.measure.budget import OVERHEAD_LOOKS
from perfsuite.measure.interleaving import InterleavedSide, Interleaving
from perfsuite.measure.paired import measure_until_decided

if TYPE_CHECKING:
    from perfsuite.records.pair import PairedRecord

LIMIT = 0.03
NUM_CHECKS = 600


class NoisyHost:
    """A host with a clock of its own: log-normal noise, speeds that wander and step, an oscillation, a few outliers."""

    def __init__(self, seed: int, *, noise: float, swing: float) -> None:
        self.random = np.random.default_rng(seed)
        self.noise = noise
        self.swing = swing
        self.log_speed = 0.0
        self.turn = 0
        self.phase = self.random.uniform(0, 2 * math.pi)
        self.drift = self.random.normal(0, 0.3)
        self.time = 0.0

    def measure(self, cost_s: float) -> float:
        self.turn += 1
        self.log_speed = 0.998 * self.log_speed + self.random.normal(0, 0.003)
        if self.random.random() < 0.01:  # another process comes or goes
            self.log_speed += self.random.normal(0, 0.1)
        swing = self.swing * math.sin(2 * math.pi * self.turn / 4 + self.phase)
        outlier = self.random.exponential(0.3) if self.random.random() < 0.03 else 0.0
        drift = self.drift * math.exp(-self.turn / 150)  # as clocks fall while a machine warms up
        seconds = cost_s * math.exp(self.log_speed + drift + swing + self.random.normal(0, self.noise) + outlier)
        self.time += seconds
        return seconds


class HostStopwatch:
    def __init__(self, host: NoisyHost, cost_s: float) -> None:
        self.host = host
        self.cost_s = cost_s

    def start(self) -> None:
        pass

    def stop(self, token: None) -> float:  # noqa: ARG002 - there is none
        return self.host.measure(self.cost_s)


def checked(
    seed: int, *, overhead: float, noise: float = 0.03, swing: float = 0.02, extra_time_s: float = 20.0
) -> PairedRecord:
    """Run a check as the suite does, 20 blocks and then more of them, on a simulated host."""
    host = NoisyHost(seed, noise=noise, swing=swing)
    sides = (
        InterleavedSide(run=lambda: None, stopwatch=HostStopwatch(host, 0.1 * factor)) for factor in (1.0, 1 + overhead)
    )
    interleaving = Interleaving(*sides, num_iterations=1, seed=seed)
    for _ in range(20):
        interleaving.run_block()

    def record() -> PairedRecord:
        return make_pair(
            comparison="overhead",
            blocks=tuple(interleaving.blocks),
            limit_ratio=LIMIT,
            num_looks=len(OVERHEAD_LOOKS),
            num_iterations=1,
        )

    begin = host.time
    measure_until_decided(
        interleaving.run_block,
        lambda: decide_record(record()) != "cannot tell",
        tuple(share * extra_time_s for share in OVERHEAD_LOOKS),
        now=lambda: host.time - begin,
    )
    return record()


def shares(overhead: float, **changes: Any) -> dict[str, float]:
    """Return how often a check of a known overhead ends in which way."""
    outcomes = [decide_record(checked(seed, overhead=overhead, **changes)) for seed in range(NUM_CHECKS)]
    return {outcome: outcomes.count(outcome) / NUM_CHECKS for outcome in ("pass", "fail", "cannot tell")}


def test_no_overhead_is_called_a_failure_at_most_one_time_in_twenty_and_is_mostly_shown() -> None:
    found = shares(0.0)
    assert found["fail"] <= 0.05
    assert found["pass"] >= 0.8


def test_twice_the_limit_passes_at_most_one_time_in_twenty_and_is_mostly_shown() -> None:
    found = shares(2 * LIMIT)
    assert found["pass"] <= 0.05
    assert found["fail"] >= 0.8


@pytest.mark.parametrize("overhead", [LIMIT, -LIMIT])
def test_at_the_very_limit_the_looks_together_err_at_most_one_time_in_twenty(overhead: float) -> None:
    """The hardest case: at each of the looks chance can move the interval to either side of the limit."""
    found = shares(overhead, swing=0.0)  # a swing that cancels would make the intervals too wide
    assert found["pass"] + found["fail"] <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / NUM_CHECKS)


def test_a_check_ends_at_the_first_look_that_decides_and_at_the_end_of_its_time_otherwise() -> None:
    assert len(checked(0, overhead=0.0, noise=0.001).blocks) < 60
    undecided = checked(0, overhead=LIMIT)
    assert decide_record(undecided) == "cannot tell"
    assert len(undecided.blocks) > 40


@pytest.mark.parametrize("overhead", [0.0, 2 * LIMIT])
def test_the_time_that_is_named_as_needed_is_mostly_enough(overhead: float) -> None:
    """Checks that could not tell are begun again with the time that each of them asked for."""
    decided = []
    for seed in range(NUM_CHECKS // 4):
        first = checked(seed, overhead=overhead, noise=0.06, extra_time_s=5.0)
        more_s = seconds_to_decide(first)
        if decide_record(first) != "cannot tell" or more_s is None or more_s > 120:
            continue
        again = checked(seed + NUM_CHECKS, overhead=overhead, noise=0.06, extra_time_s=5.0 + more_s)
        decided.append(decide_record(again) != "cannot tell")
    assert len(decided) >= 30
    assert sum(decided) / len(decided) >= FOUND


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.995, 1.005, "pass"),
        (0.991, 1.009, "pass"),
        (0.995, 1.02, "cannot tell"),
        (0.97, 1.02, "cannot tell"),
        (1.011, 1.02, "fail"),
        (0.9, 0.98, "fail"),
        (None, None, "cannot tell"),
        (math.nan, math.nan, "cannot tell"),
    ],
)
def test_a_check_passes_or_fails_only_with_its_whole_interval(low: Any, high: Any, outcome: str) -> None:
    assert decide(low, high, 0.01) == outcome
    assert decide(low, high, None) == "cannot tell"


def test_more_looks_make_the_interval_wider() -> None:
    blocks = checked(0, overhead=0.0).blocks
    once, often = (
        paired_estimate(make_pair(comparison="overhead", blocks=blocks, num_looks=number)) for number in (1, 4)
    )
    assert often.ratio == once.ratio
    assert None not in {once.low, once.high, often.low, often.high}
    assert often.high / often.low > once.high / once.low  # type: ignore[operator]


def spread_blocks(ratio: float, spread: float, num: int = 20) -> tuple[tuple[float, ...], ...]:
    """Build blocks of 0.4 s whose ratios lie evenly around one."""
    offsets = np.linspace(-spread, spread, num)
    return tuple((0.1, 0.1 * ratio * math.exp(offset), 0.1 * ratio * math.exp(offset), 0.1) for offset in offsets)


def record_of(ratio: float, spread: float, **changes: Any) -> PairedRecord:
    return make_pair(
        comparison="overhead",
        baseline=make_workload(),
        blocks=spread_blocks(ratio, spread),
        limit_ratio=LIMIT,
        num_iterations=1,
        **changes,
    )


@pytest.mark.parametrize("ratio", [0.95, 0.99, 1.0, 1.02, 1.05])
def test_an_interval_of_twice_the_width_needs_about_four_times_the_blocks(ratio: float) -> None:
    narrow, wide = (seconds_to_decide(record_of(ratio, spread)) for spread in (0.1, 0.2))
    assert narrow is not None
    assert wide is not None
    spent_s = sum(map(sum, spread_blocks(ratio, 0.0))) * 2
    assert (wide + spent_s) / (narrow + spent_s) == pytest.approx(4.0, rel=0.15)


def test_the_nearer_to_the_limit_the_longer_it_takes() -> None:
    times = [seconds_to_decide(record_of(ratio, 0.1)) for ratio in (1.0, 1.01, 1.02, 1.029)]
    assert times == sorted(times, key=lambda seconds: seconds or 0.0)
    assert more_time_in_words(times[-1]) == "more than 1 h 0 min would be needed: reduce background load"


def test_what_a_check_found_is_one_line_with_its_limit_and_the_time_it_needs() -> None:
    assert overhead_in_words(record_of(1.001, 0.001)) == (
        "harness overhead of resnet18 fp32 train_step b128: +0.10 [+0.07, +0.13]% (limit 3%)"
    )
    text = overhead_in_words(record_of(1.02, 0.1))
    assert text.startswith("harness overhead of resnet18 fp32 train_step b128: +2.00 [")
    assert "% (limit 3%) after 20 blocks; about " in text
    assert text.endswith(" more would decide")
    few = make_pair(comparison="overhead", blocks=((0.1, 0.1, 0.1, 0.1),) * 3)
    assert overhead_in_words(few).endswith("% (limit 1%) after 3 blocks; too few blocks for an interval")

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from scripted_clock import Script

from perfsuite.measure.warm_up import warm_up

if TYPE_CHECKING:
    from collections.abc import Callable


def warm(
    script: Script,
    *,
    settled: Callable[[], bool] = lambda: True,
    most: float = 100.0,
    stable: float = 0.05,
    read_clock_mhz: Callable[[], float | None] = lambda: None,
) -> tuple[int, str | None]:
    result = warm_up(
        script.run,
        script.now,
        settled=settled,
        min_seconds=1.0,
        max_seconds=most,
        stable_ratio=stable,
        read_clock_mhz=read_clock_mhz,
    )
    assert result.num_steps == script.num_iterations
    return result.num_steps, result.unstable


def test_warm_up_ends_when_times_have_stopped_falling() -> None:
    num_steps, unstable = warm(Script([5.0, 3.0, 2.0, 1.5, 1.2, 1.0]))
    assert unstable is None
    assert 8 <= num_steps <= 16


def test_warm_up_goes_on_while_times_rise() -> None:
    """A GPU at its power limit lowers its clock for seconds: 1590 falling to 900 MHz."""
    times = [0.05 * 1590 / (900 + 690 * math.exp(-0.05 * index / 3.0)) for index in range(2000)]
    num_steps, unstable = warm(Script(times), stable=0.01)
    assert unstable is None
    assert times[num_steps] == pytest.approx(0.05 * 1590 / 900, rel=0.01)


def test_times_that_rise_to_the_end_are_told() -> None:
    times = [0.1 * 1.01**index for index in range(500)]
    assert warm(Script(times), most=10.0, stable=0.01)[1] == "times were still rising after 10.1 s of warm-up"


def test_scatter_is_neither_rising_nor_falling() -> None:
    generator = random.Random(3)  # noqa: S311 - nothing here is secret
    for _ in range(20):
        times = [0.02 * math.exp(generator.gauss(0, 0.05)) for _ in range(5000)]
        _, unstable = warm(Script(times), most=3.0, stable=0.01)
        assert unstable is None


def test_warm_up_lasts_at_least_its_minimum() -> None:
    num_steps, unstable = warm(Script([0.01]))
    assert unstable is None
    assert num_steps == pytest.approx(100, abs=1)


def test_warm_up_that_never_gets_steady_ends_and_says_so() -> None:
    falling = [100.0 * 0.9**n for n in range(200)]
    num_steps, unstable = warm(Script(falling), most=800.0)
    assert unstable == "times were still falling after 814.7 s of warm-up"
    assert num_steps == 16


def test_a_clock_that_still_falls_is_told_where_times_do_not_show_it() -> None:
    """Times that the host limits hide what the GPU does."""
    script = Script([0.05])
    result = warm(script, most=5.0, read_clock_mhz=lambda: 1590 * math.exp(-script.time / 5))
    assert result[1] is not None
    assert result[1].startswith("the GPU's clock was still falling (")


def test_a_clock_that_stays_within_a_step_is_stable() -> None:
    script = Script([0.05])
    num_steps, unstable = warm(script, read_clock_mhz=lambda: 900 + 15 * (script.num_iterations % 2))
    assert unstable is None
    assert num_steps == pytest.approx(20, abs=1)


def test_warm_up_goes_on_while_the_loss_scale_falls() -> None:
    script = Script([1.0])
    num_steps, unstable = warm(script, settled=lambda: script.num_iterations > 20)
    assert unstable is None
    assert num_steps == 21


def test_a_loss_scale_that_never_stops_falling_is_told() -> None:
    _, unstable = warm(Script([1.0]), settled=lambda: False)
    assert unstable == "the loss scale was still falling after 100.0 s of warm-up"


def test_slow_iterations_are_judged_by_as_many_as_there_are() -> None:
    assert warm(Script([30.0])) == (4, None)
    assert warm(Script([60.0, 55.0, 30.0, 29.0]), most=150.0)[1] == "times were still falling after 174.0 s of warm-up"


def test_two_iterations_are_too_few_to_tell() -> None:
    num_steps, unstable = warm(Script([1000.0]))
    assert num_steps == 2
    assert unstable == "only 2 iterations of warm-up in 2000.0 s, too few to tell whether times were stable"

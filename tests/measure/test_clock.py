from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from perfsuite.measure.clock import DeviceClock, device_synchronizer, warm_up

if TYPE_CHECKING:
    from collections.abc import Callable


class Script:
    """A clock that is told how long each pass takes."""

    def __init__(self, durations: list[float]) -> None:
        self.durations = durations
        self.time = 0.0
        self.num_passes = 0

    def run(self) -> None:
        self.time += self.durations[min(self.num_passes, len(self.durations) - 1)]
        self.num_passes += 1

    def now(self) -> float:
        return self.time


def test_the_device_is_waited_for_before_the_clock_is_read() -> None:
    events: list[str] = []

    def now() -> float:
        events.append("read")
        return 1.5

    clock = DeviceClock(lambda: events.append("wait"), now)
    assert clock() == 1.5
    assert events == ["wait", "read"]


def test_the_end_of_a_round_is_told_after_its_reading_and_never_at_its_beginning() -> None:
    script = Script([1.0])
    clock = DeviceClock(lambda: None, script.now)
    ended: list[float] = []

    def slow_callback() -> None:
        ended.append(script.time)
        script.time += 100.0  # must not lie in any window

    clock.watch(lambda: script.num_passes, slow_callback)
    rounds = []
    for _ in range(2):
        begin = clock()
        script.run()
        script.run()
        rounds.append(clock() - begin)
    assert rounds == [2.0, 2.0]
    assert ended == [2.0, 104.0]


def test_a_clock_that_is_not_watched_calls_nobody() -> None:
    script = Script([1.0])
    clock = DeviceClock(lambda: None, script.now)
    ended: list[float] = []
    clock.watch(lambda: script.num_passes, lambda: ended.append(script.time))
    clock.unwatch()
    script.run()
    clock()
    assert ended == []


def test_a_cpu_needs_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: pytest.fail("there is nothing to wait for"))
    device_synchronizer(torch.device("cpu"))()


def test_a_gpu_is_synchronised(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    device_synchronizer(torch.device("cuda", 0))()
    assert waited == [torch.device("cuda", 0)]


def warm(script: Script, *, settled: Callable[[], bool] = lambda: True, most: float = 100.0) -> tuple[int, str | None]:
    result = warm_up(script.run, script.now, settled=settled, min_seconds=1.0, max_seconds=most)
    assert result.num_steps == script.num_passes
    return result.num_steps, result.unsteady


def test_warm_up_ends_when_times_have_stopped_falling() -> None:
    num_steps, unsteady = warm(Script([5.0, 3.0, 2.0, 1.5, 1.2, 1.0]))
    assert unsteady is None
    assert num_steps == 13  # the window before the last holds three passes of 1.0 by then


def test_warm_up_lasts_at_least_its_minimum() -> None:
    num_steps, unsteady = warm(Script([0.01]))
    assert unsteady is None
    assert num_steps == pytest.approx(100, abs=1)


def test_warm_up_that_never_gets_steady_ends_and_says_so() -> None:
    falling = [100.0 * 0.9**n for n in range(200)]
    num_steps, unsteady = warm(Script(falling), most=800.0)
    assert unsteady == "times were still falling after 814.7 s of warm-up"
    assert num_steps == 16


def test_warm_up_goes_on_while_the_loss_scale_falls() -> None:
    script = Script([1.0])
    num_steps, unsteady = warm(script, settled=lambda: script.num_passes > 20)
    assert unsteady is None
    assert num_steps == 21


def test_a_loss_scale_that_never_stops_falling_is_told() -> None:
    _, unsteady = warm(Script([1.0]), settled=lambda: False)
    assert unsteady == "the loss scale was still falling after 100.0 s of warm-up"


def test_slow_passes_are_judged_by_as_many_as_there_are() -> None:
    assert warm(Script([30.0])) == (4, None)
    assert warm(Script([60.0, 55.0, 30.0, 29.0]), most=150.0)[1] == "times were still falling after 174.0 s of warm-up"


def test_two_passes_are_too_few_to_tell() -> None:
    num_steps, unsteady = warm(Script([1000.0]))
    assert num_steps == 2
    assert unsteady is not None
    assert "only 2 passes of warm-up in 2000.0 s, too few to tell" in unsteady

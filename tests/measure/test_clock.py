from __future__ import annotations

import pytest
import torch
from scripted_clock import Script

from perfsuite.measure.clock import DeviceClock, device_synchronizer


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

    clock.watch(lambda: script.num_iterations, slow_callback)
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
    clock.watch(lambda: script.num_iterations, lambda: ended.append(script.time))
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

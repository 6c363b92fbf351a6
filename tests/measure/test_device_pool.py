from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pool_tasks import PATIENCE_S, obey

from perfsuite.errors import DeviceLostError, MeasurementError, OutOfMemoryError
from perfsuite.measure import device_pool
from perfsuite.measure.device_pool import DevicePlace, TaskBegan, TaskEnded, TaskTold, run_in_pool

if TYPE_CHECKING:
    from collections.abc import Iterable

REPOSITORY = Path(__file__).parents[2]
TWO = (DevicePlace(devices=("cpu:0",)), DevicePlace(devices=("cpu:1",)))
ONE = TWO[:1]
PAIR = (DevicePlace(devices=("cpu:0", "cpu:1")),)


def run(places: Iterable[DevicePlace] = TWO, **tasks: str) -> list[TaskBegan | TaskTold | TaskEnded]:
    with contextlib.closing(run_in_pool(tasks, tuple(places), obey)) as events:
        return list(events)


def ends(events: list[TaskBegan | TaskTold | TaskEnded]) -> dict[str, TaskEnded]:
    return {event.name: event for event in events if isinstance(event, TaskEnded)}


def error_of(ended: TaskEnded) -> str:
    assert ended.error is not None
    return str(ended.error)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_tasks_begin_in_their_order_and_the_next_one_is_given_to_the_device_that_is_free(tmp_path: Path) -> None:
    third = tmp_path / "third"
    events = run(first=f"wait:{third} done", second="tell:hello", third=f"touch:{third}")
    assert [event.name for event in events if isinstance(event, TaskBegan)] == ["first", "second", "third"]
    assert next(event.name for event in events if isinstance(event, TaskEnded)) == "second"
    found = ends(events)
    assert found["third"].place == found["second"].place == TWO[1]  # the first device was not free
    assert found["first"].result == f"wait:{third} done"
    (told,) = [event for event in events if isinstance(event, TaskTold)]
    assert (told.name, told.content[:2]) == ("second", ("hello", "cpu:1"))


def test_an_error_of_the_suite_comes_as_it_is_and_any_other_with_its_traceback() -> None:
    found = ends(run(memory="memory", bug="bug:why", good="fine"))
    assert isinstance(found["memory"].error, OutOfMemoryError)
    assert error_of(found["memory"]) == "out of memory: it does not fit"
    assert error_of(found["bug"]) == "ZeroDivisionError: why"
    assert "in obey" in found["bug"].details
    assert found["good"].error is None


def test_a_process_that_is_killed_fails_its_task_alone_and_its_device_takes_the_next() -> None:
    found = ends(run(ONE, killed="tell:begun die", next="fine"))
    assert isinstance(found["killed"].error, MeasurementError)
    assert error_of(found["killed"]) == (
        "the process on cpu:0 was killed by SIGKILL (out of memory, or killed from outside)"
    )
    assert found["next"].result == "fine"


def test_the_last_words_of_a_process_that_aborts_are_quoted() -> None:
    words = error_of(ends(run(ONE, aborted="tell:begun abort"))["aborted"])
    assert words == "the process on cpu:0 was killed by SIGABRT; its last output: terminate called"


def test_a_place_that_is_retired_leaves_tasks_that_are_never_begun() -> None:
    for words, kind in (("lost", DeviceLostError), ("die", MeasurementError)):
        events = run(ONE, bad=words, never="fine")
        assert [event.name for event in events if isinstance(event, TaskBegan)] == ["bad"]
        bad = ends(events)["bad"]
        assert bad.is_retired
        assert isinstance(bad.error, kind)


def test_of_two_devices_the_one_that_is_left_takes_all_that_is_left() -> None:
    found = ends(run(bad="lost", one="tell:begun fine", two="tell:begun fine", three="tell:begun fine"))
    assert {name for name, ended in found.items() if ended.result is not None} == {"one", "two", "three"}
    places = {ended.place for name, ended in found.items() if name != "bad"}
    assert found["bad"].place not in places


def test_all_processes_are_gone_once_the_events_are_closed(tmp_path: Path) -> None:
    never = tmp_path / "never"
    events = run_in_pool({"one": f"tell:pid wait:{never}", "two": f"tell:pid wait:{never}"}, TWO, obey)
    pids = [event.content[2] for event in iter_told(events, 2)]
    assert all(map(is_running, pids))
    events.close()
    assert not any(map(is_running, pids))


def iter_told(events: Any, number: int) -> list[TaskTold]:
    found: list[TaskTold] = []
    while len(found) < number:
        event = next(events)
        found += [event] if isinstance(event, TaskTold) else []
    return found


def test_a_process_that_does_not_end_after_its_result_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_pool, "MAX_ENDING_S", 0.2)
    events = run(ONE, lingers="tell:pid linger fine", fails="tell:pid linger broken")
    assert ends(events)["lingers"].result == "tell:pid linger fine"
    assert error_of(ends(events)["fails"]) == "diverged"
    for event in events:
        if isinstance(event, TaskTold):
            assert not is_running(event.content[2])


def test_threads_are_those_of_the_place() -> None:
    assert ends(run([DevicePlace(devices=("cpu:0",), num_threads=3)], task="threads"))["task"].result == 3


def test_the_result_of_several_ranks_is_that_of_the_first() -> None:
    ended = ends(run(PAIR, task="first|second"))["task"]
    assert ended.result == "first"
    assert ended.place.name == "cpu:0+cpu:1"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tell:begun die", "the process on cpu:1 was killed by SIGKILL (out of memory, or killed from outside)"),
        ("tell:begun memory", "rank 1 (cpu:1): out of memory: it does not fit"),
    ],
)
def test_a_rank_that_fails_ends_its_task_and_the_others_for_the_reason_that_it_had(
    words: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_pool, "GRACE_S", 3.0)
    failing = tmp_path / "failing"
    waiting, losing = f"tell:pid wait:{tmp_path / 'never'}", f"tell:pid wait:{failing} bug:connection_closed"
    for first in (waiting, losing):
        failing.unlink(missing_ok=True)
        events = run(PAIR, task=f"{first}|{words.replace('begun', f'begun touch:{failing}')}", next="fine|fine")
        assert error_of(ends(events)["task"]) == expected
        assert ends(events)["next"].result == "fine"
        for event in events:
            if isinstance(event, TaskTold):
                assert not is_running(event.content[2])


STARTS = """
import signal
from pathlib import Path
from perfsuite.measure.device_pool import DevicePlace, TaskTold, run_in_pool
from pool_tasks import obey

# A shell in a script has what it starts in the background ignore SIGINT, and so would everything below.
signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    for event in run_in_pool({"one": "tell:pid wait:never"}, [DevicePlace(devices=("cpu:0",))], obey):
        if isinstance(event, TaskTold):
            Path("pid.part").write_text(str(event.content[2]))
            Path("pid.part").rename("pid")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends a signal at the death of a parent")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_one_that_started_it(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "starts.py").write_text(STARTS)
    paths = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests")))
    process = subprocess.Popen(
        [sys.executable, "starts.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL
    )
    file = tmp_path / "pid"
    deadline = time.monotonic() + PATIENCE_S
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    process.wait(PATIENCE_S)
    wait_until_gone(int(file.read_text()))

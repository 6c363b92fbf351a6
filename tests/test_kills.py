"""Whatever ends a command ends what it started, without a traceback and without waiting."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from generated_images import generated_parts, mirror_files, write_mirror

from perfsuite.child_process import kill_running, running, signals_held, started
from perfsuite.workloads.image_store import load_image_set
from perfsuite.workloads.images import make_image_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[1]
PATIENCE_S = 120.0

NUM_KILLS = int(os.environ.get("PERFSUITE_NUM_KILLS", "4"))
"""Of `ab` and of an import, at random moments. `PERFSUITE_NUM_KILLS=20` asks for more than the tests need."""

SLEEPS = """
import os, pathlib, time
def test_sleeps(benchmark):
    pathlib.Path(__file__).with_name("pid").write_text(str(os.getpid()))
    time.sleep(600)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends a signal at the death of a parent")


def wait_for(condition: Callable[[], object]) -> object:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return False
    return state != "Z"


def start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(arguments, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.fixture(autouse=True)
def hang_up_ends_a_process() -> Iterator[None]:
    """Let processes be ended by SIGHUP: under nohup they would inherit that it is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def ab(tmp_path: Path) -> list[str]:
    (tmp_path / "test_it.py").write_text(SLEEPS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return [
        *(sys.executable, "-m", "perfsuite", "ab", "--baseline", sys.executable, "--candidate", sys.executable),
        *("--processes", "1", "--run-dir", "run", "--", "test_it.py", "-p", "no:cacheprovider"),
    ]


def child_of(folder: Path) -> int:
    file = folder / "pid"
    return int(str(wait_for(lambda: file.exists() and file.read_text())))


QUICK = """
import os, pathlib
def test_quick(benchmark):
    with open(pathlib.Path(__file__).with_name("pids"), "a") as file:
        file.write(f"{os.getpid()}\\n")
    benchmark(sorted, list(range(1000)))
"""


def test_ab_that_is_killed_at_random_moments_loses_and_doubles_nothing(ab: list[str], tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(QUICK)
    pytest_arguments = ab.index("--")
    options = [{"1": "4"}.get(option, option) for option in ab[:pytest_arguments]]  # four processes a side
    command = [*options, "--fail-on", "never", *ab[pytest_arguments:], "--benchmark-max-time=0.01"]
    generator = random.Random(7)  # noqa: S311 - moments, not secrets
    finished: dict[str, bytes] = {}
    num_killed = 0
    for _ in range(NUM_KILLS):
        process = start(command, tmp_path)
        time.sleep(generator.uniform(0.2, 4.0))
        process.kill()
        process.communicate()
        num_killed += process.returncode == -signal.SIGKILL
        for pid in (tmp_path / "pids").read_text().split() if (tmp_path / "pids").exists() else []:
            wait_for(lambda pid=pid: not is_running(int(pid)))  # type: ignore[misc]
        results = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("[0-9]*.json")}
        complete = {name: content for name, content in results.items() if b'"complete": true' in content}
        assert finished.items() <= results.items()  # what was finished is there as it was
        finished = complete
    process = start(command, tmp_path)
    _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, error
    results = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*-*.json")}
    assert finished.items() <= results.items()
    assert len(results) == 8
    assert num_killed >= NUM_KILLS / 4  # the others came after the end
    assert not list((tmp_path / "run").glob(".*.json*"))  # no part of a file is left


def test_an_import_that_is_killed_at_random_moments_leaves_the_whole_set_or_none(tmp_path: Path) -> None:
    write_mirror(mirror_files(generated_parts(400, 100)), tmp_path / "mirror.zip")
    expected = make_image_set(generated_parts(400, 100), source="mirror.zip").fingerprint
    command = [sys.executable, "-m", "perfsuite", "data", "import", "mirror.zip", "--data", "kept/images.npz"]
    generator = random.Random(7)  # noqa: S311 - moments, not secrets
    kept = tmp_path / "kept" / "images.npz"
    for _ in range(NUM_KILLS):
        process = start(command, tmp_path)
        time.sleep(generator.uniform(0.2, 2.5))
        process.kill()
        process.communicate()
        if kept.exists():
            assert load_image_set(kept).fingerprint == expected
            kept.unlink()
    process = start(command, tmp_path)
    _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, error
    assert load_image_set(kept).fingerprint == expected
    assert [path.name for path in kept.parent.iterdir()] == ["images.npz"]
    wait_for(lambda: not processes_in(tmp_path))


def processes_in(folder: Path) -> list[int]:
    """Return the processes that run in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if path.readlink() == folder and is_running(int(path.parts[2])):
                found.append(int(path.parts[2]))
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_nothing_measures_on_when_ab_is_ended(number: signal.Signals, ab: list[str], tmp_path: Path) -> None:
    process = start(ab, tmp_path)
    child = child_of(tmp_path)
    process.send_signal(number)
    _, error = process.communicate(timeout=PATIENCE_S)
    wait_for(lambda: not is_running(child))
    assert "Traceback" not in error
    assert process.returncode == (-number if number == signal.SIGKILL else 130)


def test_two_quick_interrupts_end_ab_and_its_process_at_once(ab: list[str], tmp_path: Path) -> None:
    # A process that ignores the first one: the second must not wait for it.
    (tmp_path / "test_it.py").write_text(SLEEPS.replace("    time.sleep", "    ignore()\n    time.sleep") + IGNORES)
    process = start(ab, tmp_path)
    child = child_of(tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "Traceback" not in error
    wait_for(lambda: not is_running(child))


IGNORES = """
def ignore():
    import signal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
"""


def test_a_process_that_outlives_the_run_holds_its_lock(tmp_path: Path) -> None:
    code = (
        "import sys, os, subprocess\n"
        "from pathlib import Path\n"
        "from perfsuite.folder_lock import folder_locked\n"
        "from perfsuite import child_process\n"
        "child_process._parent_death_signal = lambda: lambda: None\n"
        "with folder_locked(Path('run')) as lock:\n"
        "    sleeping = child_process.started(['sleep', '600'], held=lock, stdout=-3, stderr=-3)\n"
        "    print(sleeping.__enter__().pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    )
    child = int(done.stdout)
    try:
        held = (
            "from pathlib import Path\n"
            "from perfsuite.folder_lock import folder_locked\n"
            "with folder_locked(Path('run')): pass\n"
        )
        again = subprocess.run(
            [sys.executable, "-c", held], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
        )
        assert "in use by a process that was started by process" in again.stderr
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_process_and_what_it_started_is_killed_when_its_block_is_left(tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/grandchild; wait"
    with contextlib.suppress(ZeroDivisionError), started(["/bin/sh", "-c", script]) as process:
        file = tmp_path / "grandchild"
        grandchild = int(str(wait_for(lambda: file.exists() and file.read_text().strip())))
        assert process in running
        raise ZeroDivisionError
    wait_for(lambda: not is_running(grandchild))
    assert process not in running
    kill_running()  # nothing is left


IMPORTS = """
import os, sys, threading
from perfsuite.workloads import decoding

class Slow(bytes):
    def __reduce__(self):
        return (slow, ())

def slow():
    import os, time
    with open("workers", "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(600)

def main():
    decoding.CHUNK = 1
    decoding.os.sched_getaffinity = lambda _: {0, 1}
    decoding.decode_images([("a", Slow())] * 4, decoding.TargetSize(size=32))

if __name__ == "__main__":
    import signal
    from perfsuite import cli
    cli.main = main
    cli.run()
"""


@pytest.mark.parametrize("numbers", [(signal.SIGKILL,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)])
def test_no_worker_of_an_import_is_left(numbers: tuple[signal.Signals, ...], tmp_path: Path) -> None:
    (tmp_path / "imports.py").write_text(IMPORTS)
    process = start([sys.executable, "imports.py"], tmp_path)
    file = tmp_path / "workers"
    workers = str(wait_for(lambda: file.exists() and file.read_text().count("\n") >= 2 and file.read_text())).split()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.02)
    _, error = process.communicate(timeout=PATIENCE_S)
    for worker in workers:
        wait_for(lambda worker=worker: not is_running(int(worker)))  # type: ignore[misc]
    assert "Traceback" not in error
    assert process.returncode in {*(-number for number in numbers), 130}


def test_a_signal_that_another_thread_takes_is_held_too() -> None:
    """The mask of signals is a thread's own: libraries have threads that take what this one holds."""
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    seen: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("handled"))
    try:
        with signals_held("SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
            seen.append("end of the block")
        assert seen == ["end of the block", "handled"]
    finally:
        signal.signal(signal.SIGTERM, before)
        end.set()
        other.join()


def test_a_signal_in_the_midst_of_a_wait_leaves_no_process_and_waits_for_none() -> None:
    """What `Popen.wait` does between taking its lock and the next line may be the last that it does."""
    begun = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt), started(["sleep", "600"]) as process:
        process._waitpid_lock.acquire()  # type: ignore[attr-defined]
        raise KeyboardInterrupt
    assert time.monotonic() - begun < PATIENCE_S
    assert not is_running(process.pid)
    assert process.returncode == -signal.SIGKILL


def test_a_signal_while_a_process_is_started_is_neither_lost_nor_loses_the_process() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    script = f"kill -TERM {os.getpid()}; exec sleep 600"
    begun: list[int] = []

    def start_and_wait() -> None:  # a function: the process of the round before would end, deaf, as this one starts
        with contextlib.suppress(KeyboardInterrupt), started(["/bin/sh", "-c", script]) as process:
            begun.append(process.pid)
            begun.append(process.wait(PATIENCE_S))

    try:
        for _ in range(20):
            start_and_wait()
            assert not running
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(begun) <= 20  # every signal came: no process was waited for
    assert not any(is_running(pid) for pid in begun)

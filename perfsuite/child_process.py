"""Processes that end with the one that started them. Imports nothing large: every worker process imports this."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import ProcessPoolExecutor
    from pathlib import Path

PR_SET_PDEATHSIG = 1
"""Source: prctl(2)."""

LOOK_S = 1.0
"""Between two looks for the parent, where the operating system sends no signal."""

MAX_LOG_END_BYTES = 4000
"""Bytes at the end of a log, in which the last line is looked for."""

running: set[subprocess.Popen[bytes]] = set()
"""Processes in groups of their own, which a Ctrl-C does not reach; see `kill_running`."""


def kill_running() -> None:
    """Kill them and what they have started; for a process that is about to end."""
    for process in list(running):
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process of `start` and what it has started."""
    with contextlib.suppress(OSError):
        if process.poll() is None and hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


@contextlib.contextmanager
def started(command: list[str], *, held: int | None = None, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that ends when this one does, however that ends; killed where the block is left while it runs.

    It is in a process group of its own: a Ctrl-C in the terminal reaches this process alone, which decides.

    Args:
        command: What to run.
        held: A file descriptor that stays open in it: a lock is held until the process ends too.
        options: Of `subprocess.Popen`.
    """
    process: subprocess.Popen[bytes] | None = None
    try:
        # What a signal raises while a process is started would be lost, or lose the process.
        with signals_held("SIGINT", "SIGTERM", "SIGHUP") as mask:
            if sys.platform != "win32":
                passed = () if held is None else (held,)
                options |= {"process_group": 0, "preexec_fn": _first_in_child(mask), "pass_fds": passed}
            process = subprocess.Popen(command, **options)  # type: ignore[call-overload]  # noqa: S603 - the caller's command
            running.add(process)
        yield process
    finally:
        if process is not None:
            if process.poll() is None:
                kill(process)
                _reap(process)
            running.discard(process)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that was killed.

    Not by `Popen.wait`: a signal that comes while the block waits can leave the lock of that object taken for good.
    """
    if sys.platform == "win32":
        process.wait()
        return
    with contextlib.suppress(ChildProcessError):  # it was waited for when the signal came
        _, status = os.waitpid(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)


def _first_in_child(mask: set[signal.Signals]) -> Callable[[], None]:
    """Return what a new process does first: it takes signals again, and is killed when this one ends.

    Where there is no signal for the death of a parent (only Linux has it), the process may outlive it.
    """
    parent = os.getpid()
    set_signal = _parent_death_signal()

    def arrange() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        set_signal()
        if os.getppid() != parent:  # it ended before the signal was asked for
            os._exit(1)

    return arrange


def ended_in_words(status: int | None) -> str:
    """Return how a process ended.

    Args:
        status: Its exit status; negative: the number of the signal that ended it.
    """
    if status is None or status >= 0:
        return f"ended with status {status}"
    name = f"signal {-status}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-status).name
    hint = " (out of memory, or killed from outside)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"


def log_end(log: Path, num_bytes: int) -> str:
    """Return the last bytes of what a process wrote as text; nothing where it cannot be read."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - num_bytes))
            return stream.read(num_bytes).decode("utf-8", "replace")
    except OSError:
        return ""


def last_words(log: Path) -> str:
    """Return the last line that a process wrote, which may say why it ended; nothing where it wrote none.

    Warnings are left out: torch writes some whenever there are several ranks.
    """
    lines = [line.strip() for line in log_end(log, MAX_LOG_END_BYTES).splitlines()]
    telling = [line for line in lines if line and "warning" not in line.lower()]
    return telling[-1][:200] if telling else ""


def worker_started(parent: int) -> None:
    """Let a worker process end when `parent` does, and leave a Ctrl-C to that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _parent_death_signal()()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(1)


def _parent_death_signal() -> Callable[[], object]:
    """Return what asks Linux for the signal; found before a fork, after which little may be done."""
    if sys.platform != "linux":
        return lambda: None
    import ctypes

    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return lambda: None
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


MAX_ENDING_S = 5.0
"""How long the end of a pool whose processes were killed is waited for; it takes milliseconds."""


def kill_pool(pool: ProcessPoolExecutor) -> None:
    """End a pool at once, whatever its processes are doing.

    Told of a shutdown first, the pool would wait for ever: for the rest of a result that a killed process was writing,
    or for a killed process to take the next chunk out of a pipe. Told first that its processes are gone, it closes its
    pipes. A public way comes with Python 3.14 (`kill_workers`).
    """
    manager = getattr(pool, "_executor_manager_thread", None)
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()
    # The last writer of the pipe that results come from: now reading it ends.
    results = getattr(pool, "_result_queue", None)
    if results is not None:
        results._writer.close()  # noqa: SLF001 - see above
    if manager is not None:
        manager.join(MAX_ENDING_S)
    pool.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def signals_held(*names: str) -> Iterator[set[signal.Signals]]:
    """Deliver signals only at the end of the block; processes started in it never get them unless they ask for them.

    Yields:
        Which signals were held before.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield set()
        return
    numbers = [signal.Signals(getattr(signal, name)) for name in names]
    caught: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        with contextlib.ExitStack() as handlers:
            # The mask is that of this thread alone. Another one takes the signal, and Python runs its handler here.
            if threading.current_thread() is threading.main_thread():
                _catch(numbers, caught, handlers)
            yield {signal.Signals(number) for number in before}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in dict.fromkeys(caught):
            signal.raise_signal(number)


def _catch(numbers: list[signal.Signals], caught: list[int], handlers: contextlib.ExitStack) -> None:
    """Note signals instead of acting on them, until the handlers are put back."""

    def note(number: int, _: object) -> None:
        caught.append(number)

    for number in numbers:
        handler = signal.getsignal(number)
        if handler is not None and handler is not signal.SIG_IGN:
            handlers.callback(signal.signal, number, handler)
            signal.signal(number, note)

"""Processes of their own that have imported torch before: forked from a server, which takes a tenth of the time.

Each is a real process, which may be killed, hang or abort. Only their parent is another one, the server: that a process
ends with the one that started it is tested with processes that are started as users start them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.measure import device_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.context import ForkServerContext, ForkServerProcess

TESTS = Path(__file__).parent
PATHS = (TESTS.parent, TESTS, TESTS / "plugin", TESTS / "measure")
LOOK_S = 0.5


def forking_context() -> ForkServerContext:
    """Return the context of processes that have imported torch; all tests of a worker have one server."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["preloaded"])
    with pytest.MonkeyPatch.context() as patch:  # of the server's environment
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, PATHS)))
        patch.setenv("OMP_NUM_THREADS", "1")
        multiprocessing.forkserver.ensure_running()
    return context


class Forked:
    """A process, used as a `subprocess.Popen` is."""

    def __init__(
        self,
        target: Callable[..., int],
        *arguments: Any,
        output: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start it.

        Args:
            target: Called in the process; what it returns is the exit status.
            arguments: Of the target.
            output: Where all that the process writes goes.
            cwd: Its working folder.
            env: All of its variables.
        """
        variables = dict(os.environ if env is None else env)
        self._process: ForkServerProcess = forking_context().Process(
            target=_run, args=(target, arguments, variables, str(cwd or Path.cwd()), str(output))
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return the exit status, or less than 0: the signal."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit status of a process that has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            TimeoutError: It goes on.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it."""
        self._process.kill()


def _run(
    target: Callable[..., int], arguments: tuple[Any, ...], variables: Mapping[str, str], folder: str, output: str
) -> None:
    _surround(variables, folder)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    # Buffered as the output of a process is that writes into a file.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - until the process ends
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115 - the same
    sys.exit(target(*arguments))


def _surround(variables: Mapping[str, str], folder: str) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    sys.path[:0] = [path for path in variables.get("PYTHONPATH", "").split(os.pathsep) if path]


def run_pytest(arguments: Sequence[str]) -> int:
    """Run pytest as `python -m pytest` does: what lies in the working folder can be imported."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    sys.path.insert(0, str(Path.cwd()))
    return int(pytest.main(list(arguments)))


def run_perfsuite(arguments: Sequence[str]) -> int:
    """Run a command as `python -m perfsuite` does."""
    from perfsuite.cli import main

    return main(list(arguments))


@contextlib.contextmanager
def pool_forked() -> Iterator[None]:
    """Fork the processes of `device_pool.run_in_pool`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_pool, "get_context", _PoolContext)
        yield


class _PoolContext:
    """Stands for the `spawn` context of the pool."""

    def __init__(self, _method: str) -> None:
        self._context = forking_context()
        self.Pipe = self._context.Pipe

    def Process(self, *, target: Callable[..., Any], args: tuple[Any, ...]) -> ForkServerProcess:  # noqa: N802
        """Return a process that does the same with the variables and the folder of this one."""
        return self._context.Process(target=_pooled, args=(target, args, dict(os.environ), str(Path.cwd())))


def _pooled(target: Callable[..., Any], arguments: tuple[Any, ...], variables: dict[str, str], folder: str) -> None:
    _surround(variables, folder)
    device_pool.worker_started = _end_with  # type: ignore[attr-defined]
    target(*arguments)


def _end_with(parent: int) -> None:
    """End when the one that asked for this process does; its parent is the server."""

    def look() -> None:
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(parent, 0)
                time.sleep(LOOK_S)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()

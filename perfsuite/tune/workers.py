"""Where trainings run: in this process, or in several that end with it."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Protocol

from perfsuite.child_process import kill_pool, signals_held, worker_started
from perfsuite.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Workers(Protocol):
    """Runs functions."""

    def submit(self, run: Callable[..., Any], task: Any) -> Future[Any]:
        """Begin to run a function."""
        ...

    def any_done(self, running: list[Future[Any]]) -> list[Future[Any]]:
        """Wait until one of them has ended, and return those that have.

        Raises:
            MeasurementError: A process was ended.
        """
        ...


class InProcess:
    """Runs a function when it is submitted."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report

    def submit(self, run: Callable[..., Any], task: Any) -> Future[Any]:
        """Run it to its end."""
        future: Future[Any] = Future()
        future.set_result(run(task, self._report))
        return future

    def any_done(self, running: list[Future[Any]]) -> list[Future[Any]]:
        """Return them: all have ended."""
        return running


class InProcesses:
    """Runs functions in a pool of fresh interpreters: one that was forked from torch's threads may hang."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def submit(self, run: Callable[..., Any], task: Any) -> Future[Any]:
        """Have a process run it."""
        with signals_held("SIGINT"):
            return self._pool.submit(run, task)

    def any_done(self, running: list[Future[Any]]) -> list[Future[Any]]:
        """Wait until one has ended."""
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
            raise MeasurementError(
                "a worker could not be started, or was killed: out of memory, or killed from outside; the same "
                "command resumes, perhaps with fewer --workers"
            )
        return [future for future in running if future in done]


@contextlib.contextmanager
def workers_started(num: int, report: Callable[[str], None]) -> Iterator[Workers]:
    """Give this process, or several, until the end of the block; they are killed where it is left by an error.

    Args:
        num: How many.
        report: Called with the current stage if the work is done in this process.
    """
    if num == 1:
        yield InProcess(report)
        return
    pool = ProcessPoolExecutor(
        num, mp_context=get_context("spawn"), initializer=worker_started, initargs=(os.getpid(),)
    )
    try:
        yield InProcesses(pool)
    except BaseException:
        kill_pool(pool)
        raise
    pool.shutdown()

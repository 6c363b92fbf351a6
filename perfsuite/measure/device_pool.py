"""Tasks spread over the devices of one machine: one process a device, the next task to whichever is free.

The process that starts them only waits for what they tell. It uses no device itself, and imports no torch for this.
"""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite import errors
from perfsuite.child_process import ended_in_words, last_words, signals_held, worker_started
from perfsuite.errors import DeviceLostError, DeviceUnavailableError, MeasurementError, PerfsuiteError
from perfsuite.formatting import first_line, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    Run = Callable[[Any, "Seat", Callable[[Any], None]], Any]
    """Runs a task in a process: given the task, where it runs, and what tells the first process something."""

LOOK_S = 1.0
"""Between two looks at what does not announce itself: a process that has said its last and does not end."""

MAX_ENDING_S = 60.0
"""From a process's result to its end; it gives back the memory of its device in that time, then it is killed."""

GRACE_S = 3.0
"""From the first sign that one of several ranks has failed until all are killed: the others may know the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlace:
    """Where one task runs at a time.

    Attributes:
        devices: `cuda:1`; several of them for a task of several ranks.
        num_threads: Threads of each of its processes that compute on a CPU; None for as many as torch takes.
    """

    devices: tuple[str, ...]
    num_threads: int | None = None

    @property
    def name(self) -> str:
        """Return it as people read it."""
        return "+".join(self.devices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where one process of a task runs.

    Attributes:
        device: `cuda:1` or `cpu:1`.
        rank: Its number among the processes of the task.
        world_size: How many there are.
        num_threads: To compute with on a CPU; None for as many as torch takes.
        meeting_point: Path of a file that does not exist yet, through which they find each other.
    """

    device: str
    rank: int
    world_size: int
    num_threads: int | None
    meeting_point: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskBegan:
    """A task has been given a place."""

    name: str
    place: DevicePlace


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTold:
    """A process of a task, that of rank 0 mostly, tells something."""

    name: str
    content: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnded:
    """A task has ended, and its place is free.

    Attributes:
        name: Of the task.
        place: Where it ran.
        result: What rank 0 returned; None where there is an error.
        error: Why there is no result.
        details: The traceback of an error that is not one of the suite's own; empty otherwise.
        is_retired: Whether the place gets no more tasks: it would fail one after the other.
    """

    name: str
    place: DevicePlace
    result: Any = None
    error: Exception | None = None
    details: str = ""
    is_retired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """What a process says of its end; `kind` is the name of a class of `errors`, empty for any other exception."""

    kind: str
    message: str
    details: str = ""

    def error(self) -> Exception:
        found = getattr(errors, self.kind, None) if self.kind else None
        if isinstance(found, type) and issubclass(found, PerfsuiteError):
            return found(self.message)
        return RuntimeError(self.message)


@dataclass(slots=True, kw_only=True)
class _Rank:
    """One process of a task."""

    process: SpawnProcess
    connection: Connection[Any, Any]
    device: str
    log: Path
    result: Any = None
    is_done: bool = False
    failure: _Failure | None = None
    has_told: bool = False
    is_open: bool = True

    @property
    def has_ended(self) -> bool:
        return not self.is_open and not self.process.is_alive()

    def close(self) -> None:
        """Hear nothing more."""
        self.is_open = False
        self.connection.close()

    def death(self) -> _Failure | None:
        """Return that it ended without a word, and how; None where it said its last or runs."""
        if self.is_done or self.failure is not None or not self.has_ended:
            return None
        words = last_words(self.log)
        said = f"; its last output: {words}" if words else ""
        return _Failure(
            kind=MeasurementError.__name__,
            message=f"the process on {self.device} {ended_in_words(self.process.exitcode)}{said}",
        )


@dataclass(slots=True, kw_only=True)
class _Running:
    """A task that has a place."""

    name: str
    place: DevicePlace
    folder: tempfile.TemporaryDirectory[str]
    ranks: list[_Rank] = field(default_factory=list)
    kill_at: float | None = None

    def failures(self) -> list[_Failure]:
        """Return why it has failed, the most telling first: a process that died, then errors of the suite's own.

        The others lose their connection to the one that failed, and say so.
        """
        died, told = [], []
        for rank in self.ranks:
            death = rank.death()
            if death is not None:
                died.append(death)
            if rank.failure is not None:
                told.append(rank.failure)
        return died + sorted(told, key=lambda failure: not failure.kind)

    def ended(self) -> TaskEnded | None:
        """Return how it ended once all its processes have."""
        if not all(rank.has_ended for rank in self.ranks):
            return None
        failures = self.failures()
        if not failures:
            return TaskEnded(name=self.name, place=self.place, result=self.ranks[0].result)
        error = failures[0].error()
        never_began = not any(rank.has_told or rank.failure is not None for rank in self.ranks)
        return TaskEnded(
            name=self.name,
            place=self.place,
            error=error,
            details=failures[0].details,
            is_retired=never_began or isinstance(error, DeviceLostError | DeviceUnavailableError),
        )


def run_in_pool(
    tasks: Mapping[str, Any], places: Sequence[DevicePlace], run: Run
) -> Generator[TaskBegan | TaskTold | TaskEnded]:
    """Run tasks in their order, each in processes of its own at the first place that is free, and yield what happens.

    All processes are killed where the generator is closed, and end where this process does. A place whose device was
    lost gets no more tasks, nor does one whose process ended before it could tell anything: the tasks that are left
    when there is no place any more are never begun.

    Args:
        tasks: By name; each, as well as `run`, can be pickled.
        places: Where.
        run: Runs a task.
    """
    waiting, free = list(tasks), list(places)
    running: list[_Running] = []
    try:
        while running or (waiting and free):
            while waiting and free:
                name, place = waiting.pop(0), free.pop(0)
                running.append(_started(name, tasks[name], place, run))
                yield TaskBegan(name=name, place=place)
            for one, rank in _wait_for_messages(running):
                yield from _told(one, rank)
            for one in list(running):
                _close_if_silent(one)
                _kill_if_due(one)
                ended = one.ended()
                if ended is None:
                    continue
                running.remove(one)
                one.folder.cleanup()
                if not ended.is_retired:
                    free.append(one.place)
                yield ended
    finally:
        _kill([rank for one in running for rank in one.ranks])
        for one in running:
            one.folder.cleanup()


def _started(name: str, task: Any, place: DevicePlace, run: Run) -> _Running:
    """Start the processes of a task."""
    context = get_context("spawn")  # one that was forked from torch's threads may hang
    folder = tempfile.TemporaryDirectory(prefix="perfsuite-", ignore_cleanup_errors=True)
    found = _Running(name=name, place=place, folder=folder)
    for rank, device in enumerate(place.devices):
        receiver, sender = context.Pipe(duplex=False)
        log = Path(folder.name) / f"rank-{rank}.log"
        seat = Seat(
            device=device,
            rank=rank,
            world_size=len(place.devices),
            num_threads=place.num_threads,
            meeting_point=str(Path(folder.name) / "meeting-point"),
        )
        process = context.Process(target=_child, args=(sender, os.getpid(), str(log), run, task, seat))
        with signals_held("SIGINT"):
            process.start()
        sender.close()  # ours: the end of the process is then the end of what it tells
        found.ranks.append(_Rank(process=process, connection=receiver, device=device, log=log))
    return found


def _wait_for_messages(running: Sequence[_Running]) -> list[tuple[_Running, _Rank]]:
    """Return the processes that have told something, as soon as one has, one has ended, or it is time to look."""
    by_connection = {}
    sentinels = []
    for one in running:
        for rank in one.ranks:
            if rank.is_open:
                by_connection[rank.connection] = (one, rank)
            if rank.process.is_alive():
                sentinels.append(rank.process.sentinel)
    ready = wait([*by_connection, *sentinels], LOOK_S)
    return [by_connection[connection] for connection in ready if connection in by_connection]


def _told(one: _Running, rank: _Rank) -> Generator[TaskTold]:
    """Read one message of a process."""
    try:
        kind, content = rank.connection.recv()
    except (EOFError, OSError):
        rank.close()
        return
    rank.has_told = True
    if kind == "told":
        yield TaskTold(name=one.name, content=content)
    elif kind == "done":
        rank.result, rank.is_done = content, True
    else:
        rank.failure = content


def _close_if_silent(one: _Running) -> None:
    """Close the connection of a process that has ended: something that it started may hold the other end."""
    for rank in one.ranks:
        if rank.is_open and not rank.process.is_alive() and not rank.connection.poll():
            rank.close()


def _kill_if_due(one: _Running) -> None:
    """Kill the processes of a task that has failed, or that have said their last long ago."""
    if one.kill_at is None:
        patience_s = _patience_s(one)
        one.kill_at = None if patience_s is None else time.monotonic() + patience_s
    elif time.monotonic() > one.kill_at:
        for rank in one.ranks:
            has_said_its_last = rank.is_done or rank.failure is not None
            if not has_said_its_last and not rank.has_ended:
                rank.is_done = True  # killed for what another one did: that is no reason of its own
        _kill(one.ranks)


def _patience_s(one: _Running) -> float | None:
    """Return how long the end of a task's processes is waited for from now on; None while they have something to do."""
    if one.failures():
        return MAX_ENDING_S if len(one.ranks) == 1 else GRACE_S
    return MAX_ENDING_S if all(rank.is_done for rank in one.ranks) else None


def _kill(ranks: list[_Rank]) -> None:
    with signals_held("SIGINT", "SIGTERM", "SIGHUP"):
        for rank in ranks:
            rank.process.kill()
        for rank in ranks:
            rank.process.join()
            rank.close()


def _child(connection: Connection[Any, Any], parent: int, log: str, run: Run, task: Any, seat: Seat) -> None:
    """Run a task in its own process, and say how it ended."""
    worker_started(parent)
    _write_to(log)
    message: tuple[str, Any]
    where = "" if seat.world_size == 1 else f"rank {seat.rank} ({seat.device}): "
    try:
        message = "done", run(task, seat, lambda content: connection.send(("told", content)))
    except PerfsuiteError as error:
        message = "failed", _Failure(kind=type(error).__name__, message=where + str(error))
    except Exception as error:  # noqa: BLE001 - told to the process that waits for it
        words = one_line(f"{where}{type(error).__name__}: {first_line(error)}")
        message = "failed", _Failure(kind="", message=words, details=traceback.format_exc())
    connection.send(message)
    connection.close()


def _write_to(log: str) -> None:
    """Have all that this process writes in a file: the terminal is that of the first one."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)

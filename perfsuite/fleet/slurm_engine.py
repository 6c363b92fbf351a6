"""Nodes of Slurm: a job of submitit holds each, alone. The only module that imports submitit, which is an extra.

Results come home through a folder that head and nodes share, as bytes; no pickle of a job's result is read.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import FleetError, InstallationError
from perfsuite.fleet.engine import Ended, Event, Lost, Node, Started, Told
from perfsuite.fleet.node_run import read_result
from perfsuite.fleet.slurm_agent import END, HEAD, ORDER, SAID, STOP, read_or_none, run_agent
from perfsuite.fleet.state import safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from perfsuite.fleet.engine import Order
    from perfsuite.fleet.plan import FleetPlan, Kind

try:
    import submitit
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "submitit":
        raise
    raise InstallationError(
        "perfsuite fleet --engine slurm needs submitit, which is not installed: pip install 'perfsuite[fleet]'"
    ) from None

FOLDER = "slurm"
"""In the folder of the fleet: what head and jobs tell each other."""

HEAD_LOST_S = 120.0
"""After which a job ends where the head gives no sign; it gives one every five seconds."""

JOB_LOST_S = 120.0
"""After which a job that gave a sign before, and gives none, is taken for lost. Slurm itself may know later."""

JOB_MINUTES = 24 * 60
"""How long a job may take, where the kind does not say `time`; one that Slurm ends is submitted again."""

MAX_EARLY_ENDS = 3
"""Jobs that end before their agent says anything, until the fleet ends. A choice."""

LOCAL = "local"
"""submitit's executor that runs jobs on this machine; for tests, and to try a plan."""

LOOK_S = 0.5


@dataclass(slots=True, kw_only=True)
class _Seat:
    """A job that holds a node, or waits for one.

    Attributes:
        number: Of the seat.
        kind: Of machines.
        box: Its folder.
        job: Of submitit.
        host: Once it runs, the name of its node.
        attempt: What it runs.
        said: What it said last.
        said_s: When that was.
        is_started: Whether it took the order.
    """

    number: int
    kind: str
    box: Path
    job: Any
    host: str | None = None
    attempt: int | None = None
    said: Mapping[str, Any] | None = None
    said_s: float = 0.0
    is_started: bool = False


class SlurmEngine:
    """Runs processes on nodes of Slurm; see `Engine`."""

    def __init__(self, plan: FleetPlan, folder: Path, *, cluster: str = "slurm") -> None:
        """Clear the folder that jobs are told in; nothing is submitted yet."""
        check_plan(plan)
        self._cluster = cluster
        self._kinds = {kind.name: kind for kind in plan.kinds}
        self._folder = folder.absolute() / FOLDER
        self._seats: list[_Seat] = []
        self._num_seats = 0
        self._num_signs = 0
        self._signed_s = float("-inf")
        self._num_early_ends = 0
        self._events: list[Event] = []
        shutil.rmtree(self._folder, ignore_errors=True)  # jobs of a head that was killed end when it is gone
        (self._folder / "jobs").mkdir(parents=True)

    @property
    def where(self) -> str:
        """Where the nodes are, in words."""
        return "Slurm" if self._cluster != LOCAL else "this machine"

    def nodes(self, wanted: Mapping[str, int]) -> Sequence[Node]:
        """Return the nodes that jobs hold; submit jobs where more are wanted, and end those that are not."""
        self._sign()
        for seat in list(self._seats):
            self._look_after(seat)
        for kind, number in wanted.items():
            seats = [seat for seat in self._seats if seat.kind == kind]
            for _ in range(len(seats), number):
                self._submit(self._kinds[kind])
            idle = [seat for seat in seats if seat.attempt is None]
            for seat in idle[: max(0, len(seats) - number)]:
                self._dismiss(seat)
        return [Node(name=name, kind=seat.kind) for name, seat in self._named().items()]

    def start(self, node: str, order: Order) -> None:
        """Begin to run a process."""
        seat = self._named()[node]
        seat.attempt, seat.is_started = order.attempt, False
        write_atomically(seat.box / ORDER, json.dumps(order.to_json()))

    def stop(self, attempt: int) -> None:
        """Let a process end."""
        for seat in self._seats:
            if seat.attempt == attempt:
                write_atomically(seat.box / STOP, json.dumps({"attempt": attempt}))

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Return what has happened."""
        end_s = time.monotonic() + timeout_s
        while True:
            self._sign()
            for seat in list(self._seats):
                self._look_after(seat)
            if self._events or time.monotonic() >= end_s:
                found, self._events = self._events, []
                return found
            time.sleep(min(LOOK_S, timeout_s))

    def close(self, patience_s: float) -> None:
        """Stop all processes, then end all jobs."""
        for seat in self._seats:
            if seat.attempt is not None:
                self.stop(seat.attempt)
        end_s = time.monotonic() + patience_s
        while any(seat.attempt is not None and seat.is_started for seat in self._seats) and time.monotonic() < end_s:
            self.events(LOOK_S)
        for seat in list(self._seats):
            self._dismiss(seat)

    def _submit(self, kind: Kind) -> None:
        self._num_seats += 1
        box = self._folder / str(self._num_seats)
        box.mkdir()
        executor = submitit.AutoExecutor(folder=self._folder / "jobs", cluster=self._cluster)
        executor.update_parameters(**job_parameters(kind))
        try:
            job = executor.submit(run_agent, str(box), HEAD_LOST_S)
        except (OSError, RuntimeError, submitit.core.utils.FailedJobError) as error:
            raise FleetError(f"kinds.{kind.name}: a job cannot be submitted: {str(error)[:300]}") from None
        self._seats.append(_Seat(number=self._num_seats, kind=kind.name, box=box, job=job, said_s=time.monotonic()))

    def _named(self) -> dict[str, _Seat]:
        """Return the seats that hold a node, by a name: that of the host, with a number where several share it."""
        seats = [seat for seat in self._seats if seat.host is not None]
        counts = Counter(seat.host for seat in seats)
        return {
            f"{seat.host}.{seat.number}" if self._cluster == LOCAL or counts[seat.host] > 1 else str(seat.host): seat
            for seat in seats
        }

    def _look_after(self, seat: _Seat) -> None:
        """Take note of what a job said, of its answer, and of its end."""
        now_s = time.monotonic()
        said = read_or_none(seat.box / SAID)
        if said is not None and said != seat.said:
            seat.said, seat.said_s = said, now_s
            seat.host = safe_name(str(said.get("host")))
            if seat.attempt is not None and said.get("attempt") == seat.attempt:
                self._note_started(seat)
                self._events.append(Told(attempt=seat.attempt, line=str(said.get("line"))[:100]))
        if seat.attempt is not None and (seat.box / f"answer{seat.attempt}.json").exists():
            self._note_started(seat)
            self._events.append(_read_answer(seat.box, seat.attempt))
            seat.attempt = None
        elif seat.job.done():
            self._lose(seat, "its job ended")
        elif seat.host is not None and now_s - seat.said_s > JOB_LOST_S:
            self._lose(seat, f"its job gave no sign for {JOB_LOST_S:.0f} s")

    def _note_started(self, seat: _Seat) -> None:
        if not seat.is_started and seat.attempt is not None:
            seat.is_started = True
            self._events.append(Started(attempt=seat.attempt))

    def _lose(self, seat: _Seat, reason: str) -> None:
        if seat.host is None:
            self._num_early_ends += 1
            if self._num_early_ends >= MAX_EARLY_ENDS:
                log = seat.job.paths.stderr
                raise FleetError(f"kinds.{seat.kind}: {MAX_EARLY_ENDS} jobs ended before they had begun: see {log}")
        if seat.attempt is not None:
            self._events.append(Lost(attempt=seat.attempt, reason=f"on {seat.host}: {reason}"))
            seat.attempt = None
        self._dismiss(seat)

    def _dismiss(self, seat: _Seat) -> None:
        self._seats.remove(seat)
        (seat.box / END).touch()
        if seat.host is None or seat.attempt is not None:  # in the queue, or it does not stop
            seat.job.cancel(check=False)

    def _sign(self) -> None:
        """Give the jobs a sign that the head is there."""
        now_s = time.monotonic()
        if now_s - self._signed_s >= HEAD_LOST_S / 24:
            self._signed_s = now_s
            self._num_signs += 1
            write_atomically(self._folder / HEAD, json.dumps({"number": self._num_signs}))


def check_plan(plan: FleetPlan) -> None:
    """Check that Slurm can do it.

    Raises:
        FleetError: The plan asks for what only Ray does, or does not say how many jobs.
    """
    for kind in plan.kinds:
        if kind.num_nodes is None:
            raise FleetError(f"kinds.{kind.name}: --engine slurm needs nodes = N, the number of jobs at once")
    for one in plan.environments:
        if one.python is None:
            raise FleetError(f"environments.{one.name}: --engine slurm needs python; pip and uv are Ray's")
    if plan.ship:
        raise FleetError("[fleet]: --engine slurm needs a checkout that nodes share; leave ship out")


def job_parameters(kind: Kind) -> dict[str, Any]:
    """Return what submitit is told: a whole node for one task, and the kind's own options of sbatch."""
    return {
        "name": f"perfsuite-{kind.name}",
        "nodes": 1,
        "tasks_per_node": 1,
        "timeout_min": JOB_MINUTES,
        "slurm_additional_parameters": {"exclusive": True, **kind.slurm},
    }


def _read_answer(box: Path, attempt: int) -> Ended:
    """Return the answer of a job, and remove its files."""
    answer = read_or_none(box / f"answer{attempt}.json") or {}
    status, duration_s = answer.get("status"), answer.get("duration_s")
    ended = Ended(
        attempt=attempt,
        status=status if isinstance(status, int) else -1,
        result=read_result(box / f"result{attempt}"),
        log=(read_result(box / f"log{attempt}") or b"").decode("utf-8", "replace"),
        duration_s=float(duration_s) if isinstance(duration_s, int | float) else 0.0,
    )
    for name in (f"answer{attempt}.json", f"result{attempt}", f"log{attempt}"):
        (box / name).unlink(missing_ok=True)
    return ended

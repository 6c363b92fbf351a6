"""Nodes of a Ray cluster: an actor on each takes all of its CPUs and GPUs, so that nothing else of Ray runs there.

The only module that imports Ray, which is an extra. Results come home through Ray's object store, as bytes.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.errors import FleetError, InstallationError
from perfsuite.fleet.engine import Ended, Event, Lost, Node, Started, Told
from perfsuite.fleet.node_run import NodeProcess
from perfsuite.fleet.ray_nodes import kind_of_node, named, runtime_env_of
from perfsuite.formatting import first_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.fleet.engine import Order
    from perfsuite.fleet.plan import FleetPlan

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported

try:
    import ray
    from ray.exceptions import RayError, RuntimeEnvSetupError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "ray":
        raise
    raise InstallationError(
        "perfsuite fleet needs Ray, which is not installed: pip install 'perfsuite[fleet]' (for Slurm: --engine slurm)"
    ) from None

WAIT_S = 5.0
"""How long a node waits until it tells how far it is: the process that it measures must not be disturbed."""

AVOID_S = 20.0
"""How long a node that lost a process is given none: Ray takes that long to notice that a node has died. Source: tried,
12 s with Ray 2.60 (health checks 5 times every 3 s)."""

CONNECT_S = 10.0
"""How long an address may take to answer. A choice."""

IDLE_S = 60.0
"""After which an actor that has nothing to do gives its node back, for others to use."""

EXCLUDES = (".git", ".tox", ".venv", "results", "**/__pycache__", "*.npz", "*.pt")
"""What of a checkout is not shipped; at most 500 MiB can be. Source: Ray, Environment Dependencies."""


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """A process on its way.

    Attributes:
        number: Of the attempt.
        node: Where.
        actor: What runs it.
        waiting: For what it says next.
        is_started: Whether it has said anything.
    """

    number: int
    node: str
    actor: Any
    waiting: Any
    is_started: bool = False


class RayEngine:
    """Runs processes on the nodes of a cluster; see `Engine`."""

    def __init__(self, plan: FleetPlan, address: str) -> None:
        """Connect.

        Raises:
            FleetError: There is no such cluster.
        """
        self._plan = plan
        self._address = address
        self._attempts: dict[int, _Attempt] = {}
        self._actors: dict[str, tuple[str, Any]] = {}
        self._avoided: dict[str, float] = {}
        self._used_s: dict[str, float] = {}
        self._ids: dict[str, Mapping[str, Any]] = {}
        self._owns_connection = not ray.is_initialized()
        if self._owns_connection:
            self._connect()
        self._agent = ray.remote(NodeProcess)

    @property
    def where(self) -> str:
        """Where the nodes are, in words."""
        return f"the Ray cluster at {self._address}"

    def nodes(self, wanted: Mapping[str, int]) -> Sequence[Node]:
        """Return the nodes that are alive and of a kind of the plan, however many are wanted."""
        del wanted
        try:
            listed: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        except (RayError, RuntimeError, OSError) as error:
            raise FleetError(
                f"{self.where} is gone: {first_line(error)[:200]}; what is finished is kept, the same command resumes"
            ) from None
        self._give_back()
        alive = [one for one in listed if one.get("Alive")]
        self._ids = named(alive)
        now_s = time.monotonic()
        found = []
        for name, one in sorted(self._ids.items()):
            kind = kind_of_node(one, self._plan.kinds)
            if kind is not None and self._avoided.get(name, 0.0) <= now_s:
                found.append(Node(name=name, kind=kind))
        return found

    def start(self, node: str, order: Order) -> None:
        """Begin to run a process."""
        environment = self._plan.environment(order.environment)
        actor = self._actor(node, runtime_env_of(environment))
        actor.begin.remote(order.to_json())
        self._used_s[node] = time.monotonic()
        self._attempts[order.attempt] = _Attempt(
            number=order.attempt, node=node, actor=actor, waiting=actor.wait.remote(0.0)
        )

    def stop(self, attempt: int) -> None:
        """Let a process end; the actor does so after what it was told before."""
        found = self._attempts.get(attempt)
        if found is not None:
            found.actor.stop.remote()

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Return what has happened."""
        by_reference = {one.waiting: one for one in self._attempts.values()}
        if not by_reference:
            time.sleep(timeout_s)
            return []
        done, _ = ray.wait(list(by_reference), num_returns=1, timeout=timeout_s)
        if done:  # what else is there already
            done, _ = ray.wait(list(by_reference), num_returns=len(by_reference), timeout=0)
        return [event for reference in done for event in self._events_of(by_reference[reference], reference)]

    def close(self, patience_s: float) -> None:
        """Stop all processes, kill the actors, and leave the cluster."""
        try:
            stopped = [attempt.actor.stop.remote() for attempt in self._attempts.values() if attempt.is_started]
            if stopped:
                ray.wait(stopped, num_returns=len(stopped), timeout=patience_s)
            for _, actor in self._actors.values():
                ray.kill(actor)
        except RayError:
            pass  # the cluster itself is gone
        finally:
            self._attempts.clear()
            self._actors.clear()
            if self._owns_connection:
                ray.shutdown()

    def _connect(self) -> None:
        check_address(self._address)
        package = str(Path(__file__).parents[1])
        job: dict[str, Any] = {"py_modules": [package], "excludes": list(EXCLUDES)}
        if self._plan.ship:
            job["working_dir"] = self._plan.checkout
        terminated = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address=self._address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=job)
        except (ConnectionError, RayError, RuntimeError, ValueError, OSError) as error:
            raise FleetError(
                f"--address {self._address}: cannot be connected to: {first_line(error)[:300]}; start a cluster with "
                "ray start --head, or name one"
            ) from None
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminated)  # Ray's own would end this process on the spot

    def _give_back(self) -> None:
        """Kill actors that have had nothing to do for a while."""
        now_s = time.monotonic()
        busy = {attempt.node for attempt in self._attempts.values()}
        for node in list(self._actors):
            if node in busy:
                self._used_s[node] = now_s
            elif now_s - self._used_s.get(node, now_s) > IDLE_S:
                ray.kill(self._actors.pop(node)[1])

    def _actor(self, node: str, runtime_env: dict[str, Any]) -> Any:
        """Return the actor of a node: the one that is there, unless it has another environment."""
        key = repr(sorted(runtime_env.items()))
        known = self._actors.get(node)
        if known is not None and known[0] == key:
            return known[1]
        if known is not None:
            ray.kill(known[1])
        one = self._ids[node]
        options: dict[str, Any] = {"num_cpus": one["Resources"].get("CPU", 0.0)}
        if one["Resources"].get("GPU"):
            options["num_gpus"] = one["Resources"]["GPU"]
        if runtime_env:
            options["runtime_env"] = runtime_env
        actor = self._agent.options(
            max_restarts=0,
            max_task_retries=0,  # the schedule decides
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=one["NodeID"], soft=False),
            **options,
        ).remote()
        self._actors[node] = (key, actor)
        return actor

    def _events_of(self, attempt: _Attempt, reference: Any) -> list[Event]:
        try:
            said = ray.get(reference)
        except RuntimeEnvSetupError as error:  # of the environment, not of the node
            self._forget(attempt)
            log = f"error: its packages cannot be installed: {first_line(error)[:300]}"
            return [Ended(attempt=attempt.number, status=-1, result=None, log=log, duration_s=0.0)]
        except RayError as error:
            self._forget(attempt)
            self._avoided[attempt.node] = time.monotonic() + AVOID_S
            return [Lost(attempt=attempt.number, reason=_reason(error, attempt.node))]
        events: list[Event] = [] if attempt.is_started else [Started(attempt=attempt.number)]
        attempt.is_started = True
        event = read_answer(said, attempt.number)
        if isinstance(event, Told):
            attempt.waiting = attempt.actor.wait.remote(WAIT_S)
        else:
            del self._attempts[attempt.number]
        return [*events, event]

    def _forget(self, attempt: _Attempt) -> None:
        del self._attempts[attempt.number]
        known = self._actors.pop(attempt.node, None)
        if known is not None:
            ray.kill(known[1])


def check_address(address: str) -> None:
    """Check that something answers at an address: Ray itself would wait for minutes.

    Raises:
        FleetError: It is none, or nothing answers.
    """
    if address == "auto":
        return
    found = re.fullmatch(r"(?:ray://)?(\[[0-9a-fA-F:]+\]|[^:/\s]+):([0-9]{1,5})", address)
    if found is None or int(found[2]) not in range(1, 2**16):
        raise FleetError(f"--address {address}: write auto, HOST:PORT or ray://HOST:PORT")
    try:
        with socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=CONNECT_S):
            return
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FleetError(f"--address {address}: nothing answers there: {reason}") from None


def _reason(error: RayError, node: str) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "died" in line or "terminated" in line or "killed" in line]
    return f"on {node}: {(told or lines or [type(error).__name__])[-1][:200]}"


def read_answer(said: object, attempt: int) -> Event:
    """Return what an agent said as an event; whatever it is, it came from another machine.

    Args:
        said: What came.
        attempt: Which was asked.
    """
    if isinstance(said, dict) and said.get("attempt") == attempt:
        if isinstance(said.get("line"), str):
            return Told(attempt=attempt, line=said["line"])
        status, result, log, duration_s = (said.get(name) for name in ("status", "result", "log", "duration_s"))
        is_result = result is None or isinstance(result, bytes)
        if isinstance(status, int) and is_result and isinstance(log, str) and isinstance(duration_s, float):
            return Ended(attempt=attempt, status=status, result=result, log=log, duration_s=duration_s)
    return Ended(attempt=attempt, status=-1, result=None, log="error: the node gave no answer", duration_s=0.0)

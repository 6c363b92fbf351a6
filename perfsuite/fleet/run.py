"""The head of a fleet: gives the nodes of an engine what the schedule says, and keeps what comes home.

What is finished is a file, written in one step, so that a head can end at any moment, however it does.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.campaign.interruption import Interrupted, terminated_as_interrupted
from perfsuite.campaign.plan import code_of
from perfsuite.campaign.process_log import complaint_in, ended
from perfsuite.errors import FleetError, ResultFileError
from perfsuite.fleet.engine import Ended, Lost, Order, Started, Told
from perfsuite.fleet.lanes import measuring_lanes, training_lanes, training_tasks
from perfsuite.fleet.plan import DEFAULT_REPETITION_S, MAX_REPETITION_S
from perfsuite.fleet.progress import Since, left_in_words, mean_durations, progress_of, seconds_left
from perfsuite.fleet.schedule import Schedule
from perfsuite.fleet.state import (
    check_folder,
    clear,
    difference,
    keep_log,
    keep_result,
    now,
    read_results,
    read_state,
    write_state,
)
from perfsuite.folder_lock import folder_held
from perfsuite.formatting import duration_in_words, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from perfsuite.fleet.engine import Engine, Event, Node
    from perfsuite.fleet.plan import Environment, FleetPlan
    from perfsuite.fleet.schedule import Assignment, Lane, Slot
    from perfsuite.fleet.state import Result

LOOK_S = 5.0
"""Between two looks which nodes are there."""

WRITE_S = 10.0
"""Between two writes of how far the fleet is, where nothing happens."""

STOP_S = 70.0
"""How long the ends of processes are waited for after Ctrl-C; each has 60 s until it is killed."""

MAX_LOST_PROBES = 5
"""How often a node may be lost while it is asked for its versions, until it is not used. A choice."""

MAX_TRAINING_LOSSES = 1000
"""A training resumes from its checkpoint, and loses little each time that its machine is taken away."""

PACKAGES = ("torch", "pytest", "pytest-benchmark")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a head runs.

    Attributes:
        is_training: Whether trainings are run, not repetitions of benchmarks.
        restart: Whether to start over.
        wait_s: How long nodes are waited for while something is left that none of those that are there can do.
        clock: Gives seconds.
    """

    is_training: bool
    restart: bool
    wait_s: float
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a fleet ended.

    Attributes:
        results: All that is finished, by slot.
        given_up: Slots without a result, and why.
        notes: What else the user is to know.
    """

    results: dict[Slot, Result]
    given_up: dict[Slot, str]
    notes: list[str]


def run_fleet(
    plan: FleetPlan,
    folder: Path,
    start_engine: Callable[[], Engine],
    settings: Settings,
    say: Callable[[str, bool], None],
) -> Outcome:
    """Run what is missing of a fleet.

    Args:
        plan: What.
        folder: Where all of it is kept.
        start_engine: Connects to the nodes.
        settings: How.
        say: Called with a line, and whether it is final or may be overwritten.

    Raises:
        FleetError: The folder holds another fleet, or no node is left that could go on.
        FolderInUseError: Another head works in the folder.
        Interrupted: Ctrl-C or SIGTERM.
    """
    folder = folder.absolute()
    check_folder(folder, restart=settings.restart)
    with folder_held(folder, FleetError), terminated_as_interrupted():
        before = _state_before(folder, plan, settings)
        engine = start_engine()
        try:
            head = _begin(plan, folder, engine, before, settings, say)
            return head.run()
        finally:
            engine.close(STOP_S)


def identity_of(plan: FleetPlan, *, is_training: bool) -> dict[str, Any]:
    """Return what must be the same for a fleet to be resumed; more repetitions and seeds are added to it."""
    kinds = {kind.name: dataclasses.asdict(kind) for kind in plan.kinds}
    environments = {one.name: dataclasses.asdict(one) for one in plan.environments}
    for part in [*kinds.values(), *environments.values()]:
        del part["name"]
    for kind in kinds.values():
        del kind["num_nodes"]
    identity: dict[str, Any] = {
        "mode": "train" if is_training else "run",
        "kinds": kinds,
        "environments": environments,
        "checkout": plan.checkout,
        "ship": plan.ship,
    }
    if is_training and plan.trainings is not None:
        identity["train"] = dataclasses.asdict(plan.trainings)
        for name in ("num_seeds", "models", "precisions"):
            del identity["train"][name]
    else:
        identity["arguments"] = plan.arguments
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return plain


def _state_before(folder: Path, plan: FleetPlan, settings: Settings) -> dict[str, Any] | None:
    """Return the state of the same fleet, or None; before anything is connected to.

    Raises:
        FleetError: The folder holds another one.
    """
    before = read_state(folder)
    if before is None or settings.restart:
        return None
    differing = difference(before["identity"], identity_of(plan, is_training=settings.is_training))
    for kind in plan.kinds:
        known = before["num_nodes"].get(kind.name)
        if not settings.is_training and kind.num_nodes not in {None, known}:
            differing = f"kinds.{kind.name}.nodes was {known} and is {kind.num_nodes}"
    if differing is not None:
        raise FleetError(
            f"{folder}: contains another fleet: {differing}; --restart starts over, or name another folder"
        )
    return before


def _begin(
    plan: FleetPlan,
    folder: Path,
    engine: Engine,
    before: dict[str, Any] | None,
    settings: Settings,
    say: Callable[[str, bool], None],
) -> _Head:
    if settings.restart:
        old = read_state(folder)
        if old is not None:
            clear(folder, old["id"])
    state = before
    if state is None:
        state = {
            "id": secrets.token_hex(8),
            "identity": identity_of(plan, is_training=settings.is_training),
            "num_nodes": _num_nodes(plan, engine, settings),
            "versions": {},
            "progress": {},
        }
    state["num_repetitions"] = plan.num_repetitions
    lanes = lanes_of(plan, state["num_nodes"], is_training=settings.is_training)
    state["num_slots"] = sum(len(lane.slots) for lane in lanes)
    results, notes = read_results(folder, state["id"])
    limits = dict(state["num_nodes"])
    if settings.is_training:
        limits = {kind.name: kind.num_nodes or 10**6 for kind in plan.kinds}
    schedule = Schedule(
        lanes=tuple(lanes),
        max_busy=limits,
        finished={slot: result.node for slot, result in results.items()},
    )
    if settings.is_training:
        schedule.max_losses = MAX_TRAINING_LOSSES
    return _Head(
        plan=plan,
        folder=folder,
        engine=engine,
        schedule=schedule,
        results=results,
        state=state,
        settings=settings,
        say=say,
        notes=notes,
        shipped_code=code_of(Path(plan.checkout), without=Path(plan.path)) if plan.ship else None,
    )


def lanes_of(plan: FleetPlan, num_nodes: Mapping[str, int], *, is_training: bool) -> list[Lane]:
    """Return all that is to be done.

    Raises:
        FleetError: Trainings are asked for, and not given.
    """
    if not is_training:
        return measuring_lanes(plan, num_nodes)
    if plan.trainings is None:
        raise FleetError("[train] is not given; write it, with shared, models and precisions")
    return training_lanes(plan, plan.trainings)


def _num_nodes(plan: FleetPlan, engine: Engine, settings: Settings) -> dict[str, int]:
    """Return how many nodes of each kind measure: as given, or all that are there."""
    nodes = engine.nodes({})
    found = {}
    for kind in plan.kinds:
        there = [node for node in nodes if node.kind == kind.name]
        if not there and kind.num_nodes is None and not settings.is_training:
            raise FleetError(
                f"kinds.{kind.name}: no node of {engine.where} is of this kind, or an earlier kind has them all; "
                "start one, or write nodes = N to wait for them"
            )
        found[kind.name] = kind.num_nodes or max(1, len(there))
    return found


@dataclass(slots=True, kw_only=True)
class _Head:
    plan: FleetPlan
    folder: Path
    engine: Engine
    schedule: Schedule
    results: dict[Slot, Result]
    state: dict[str, Any]
    settings: Settings
    say: Callable[[str, bool], None]
    notes: list[str]
    shipped_code: str | None
    since: dict[int, Since] = field(default_factory=dict)
    assignments: dict[int, Assignment] = field(default_factory=dict)
    probes: dict[int, str] = field(default_factory=dict)
    """Attempts that ask a node for versions: their nodes."""
    unprobed: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    """By node: groups of environments whose versions are not known yet."""
    lost_probes: dict[str, int] = field(default_factory=dict)
    looked_s: float = float("-inf")
    written_s: float = float("-inf")
    idle_since_s: float | None = None
    last_attempt: int = -1

    def run(self) -> Outcome:
        """Run to the end."""
        num_slots = self.state["num_slots"]
        before = f", {len(self.results)} of them finished before" if self.results else ""
        self.say(f"{plural(num_slots, 'result')} in {self.folder}{before}, on {self.engine.where}", True)
        self._write(is_ended=False)
        try:
            while not self.schedule.is_done:
                self._step()
        except KeyboardInterrupt:
            self._interrupted()
            raise Interrupted from None
        finally:
            self._write(is_ended=True)
        return Outcome(results=self.results, given_up=self.schedule.given_up(), notes=self.notes)

    def _step(self) -> None:
        now_s = self.settings.clock()
        if now_s - self.looked_s >= LOOK_S:
            self.looked_s = now_s
            self._look()
        self._probe()
        for assignment in self.schedule.assign(is_ready=self._is_ready):
            self._start(assignment)
        self._check_waiting(now_s)
        events = self.engine.events(1.0)
        for event in events:
            self._handle(event)
        if events or now_s - self.written_s >= WRITE_S:
            self._write(is_ended=False)
            self._tell()

    def _look(self) -> None:
        nodes: Sequence[Node] = self.engine.nodes(self.schedule.num_wanted())
        for gone in self.schedule.see_nodes({node.name: node.kind for node in nodes}):
            self.say(
                f"{gone.node}: died while it ran {_named(gone.slot)}; another node of its kind does it again", True
            )
        for attempt, node in list(self.probes.items()):
            if node not in self.schedule.nodes:
                del self.probes[attempt]
        for gone_node in [name for name in self.unprobed if name not in self.schedule.nodes]:
            del self.unprobed[gone_node]  # it may come back with other versions
        for there in nodes:
            self.unprobed.setdefault(there.name, probe_groups(self.plan.environments))

    # -- Which versions a node has ---------------------------------------------------------------------------------

    def _is_ready(self, node: str) -> bool:
        return not self.unprobed.get(node, ["unknown"]) and node not in self.probes.values()

    def _probe(self) -> None:
        """Ask nodes that nothing is known of for the versions of all environments."""
        for node, groups in self.unprobed.items():
            if groups and node not in self.probes.values() and node not in self.schedule.refused:
                self.last_attempt -= 1  # numbers below those of the schedule
                self.probes[self.last_attempt] = node
                names = groups[0]
                self.engine.start(
                    node,
                    Order(
                        attempt=self.last_attempt,
                        environment=names[0],
                        pythons={name: self.plan.environment(name).python or "" for name in names},
                        python=None,
                        folder=self._folder(),
                        arguments=(),
                        plan=self.plan.path,
                        variables={name: self.plan.environment(name).variables for name in names},
                        max_s=self._max_s(),
                    ),
                )

    def _probed(self, node: str, event: Ended) -> None:
        answer = read_versions(event.result)
        if answer is None:
            self._refuse(node, complaint_in(event.log) if event.log else "gave no answer when asked for its versions")
            return
        if self.plan.ship:
            answer["code"] = self.shipped_code
        problem = version_problem(self.state["versions"], answer)
        if problem is not None:
            self._refuse(node, problem)
            return
        self.state["versions"] = {**self.state["versions"], **answer}
        if self.unprobed.get(node):
            self.unprobed[node].pop(0)

    def _refuse(self, node: str, reason: str) -> None:
        self.schedule.refuse(node, reason)
        self.say(f"{node}: not used: {reason}", True)

    # -- What is measured -------------------------------------------------------------------------------------------

    def _max_s(self) -> float:
        default_s = MAX_REPETITION_S if self.settings.is_training else DEFAULT_REPETITION_S
        return float(self.plan.max_repetition_s or default_s)

    def _folder(self) -> str:
        return "" if self.plan.ship else self.plan.checkout

    def _start(self, assignment: Assignment) -> None:
        self.assignments[assignment.attempt] = assignment
        environment = self.plan.environment(assignment.slot.environment)
        self.engine.start(
            assignment.node,
            Order(
                attempt=assignment.attempt,
                environment=environment.name,
                pythons={},
                python=environment.python or "",
                folder=self._folder(),
                arguments=self._arguments(assignment.slot),
                plan=self.plan.path,
                variables={environment.name: environment.variables},
                max_s=self._max_s(),
            ),
        )

    def _arguments(self, slot: Slot) -> tuple[str, ...]:
        trainings = self.plan.trainings
        if not self.settings.is_training or trainings is None:
            return self.plan.arguments
        task = training_tasks(trainings)[slot.name]
        chosen = ("-k", f"seed{task.seed}]") if task.seed else ()
        return (
            "-m",
            "full_training",
            *trainings.arguments,
            f"--perf-models={task.model}",
            f"--perf-precisions={task.precision}",
            f"--perf-seeds={task.seed + 1}",
            *chosen,
            f"--perf-run-dir={trainings.shared}/{slot.kind}-{slot.environment}-{slot.name}",
        )

    def _handle(self, event: Event) -> None:
        node = self.probes.get(event.attempt)
        if node is not None:
            self._handle_probe(node, event)
            return
        assignment = self.assignments.get(event.attempt)
        if assignment is None:  # a probe of a node that was gone
            return
        if isinstance(event, Started):
            self.schedule.start(event.attempt)
            self.since[event.attempt] = Since(text=now(), clock_s=self.settings.clock(), line="starting")
        elif isinstance(event, Told):
            before = self.since.get(event.attempt)
            if before is not None:
                self.since[event.attempt] = dataclasses.replace(before, line=event.line[:100])
        elif isinstance(event, Lost):
            self.since.pop(event.attempt, None)
            if self.schedule.lose(event.attempt, event.reason):
                self.say(f"{_named(assignment.slot)}: lost: {event.reason}; it is done again", True)
            self.looked_s = float("-inf")
        else:
            self.since.pop(event.attempt, None)
            self._ended(assignment, event)

    def _handle_probe(self, node: str, event: Event) -> None:
        if isinstance(event, Ended):
            del self.probes[event.attempt]
            self._probed(node, event)
        elif isinstance(event, Lost):
            del self.probes[event.attempt]
            self.looked_s = float("-inf")  # is it still there?
            self.lost_probes[node] = self.lost_probes.get(node, 0) + 1
            if self.lost_probes[node] >= MAX_LOST_PROBES:
                self._refuse(node, f"lost {MAX_LOST_PROBES} times when asked for its versions: {event.reason}")

    def _ended(self, assignment: Assignment, event: Ended) -> None:
        slot, node = assignment.slot, assignment.node
        if slot in self.results:  # another node was faster, after this one was thought dead
            self.schedule.finish(assignment.attempt)
            return
        log = keep_log(self.folder, slot, node, event.log)
        try:
            result = self._kept(assignment, event)
        except ResultFileError as error:
            how = f"{ended(event.status)}: {complaint_in(event.log)}" if event.status not in {0, 1} else str(error)
            if self.schedule.fail(assignment.attempt, f"{how} (on {node})"):
                self.say(f"{_named(slot)} on {node}: failed: {how}; all that it wrote: {log}", True)
            return
        self.results[slot] = result
        _, twins = self.schedule.finish(assignment.attempt)
        for twin in twins:
            self.engine.stop(twin.attempt)
        size = result.path.stat().st_size
        left = self._left_on(node)
        note = "" if event.status == 0 else f", some benchmarks failed, see {log}"
        self.say(
            f"[{len(self.results)}/{self.state['num_slots']}] {_named(slot)} on {node}: done in "
            f"{duration_in_words(event.duration_s)}, {size:,} bytes{note}{left}",
            True,
        )

    def _kept(self, assignment: Assignment, event: Ended) -> Result:
        """Check and keep a result.

        Raises:
            ResultFileError: It is none.
        """
        slot = assignment.slot
        if event.status not in {0, 1} or event.result is None:
            raise ResultFileError(f"{ended(event.status)} without a result")
        own = {
            "fleet": self.state["id"],
            "node": assignment.node,
            "kind": slot.kind,
            "environment": slot.environment,
            "repetition": self._repetition(slot),
            "slot": slot.name,
            "duration_s": event.duration_s,
        }
        return keep_result(self.folder, slot, assignment.node, event.result, own)

    def _repetition(self, slot: Slot) -> int:
        if self.settings.is_training and self.plan.trainings is not None:
            return training_tasks(self.plan.trainings)[slot.name].seed + 1
        return int(slot.name)

    def _left_on(self, node: str) -> str:
        slots = self.schedule.slots_left(node)
        if not slots:
            return ""
        return f"; {left_in_words(seconds_left(slots, mean_durations(self.results.values()), 0.0))} on this node"

    # -- When it ends early -----------------------------------------------------------------------------------------

    def _check_waiting(self, now_s: float) -> None:
        """End where something is left, and no node that is there can do it for too long."""
        usable = {node for node in self.schedule.nodes if node not in self.schedule.refused}
        stuck = [
            kind.name
            for kind in self.plan.kinds
            if self.schedule.open_slots(kind.name) and all(self.schedule.nodes[node] != kind.name for node in usable)
        ]
        if not stuck or self.schedule.running or self.probes:
            self.idle_since_s = None
            return
        if self.idle_since_s is None:
            self.idle_since_s = now_s
            self.say(f"waiting for nodes of kind {', '.join(stuck)}", True)
        # A node that was refused stays so: waiting changes nothing.
        if self.schedule.refused or now_s - self.idle_since_s > self.settings.wait_s:
            reasons = [f"{node}: {reason}" for node, reason in self.schedule.refused.items()]
            raise FleetError(
                f"no node of kind {', '.join(stuck)} is there that can be used{_listed(reasons)}; what is finished is "
                "kept, and the same command resumes"
            )

    def _interrupted(self) -> None:
        """Let processes end before the engine is closed, and keep what has ended in this moment."""
        self.say(f"stopping {plural(len(self.schedule.running), 'process')}", True)

    # -- What is told -----------------------------------------------------------------------------------------------

    def _write(self, *, is_ended: bool) -> None:
        self.written_s = self.settings.clock()
        self.state["progress"] = progress_of(
            self.schedule,
            self.results,
            self.since,
            clock_s=self.written_s,
            updated=now(),
            is_ended=is_ended,
        )
        self.state["progress"]["checking"] = sorted(self.probes.values())
        state = {name: value for name, value in self.state.items() if name != "schema"}
        write_state(self.folder, state)

    def _tell(self) -> None:
        running = self.state["progress"]["running"]
        times = [one["left_s"] for one in running if one["left_s"] is not None]
        left = f"; {left_in_words(max(times))}" if times else ""
        nodes = ", ".join(f"{one['node']} {one['environment']} {one['line']}" for one in running[:3])
        self.say(f"{len(self.results)} of {self.state['num_slots']} done, {len(running)} running: {nodes}{left}", False)


def _listed(reasons: Sequence[str]) -> str:
    return f" ({'; '.join(reasons[:3])})" if reasons else ""


def _named(slot: Slot) -> str:
    return f"{slot.kind} {slot.environment} {slot.name}"


def probe_groups(environments: Sequence[Environment]) -> list[tuple[str, ...]]:
    """Return which environments are asked for together: those whose interpreters are there, and each other alone."""
    there = tuple(one.name for one in environments if one.python is not None)
    alone = [(one.name,) for one in environments if one.python is None]
    return ([there] if there else []) + alone


def read_versions(result: bytes | None) -> dict[str, Any] | None:
    """Return what a node said of versions and code, or None where that cannot be read; it came from another machine."""
    try:
        found = json.loads(result or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("versions"), dict):
        return None
    answer: dict[str, Any] = {"code": str(found["code"])[:100] if found.get("code") else None}
    for name, versions in found["versions"].items():
        if not isinstance(versions, dict) or not all(isinstance(text, str) for text in versions.values()):
            return None
        answer[f"environments.{name}"] = {str(key)[:40]: text[:300] for key, text in versions.items()}
    return answer


def version_problem(before: Mapping[str, Any], answer: Mapping[str, Any]) -> str | None:
    """Return in words why a node cannot take part: an interpreter or a package is missing, or has another version.

    Args:
        before: What the nodes before it said.
        answer: What it says.
    """
    for name, versions in answer.items():
        own = name.removeprefix("environments.")
        if isinstance(versions, dict):
            if "error" in versions:
                return f"environment {own}: {versions['error']}"
            for package in PACKAGES:
                if package not in versions:
                    return f"environment {own}: has no {package}; install what measuring needs there"
    both = [name for name in answer if name in before]
    differing = difference({name: before[name] for name in both}, {name: answer[name] for name in both})
    return None if differing is None else f"differs from the nodes before it: {differing}"

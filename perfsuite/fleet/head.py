"""The head of a fleet: gives the nodes of an engine what the schedule says, and keeps what comes home.

What is finished is a file, written in one step, so that a head can end at any moment, however it does.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfsuite.campaign.interruption import Interrupted
from perfsuite.campaign.process_log import complaint_in
from perfsuite.child_process import ended_in_words
from perfsuite.errors import FleetError, ResultFileError
from perfsuite.fleet.engine import Ended, Lost, Started, Told
from perfsuite.fleet.progress import Since, left_in_words, mean_durations, progress_of, seconds_left
from perfsuite.fleet.state import keep_log, keep_result, now, write_state
from perfsuite.formatting import duration_in_words, plural

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.fleet.engine import Engine, Event
    from perfsuite.fleet.node_versions import NodeVersions
    from perfsuite.fleet.orders import Orders
    from perfsuite.fleet.schedule import Assignment, Schedule, Slot
    from perfsuite.fleet.state import Result

LOOK_S = 5.0
"""Between two looks which nodes are there."""

WRITE_S = 10.0
"""Between two writes of how far the fleet is, where nothing happens."""


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
class FleetOutcome:
    """How a fleet ended.

    Attributes:
        results: All that is finished, by slot.
        given_up: Slots without a result, and why.
        notes: What else the user is to know.
    """

    results: dict[Slot, Result]
    given_up: dict[Slot, str]
    notes: list[str]


@dataclass(slots=True, kw_only=True)
class Head:
    """Runs a fleet to its end.

    Attributes:
        folder: Where all of it is kept.
        engine: Runs processes on nodes.
        schedule: What runs where next.
        orders: What a node is told.
        versions: Which nodes were asked for their versions.
        results: All that is finished.
        state: Of `fleet.json`.
        settings: How it runs.
        say: Called with a line, and whether it is final or may be written over.
        notes: What else the user is to know at the end.
        since: Processes that run, by attempt.
        assignments: All of this head, by attempt.
    """

    folder: Path
    engine: Engine
    schedule: Schedule
    orders: Orders
    versions: NodeVersions
    results: dict[Slot, Result]
    state: dict[str, Any]
    settings: Settings
    say: Callable[[str, bool], None]
    notes: list[str]
    since: dict[int, Since] = field(default_factory=dict)
    assignments: dict[int, Assignment] = field(default_factory=dict)
    _looked_s: float = float("-inf")
    _written_s: float = float("-inf")
    _idle_since_s: float | None = None

    def run(self) -> FleetOutcome:
        """Run to the end.

        Raises:
            FleetError: No node is left that could go on.
            Interrupted: Ctrl-C or SIGTERM.
        """
        num_slots = self.state["num_slots"]
        before = f", {len(self.results)} of them finished before" if self.results else ""
        self.say(f"{plural(num_slots, 'result')} in {self.folder}{before}, on {self.engine.where}", True)
        self._write(is_ended=False)
        try:
            while not self.schedule.is_done:
                self._step()
        except KeyboardInterrupt:
            self.say(f"stopping {plural(len(self.schedule.running), 'process')}", True)
            raise Interrupted from None
        finally:
            self._write(is_ended=True)
        return FleetOutcome(results=self.results, given_up=self.schedule.given_up(), notes=self.notes)

    def _step(self) -> None:
        now_s = self.settings.clock()
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            self._look()
        for question in self.versions.new_questions(self.schedule.refused):
            self.engine.start(question.node, self.orders.asking(question.attempt, question.environments))
        for assignment in self.schedule.assign(is_ready=self.versions.is_ready):
            self.assignments[assignment.attempt] = assignment
            self.engine.start(assignment.node, self.orders.measuring(assignment))
        self._check_waiting(now_s)
        events = self.engine.events(1.0)
        for event in events:
            self._handle(event)
        if events or now_s - self._written_s >= WRITE_S:
            self._write(is_ended=False)
            self._tell()

    def _look(self) -> None:
        """See which nodes are there."""
        kinds = {node.name: node.kind for node in self.engine.nodes(self.schedule.num_wanted())}
        for gone in self.schedule.see_nodes(kinds):
            self.say(
                f"{gone.node}: died while it ran {_named(gone.slot)}; another node of its kind does it again", True
            )
        self.versions.see_nodes(kinds)

    def _look_again(self) -> None:
        """See which nodes are there before anything else is started."""
        self._looked_s = float("-inf")

    def _refuse(self, node: str, reason: str) -> None:
        self.schedule.refuse(node, reason)
        self.say(f"{node}: not used: {reason}", True)

    # -- What happened ----------------------------------------------------------------------------------------------

    def _handle(self, event: Event) -> None:
        node = self.versions.asked.get(event.attempt)
        assignment = self.assignments.get(event.attempt)
        if node is not None:
            self._handle_answer(node, event)
        elif assignment is not None:  # else an answer of a node that was gone
            self._handle_process(assignment, event)

    def _handle_answer(self, node: str, event: Event) -> None:
        """Take down what a node that was asked for its versions did."""
        problem = None
        if isinstance(event, Ended):
            problem = self.versions.take_answer(event)
            self.state["versions"] = self.versions.known
        elif isinstance(event, Lost):
            problem = self.versions.lose(event)
            self._look_again()
        if problem is not None:
            self._refuse(node, problem)

    def _handle_process(self, assignment: Assignment, event: Event) -> None:
        """Take down what the process of a slot did."""
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
            self._look_again()
        else:
            self.since.pop(event.attempt, None)
            self._end(assignment, event)

    def _end(self, assignment: Assignment, event: Ended) -> None:
        """Keep the result of a process that ended, or take down why it has none."""
        slot, node = assignment.slot, assignment.node
        if slot in self.results:  # another node was faster, after this one was thought dead
            self.schedule.finish(assignment.attempt)
            return
        log = keep_log(self.folder, slot, node, event.log)
        is_failed = event.status not in {0, 1}
        try:
            result = self._keep(assignment, event)
        except ResultFileError as error:
            reason = f"{ended_in_words(event.status)}: {complaint_in(event.log)}" if is_failed else str(error)
            if self.schedule.fail(assignment.attempt, f"{reason} (on {node})"):
                self.say(f"{_named(slot)} on {node}: failed: {reason}; all that it wrote: {log}", True)
            return
        self.results[slot] = result
        _, twins = self.schedule.finish(assignment.attempt)
        for twin in twins:
            self.engine.stop(twin.attempt)
        size = result.path.stat().st_size
        note = "" if event.status == 0 else f", some benchmarks failed, see {log}"
        self.say(
            f"[{len(self.results)}/{self.state['num_slots']}] {_named(slot)} on {node}: done in "
            f"{duration_in_words(event.duration_s)}, {size:,} bytes{note}{self._left_on(node)}",
            True,
        )

    def _keep(self, assignment: Assignment, event: Ended) -> Result:
        """Check and keep a result.

        Raises:
            ResultFileError: It is none.
        """
        slot = assignment.slot
        if event.status not in {0, 1} or event.result is None:
            raise ResultFileError(f"{ended_in_words(event.status)} without a result")
        own = {
            "fleet": self.state["id"],
            "node": assignment.node,
            "kind": slot.kind,
            "environment": slot.environment,
            "repetition": self.orders.repetition(slot),
            "slot": slot.name,
            "duration_s": event.duration_s,
        }
        return keep_result(self.folder, slot, assignment.node, event.result, own)

    def _left_on(self, node: str) -> str:
        slots = self.schedule.slots_left(node)
        if not slots:
            return ""
        return f"; {left_in_words(seconds_left(slots, mean_durations(self.results.values()), 0.0))} on this node"

    # -- When it ends early -----------------------------------------------------------------------------------------

    def _check_waiting(self, now_s: float) -> None:
        """End where something is left, and no node that is there can do it for too long."""
        kinds = self.schedule.kinds_without_nodes()
        if not kinds or self.schedule.running or self.versions.asked:
            self._idle_since_s = None
            return
        if self._idle_since_s is None:
            self._idle_since_s = now_s
            self.say(f"waiting for nodes of kind {', '.join(kinds)}", True)
        # A node that was refused stays so: waiting changes nothing.
        if self.schedule.refused or now_s - self._idle_since_s > self.settings.wait_s:
            reasons = [f"{node}: {reason}" for node, reason in self.schedule.refused.items()]
            because = f" ({'; '.join(reasons[:3])})" if reasons else ""
            raise FleetError(
                f"no node of kind {', '.join(kinds)} is there that can be used{because}; what is finished is kept, and "
                "the same command resumes"
            )

    # -- What is told -----------------------------------------------------------------------------------------------

    def _write(self, *, is_ended: bool) -> None:
        self._written_s = self.settings.clock()
        self.state["progress"] = progress_of(
            self.schedule,
            self.results,
            self.since,
            clock_s=self._written_s,
            updated=now(),
            is_ended=is_ended,
        )
        self.state["progress"]["checking"] = sorted(self.versions.asked.values())
        state = {name: value for name, value in self.state.items() if name != "schema"}
        write_state(self.folder, state)

    def _tell(self) -> None:
        running = self.state["progress"]["running"]
        times = [one["left_s"] for one in running if one["left_s"] is not None]
        left = f"; {left_in_words(max(times))}" if times else ""
        nodes = ", ".join(f"{one['node']} {one['environment']} {one['line']}" for one in running[:3])
        self.say(f"{len(self.results)} of {self.state['num_slots']} done, {len(running)} running: {nodes}{left}", False)


def _named(slot: Slot) -> str:
    return f"{slot.kind} {slot.environment} {slot.name}"

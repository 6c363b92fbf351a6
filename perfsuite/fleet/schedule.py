"""What runs where next: one state machine without clock, network or files. Engines tell it what happened.

A node runs one slot at a time. A slot is counted once: the first result of it that is complete, whoever brings it. What
a node that died had not finished is done by another node of its kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MAX_FAILURES = 2
"""Failed processes of a slot until it is given up. A choice: one may be bad luck."""

MAX_LOSSES = 3
"""Nodes that died while they ran a slot, until it is given up: it may be what kills them. A choice."""

MAX_FAILURES_OF_ALL = 3
"""Failed processes of an environment on a kind that never succeeded there, until it is given up. A choice."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Slot:
    """A repetition, or a training, to be done once.

    Attributes:
        kind: Of machines.
        environment: By its name.
        name: Of the slot, different from all others of kind and environment.
    """

    kind: str
    environment: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Slots that one node does in their order, as long as it lives.

    Attributes:
        kind: Of machines.
        slots: In their order.
    """

    kind: str
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A slot that a node is to run.

    Attributes:
        attempt: Its number; no other assignment has it.
        node: Where.
        slot: What.
    """

    attempt: int
    node: str
    slot: Slot


@dataclass(slots=True, kw_only=True)
class Trouble:
    """What went wrong with a slot.

    Attributes:
        num_failures: Processes that ended without a result.
        num_losses: Nodes that died meanwhile.
        reason: The last one, in words.
    """

    num_failures: int = 0
    num_losses: int = 0
    reason: str = ""


@dataclass(slots=True)
class Schedule:
    """The state of a fleet.

    Attributes:
        lanes: What is to be done.
        max_busy: How many nodes of a kind may work at once, by kind.
        finished: Slots that are done, and by which node.
        max_losses: See `MAX_LOSSES`; trainings resume, and are lost as often as machines are taken away.
    """

    lanes: tuple[Lane, ...]
    max_busy: Mapping[str, int]
    finished: dict[Slot, str]
    max_losses: int = MAX_LOSSES
    nodes: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    running: dict[str, Assignment] = field(default_factory=dict)
    trouble: dict[Slot, Trouble] = field(default_factory=dict)
    _holders: dict[int, str] = field(default_factory=dict)
    _attempts: dict[int, Assignment] = field(default_factory=dict)
    _started: set[int] = field(default_factory=set)

    def see_nodes(self, alive: Mapping[str, str]) -> list[Assignment]:
        """Take note of which nodes are there.

        Args:
            alive: Their kinds by their names.

        Returns:
            What was running on those that are gone.
        """
        self.nodes = dict(alive)
        gone = [assignment for node, assignment in self.running.items() if node not in alive]
        for assignment in gone:
            self.lose(assignment.attempt, f"node {assignment.node} died")
        return gone

    def refuse(self, node: str, reason: str) -> None:
        """Give a node nothing more to do."""
        self.refused[node] = reason

    def assign(self, *, is_ready: Callable[[str], bool] = lambda _node: True) -> list[Assignment]:
        """Give each idle node something to do, and return what.

        Args:
            is_ready: Whether a node was checked.
        """
        new = []
        for node in sorted(self.nodes):
            if node in self.running or node in self.refused or not is_ready(node):
                continue
            slot = self._next_slot(node)
            if slot is not None:
                assignment = Assignment(attempt=len(self._attempts) + 1, node=node, slot=slot)
                self._attempts[assignment.attempt] = assignment
                self.running[node] = assignment
                new.append(assignment)
        return new

    def start(self, attempt: int) -> None:
        """Note that the process runs."""
        self._started.add(attempt)

    def finish(self, attempt: int) -> tuple[bool, list[Assignment]]:
        """Note that a process ended with a complete result.

        Returns:
            Whether it counts, and what is to be stopped because it runs for the same slot.
        """
        assignment = self._attempts[attempt]
        self._release(assignment)
        if assignment.slot in self.finished:
            return False, []
        self.finished[assignment.slot] = assignment.node
        twins = [other for other in self.running.values() if other.slot == assignment.slot]
        return True, twins

    def fail(self, attempt: int, reason: str) -> bool:
        """Note that a process ended without a complete result; whether that counts."""
        assignment = self._attempts[attempt]
        was_running = self._release(assignment)
        if not was_running or assignment.slot in self.finished:
            return False
        trouble = self.trouble.setdefault(assignment.slot, Trouble())
        trouble.num_failures += 1
        trouble.reason = reason
        return True

    def lose(self, attempt: int, reason: str) -> bool:
        """Note that a node died, or its process was taken away; whether a running slot was lost by it."""
        assignment = self._attempts[attempt]
        was_running = self._release(assignment)
        is_counted = was_running and attempt in self._started and assignment.slot not in self.finished
        if is_counted:
            trouble = self.trouble.setdefault(assignment.slot, Trouble())
            trouble.num_losses += 1
            trouble.reason = reason
        return was_running

    def open_slots(self, kind: str | None = None) -> list[Slot]:
        """Return what is still to be done, running slots among it; of all kinds, or of one."""
        lanes = [lane for lane in self.lanes if kind in {None, lane.kind}]
        return self._open(lanes)

    def kinds_without_nodes(self) -> list[str]:
        """Return the kinds that have something to do, and no node that can be used."""
        usable = {kind for node, kind in self.nodes.items() if node not in self.refused}
        kinds = dict.fromkeys(lane.kind for lane in self.lanes)
        return [kind for kind in kinds if kind not in usable and self.open_slots(kind)]

    def num_wanted(self) -> dict[str, int]:
        """Return how many nodes of each kind have something to do."""
        still_open = set(self.open_slots())
        found = dict.fromkeys(self.max_busy, 0)
        for lane in self.lanes:
            has_work = not still_open.isdisjoint(lane.slots)
            found[lane.kind] = min(self.max_busy[lane.kind], found[lane.kind] + has_work)
        return found

    def given_up(self) -> dict[Slot, str]:
        """Return slots that are not tried any more, and why."""
        still_open = set(self.open_slots())
        found = {}
        for slot in (slot for lane in self.lanes for slot in lane.slots):
            if slot in self.finished or slot in still_open:
                continue
            own = self.trouble.get(slot)
            reasons = [
                trouble.reason
                for other, trouble in self.trouble.items()
                if (other.kind, other.environment) == (slot.kind, slot.environment)
            ]
            found[slot] = reasons[-1] if own is None else own.reason
        return found

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do, and nothing runs."""
        return not self.running and not self.open_slots()

    def slots_left(self, node: str) -> list[Slot]:
        """Return what a node has to do yet: of the lanes that it holds, what runs first."""
        return self._open([lane for number, lane in enumerate(self.lanes) if self._holders.get(number) == node])

    def _open(self, lanes: Iterable[Lane]) -> list[Slot]:
        hopeless = self._hopeless()
        return [
            slot
            for lane in lanes
            for slot in lane.slots
            if slot not in self.finished
            and (slot.kind, slot.environment) not in hopeless
            and not self._is_exhausted(slot)
        ]

    def _is_exhausted(self, slot: Slot) -> bool:
        own = self.trouble.get(slot)
        return own is not None and (own.num_failures >= MAX_FAILURES or own.num_losses >= self.max_losses)

    def _hopeless(self) -> set[tuple[str, str]]:
        """Return kinds and environments in which all that was tried failed."""
        failures: dict[tuple[str, str], int] = {}
        for slot, trouble in self.trouble.items():
            key = (slot.kind, slot.environment)
            failures[key] = failures.get(key, 0) + trouble.num_failures
        succeeded = {(slot.kind, slot.environment) for slot in self.finished}
        return {key for key, number in failures.items() if number >= MAX_FAILURES_OF_ALL and key not in succeeded}

    def _release(self, assignment: Assignment) -> bool:
        """Free the node of an assignment; whether it was that which it ran."""
        if self.running.get(assignment.node) != assignment:
            return False
        del self.running[assignment.node]
        return True

    def _next_slot(self, node: str) -> Slot | None:
        """Return what a node does next: of the lane that it holds, else of one that no other node holds."""
        kind = self.nodes[node]
        waiting = self._waiting(kind)
        for number, slots in waiting.items():
            if self._holders.get(number) == node:
                return slots[0]
        held = [number for number in waiting if self._is_held(number)]
        busy = {other for other in self.running if self.nodes.get(other) == kind}
        busy |= {self._holders[number] for number in held}
        free = [number for number in waiting if number not in held]
        if not free or len(busy) >= self.max_busy[kind]:
            return None
        chosen = min(free, key=lambda number: (self._strangeness(number, node), number))
        self._holders[chosen] = node
        return waiting[chosen][0]

    def _waiting(self, kind: str) -> dict[int, list[Slot]]:
        """Return the lanes of a kind, by number, that have slots which are open and do not run: these slots."""
        to_do = set(self.open_slots(kind)) - {assignment.slot for assignment in self.running.values()}
        found = {}
        for number, lane in enumerate(self.lanes):
            slots = [slot for slot in lane.slots if slot in to_do]
            if slots:
                found[number] = slots
        return found

    def _is_held(self, number: int) -> bool:
        """Whether a node that can work does the slots of a lane."""
        holder = self._holders.get(number)
        return holder is not None and holder in self.nodes and holder not in self.refused

    def _strangeness(self, number: int, node: str) -> int:
        """Return how little a lane suits a node: it did the lane before, nobody did, another node did."""
        nodes = {self.finished[slot] for slot in self.lanes[number].slots if slot in self.finished}
        if node in nodes:
            return 0
        return 1 if not nodes else 2

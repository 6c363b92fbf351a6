"""The state machine of a fleet, told by simulated engines what happened."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from fleet_files import make_plan

from perfsuite.fleet.lanes import interleaved, measuring_lanes
from perfsuite.fleet.schedule import MAX_FAILURES, MAX_FAILURES_OF_ALL, MAX_LOSSES, Assignment, Lane, Schedule, Slot

KINDS = {"T4": 2, "L4": 1}
NODES = {"one": "T4", "two": "T4", "three": "L4"}


def make_schedule(*, repetitions: int = 2, finished: dict[Slot, str] | None = None) -> Schedule:
    lanes = measuring_lanes(make_plan(num_repetitions=repetitions), KINDS)
    return Schedule(lanes=tuple(lanes), max_busy=KINDS, finished=dict(finished or {}))


def assign_one(schedule: Schedule, node: str) -> Assignment:
    """Let the schedule give something to a node, and return it."""
    schedule.assign(is_ready=lambda name: name == node)
    return schedule.running[node]


def run_all(schedule: Schedule) -> dict[str, list[Slot]]:
    """Run everything, each process to its end; what each node ran, in its order."""
    ran: dict[str, list[Slot]] = {}
    while not schedule.is_done:
        assert schedule.assign(), "nothing is given out, and something is left"
        for assignment in list(schedule.running.values()):
            schedule.start(assignment.attempt)
            ran.setdefault(assignment.node, []).append(assignment.slot)
            assert schedule.finish(assignment.attempt) == (True, [])
    return ran


@pytest.mark.parametrize(
    ("environments", "repetitions", "order"),
    [(("A", "B"), 1, "AB"), (("A", "B"), 4, "ABBAABBA"), (("A", "B", "C"), 2, "ABCCBA"), (("A",), 3, "AAA")],
)
def test_environments_are_interleaved_so_that_drift_hits_all_alike(
    environments: tuple[str, ...], repetitions: int, order: str
) -> None:
    found = interleaved(environments, repetitions)
    assert "".join(name for name, _ in found) == order
    assert len(set(found)) == len(environments) * repetitions


def test_every_node_runs_all_environments_interleaved_and_nothing_is_done_twice() -> None:
    schedule = make_schedule(repetitions=2)
    schedule.see_nodes(NODES)
    ran = run_all(schedule)
    assert {node: "".join(slot.environment for slot in slots) for node, slots in ran.items()} == dict.fromkeys(
        NODES, "abba"
    )
    assert len({slot for slots in ran.values() for slot in slots}) == 12
    assert all(NODES[node] == slot.kind for node, slots in ran.items() for slot in slots)


def test_repetitions_that_are_added_later_change_no_number_of_those_that_are_there() -> None:
    few, more = (measuring_lanes(make_plan(num_repetitions=number), KINDS) for number in (2, 5))
    assert all(set(before.slots) < set(after.slots) for before, after in zip(few, more, strict=True))


def test_a_node_runs_one_process_at_a_time() -> None:
    schedule = make_schedule()
    schedule.see_nodes(NODES)
    assert len(schedule.assign()) == 3
    assert schedule.assign() == []


def test_what_a_dead_node_had_not_finished_is_done_by_another_of_its_kind() -> None:
    schedule = make_schedule(repetitions=1)
    schedule.see_nodes(NODES)
    first = assign_one(schedule, "one")
    schedule.start(first.attempt)
    schedule.finish(first.attempt)
    second = assign_one(schedule, "one")
    schedule.start(second.attempt)
    assert schedule.see_nodes({"two": "T4", "three": "L4"}) == [second]
    ran = run_all(schedule)
    assert second.slot in ran["two"]
    assert schedule.finished[first.slot] == "one"
    assert len(schedule.finished) == 6


def test_a_result_that_comes_after_its_node_was_taken_for_dead_counts_once_and_ends_its_twin() -> None:
    schedule = make_schedule(repetitions=1)
    schedule.see_nodes({"one": "T4"})
    late = assign_one(schedule, "one")
    schedule.start(late.attempt)
    schedule.see_nodes({"two": "T4"})
    twin = assign_one(schedule, "two")
    assert twin.slot == late.slot
    assert schedule.finish(late.attempt) == (True, [twin])
    assert schedule.finished[late.slot] == "one"
    assert not schedule.fail(twin.attempt, "stopped"), "what was stopped on purpose is no failure"
    assert schedule.trouble[late.slot].num_failures == 0
    assert "two" not in schedule.running


def test_of_two_results_of_one_slot_the_second_is_dropped() -> None:
    schedule = make_schedule(repetitions=1)
    schedule.see_nodes({"one": "T4"})
    late = assign_one(schedule, "one")
    schedule.see_nodes({"two": "T4"})
    twin = assign_one(schedule, "two")
    assert schedule.finish(twin.attempt) == (True, [])
    assert schedule.finish(late.attempt) == (False, [])
    assert schedule.finished[late.slot] == "two"


def test_a_slot_is_given_up_after_several_failures_and_the_rest_goes_on() -> None:
    schedule = make_schedule(repetitions=2)
    schedule.see_nodes({"three": "L4"})
    good = assign_one(schedule, "three")
    schedule.finish(good.attempt)
    bad = assign_one(schedule, "three")
    for number in range(MAX_FAILURES):
        again = schedule.running["three"] if number == 0 else assign_one(schedule, "three")
        assert again.slot == bad.slot
        assert schedule.fail(again.attempt, "status 3")
    following = assign_one(schedule, "three")
    assert following.slot != bad.slot
    assert schedule.given_up() == {bad.slot: "status 3"}


def test_an_environment_in_which_nothing_ever_succeeds_is_given_up_before_hours_are_spent_on_it() -> None:
    schedule = make_schedule(repetitions=50)
    schedule.see_nodes({"three": "L4"})
    num_failed = 0
    while any(slot.kind == "L4" for slot in schedule.open_slots()):
        running = assign_one(schedule, "three")
        if running.slot.environment == "b":
            num_failed += schedule.fail(running.attempt, "no module named torch")
        else:
            schedule.finish(running.attempt)
    assert num_failed <= MAX_FAILURES_OF_ALL + 1
    assert len(schedule.given_up()) == 50
    assert set(schedule.given_up().values()) == {"no module named torch"}


def test_a_slot_that_kills_every_node_is_given_up() -> None:
    schedule = make_schedule(repetitions=1)
    for number in range(MAX_LOSSES):
        schedule.see_nodes({f"node{number}": "L4"})
        running = assign_one(schedule, f"node{number}")
        schedule.start(running.attempt)
        assert running.slot.environment == "a"
        schedule.see_nodes({})
    schedule.see_nodes({"last": "L4"})
    assert assign_one(schedule, "last").slot.environment == "b"


def test_a_node_that_dies_before_the_process_has_started_is_no_loss_of_the_slot() -> None:
    schedule = make_schedule(repetitions=1)
    for number in range(MAX_LOSSES + 2):
        schedule.see_nodes({f"node{number}": "L4"})
        assert assign_one(schedule, f"node{number}").slot.environment == "a"
        schedule.see_nodes({})
    assert not schedule.trouble


def test_a_resumed_node_goes_on_with_its_own_half_of_the_work() -> None:
    schedule = make_schedule(repetitions=2)
    schedule.see_nodes(NODES)
    half = {}
    for _ in range(2):
        for assignment in schedule.assign():
            schedule.finish(assignment.attempt)
    half = dict(schedule.finished)
    resumed = make_schedule(repetitions=2, finished=half)
    resumed.see_nodes(dict(reversed(NODES.items())))
    ran = run_all(resumed)
    for node in NODES:
        whole = [slot for slot, by in half.items() if by == node] + ran[node]
        assert "".join(slot.environment for slot in whole) == "abba"
        assert len({slot.name for slot in whole}) == 2


def test_a_refused_node_gets_nothing_and_another_does_its_part() -> None:
    schedule = make_schedule(repetitions=1)
    schedule.see_nodes({"one": "T4", "two": "T4"})
    schedule.refuse("one", "has no torch")
    ran = run_until_stuck(schedule)
    assert set(ran) == {"two"}
    assert len(ran["two"]) == 4


def test_a_node_that_is_refused_while_it_runs_keeps_that_slot_and_another_does_the_rest() -> None:
    schedule = make_schedule(repetitions=1)
    schedule.see_nodes({"one": "T4", "two": "T4"})
    running = assign_one(schedule, "one")
    schedule.refuse("one", "has no torch")
    ran = run_until_stuck(schedule)
    assert len(ran["two"]) == 3
    assert running.slot not in ran["two"]
    schedule.finish(running.attempt)
    assert not schedule.open_slots("T4")


def test_a_resumed_lane_goes_to_the_node_that_began_it_whatever_its_name() -> None:
    first, second, _ = measuring_lanes(make_plan(num_repetitions=1), KINDS)
    schedule = make_schedule(repetitions=1, finished={first.slots[0]: "two", second.slots[0]: "one"})
    schedule.see_nodes({"one": "T4", "two": "T4"})
    assert {one.node: one.slot for one in schedule.assign()} == {"one": second.slots[1], "two": first.slots[1]}


def run_until_stuck(schedule: Schedule) -> dict[str, list[Slot]]:
    ran: dict[str, list[Slot]] = {}
    while new := schedule.assign():
        for assignment in new:
            ran.setdefault(assignment.node, []).append(assignment.slot)
            schedule.finish(assignment.attempt)
    return ran


def test_no_more_nodes_of_a_kind_work_at_once_than_are_asked_for() -> None:
    lanes = [Lane(kind="T4", slots=(Slot(kind="T4", environment="a", name=f"seed{n}"),)) for n in range(6)]
    schedule = Schedule(lanes=tuple(lanes), max_busy={"T4": 2}, finished={})
    schedule.see_nodes(dict.fromkeys(("one", "two", "three"), "T4"))
    assert len(schedule.assign()) == 2
    assert schedule.num_wanted() == {"T4": 2}
    for assignment in list(schedule.running.values()):
        schedule.finish(assignment.attempt)
    assert len(schedule.assign()) == 2


@dataclass
class Simulation:
    """A cluster in which everything that can happen does, at random; and a head that is killed and started again."""

    chance: random.Random
    schedule: Schedule
    alive: dict[str, str] = field(default_factory=lambda: dict(NODES))
    files: dict[Slot, str] = field(default_factory=dict)
    """What is on the disk: each file is written once."""
    zombies: list[Assignment] = field(default_factory=list)
    """Processes of nodes that were taken for dead, whose results may still come."""

    def step(self) -> None:
        for assignment in self.schedule.assign():
            assert assignment.slot not in self.files, "what is finished is never given out again"
        for assignment in list(self.schedule.running.values()):
            what = self.chance.random()
            if what < 0.3:
                self.schedule.start(assignment.attempt)
            elif what < 0.6:
                self.finish(assignment)
            elif what < 0.63:
                self.schedule.fail(assignment.attempt, "failed")
            elif what < 0.66:
                self.schedule.lose(assignment.attempt, "worker died")
                self.zombies.append(assignment)
        if self.chance.random() < 0.1:
            self.change_nodes()
        if self.zombies and self.chance.random() < 0.3:
            self.finish(self.zombies.pop(self.chance.randrange(len(self.zombies))))
        if self.chance.random() < 0.03:  # the head is killed, and started again: only the files are left
            self.schedule = make_schedule(repetitions=3, finished=self.files)
            self.schedule.see_nodes(self.alive)
            self.zombies.clear()

    def finish(self, assignment: Assignment) -> None:
        is_counted, _ = self.schedule.finish(assignment.attempt)
        assert is_counted == (assignment.slot not in self.files)
        if is_counted:
            self.files[assignment.slot] = assignment.node

    def change_nodes(self) -> None:
        name = self.chance.choice(list(NODES))
        if name in self.alive:
            del self.alive[name]
        else:
            self.alive[name] = NODES[name]
        self.zombies += self.schedule.see_nodes(self.alive)


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_every_slot_is_finished_once_or_given_up_with_a_reason(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    simulation = Simulation(chance=chance, schedule=make_schedule(repetitions=3))
    simulation.schedule.see_nodes(NODES)
    for _ in range(3000):
        if simulation.schedule.is_done:
            break
        simulation.step()
    schedule = simulation.schedule
    assert schedule.is_done
    assert schedule.finished == simulation.files
    assert len(schedule.finished) + len(schedule.given_up()) == 18
    assert all(schedule.given_up().values())
    assert all(NODES[node] == slot.kind for slot, node in schedule.finished.items())

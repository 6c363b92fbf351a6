"""The head of a fleet with an engine that runs nothing: what is kept, resumed, refused and shown."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_content, make_entry, make_record
from fleet_files import make_plan

from perfsuite.analysis.load.fleet_place import FLEET_KEY
from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.campaign.interruption import Interrupted
from perfsuite.campaign.plan import code_of
from perfsuite.cli import main
from perfsuite.errors import FleetError, FolderInUseError
from perfsuite.fleet.engine import Ended, Event, Lost, Node, Order, Started, Told
from perfsuite.fleet.head import Settings
from perfsuite.fleet.plan import Trainings
from perfsuite.fleet.run import run_fleet
from perfsuite.fleet.state import safe_name
from perfsuite.folder_lock import folder_locked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from perfsuite.fleet.head import FleetOutcome
    from perfsuite.fleet.plan import FleetPlan

NODES = {"one": "T4", "two": "T4", "three": "L4"}
VERSIONS = {"python": "3.11.7", "torch": "2.6.0", "pytest": "8.2", "pytest-benchmark": "5.1"}


def result_bytes(number: int = 1, **changes: Any) -> bytes:
    content = make_content([make_entry(make_record(run_id=str(number)), [0.1, 0.2, 0.3])])
    return json.dumps({**content, **changes}).encode()


def good(order: Order) -> list[Event]:
    ended = Ended(attempt=order.attempt, status=0, result=result_bytes(order.attempt), log="fine", duration_s=60.0)
    return [Started(attempt=order.attempt), Told(attempt=order.attempt, line="[1/2] \x1b[2J"), ended]


def versions(order: Order, **changes: str) -> Ended:
    found = {"code": None, "versions": {name: {**VERSIONS, **changes} for name in order.pythons}}
    return Ended(attempt=order.attempt, status=0, result=json.dumps(found).encode(), log="", duration_s=1.0)


@dataclass
class FakeEngine:
    """Gives what a test says for every order, one event at a time."""

    there: dict[str, str] = field(default_factory=lambda: dict(NODES))
    act: Callable[[str, Order], list[Event]] = lambda _node, order: good(order)
    probed: Callable[[str, Order], Ended] = lambda _node, order: versions(order)
    num_events: int | None = None
    """After so many the user presses Ctrl-C."""
    orders: list[tuple[str, Order]] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    queue: list[Event] = field(default_factory=list)
    is_closed: bool = False
    where = "a cluster"

    def nodes(self, _wanted: Mapping[str, int]) -> Sequence[Node]:
        return [Node(name=name, kind=kind) for name, kind in self.there.items()]

    def start(self, node: str, order: Order) -> None:
        if order.python is None:
            self.queue.append(self.probed(node, order))
        else:
            self.orders.append((node, order))
            self.queue += self.act(node, order)

    def stop(self, attempt: int) -> None:
        self.stopped.append(attempt)

    def events(self, timeout_s: float) -> Sequence[Event]:
        del timeout_s
        if self.num_events is not None:
            self.num_events -= 1
            if self.num_events < 0:
                raise KeyboardInterrupt
        return [self.queue.pop(0)] if self.queue else []

    def close(self, patience_s: float) -> None:
        del patience_s
        self.is_closed = True


@dataclass
class Clock:
    """A second passes at every look."""

    time_s: float = 0.0

    def __call__(self) -> float:
        self.time_s += 1.0
        return self.time_s


def run(
    folder: Path,
    engine: FakeEngine | None = None,
    plan: FleetPlan | None = None,
    *,
    restart: bool = False,
    lines: list[str] | None = None,
    is_training: bool = False,
    wait_s: float = 100.0,
) -> FleetOutcome:
    engine = engine or FakeEngine()
    settings = Settings(is_training=is_training, restart=restart, wait_s=wait_s, clock=Clock())
    said: list[str] = [] if lines is None else lines
    try:
        return run_fleet(plan or make_plan(), folder, lambda: engine, settings, lambda text, _final: said.append(text))
    finally:
        assert engine.is_closed or not engine.orders


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*-*.json"))


def test_a_whole_fleet_leaves_a_file_for_each_repetition_which_says_where_it_comes_from(tmp_path: Path) -> None:
    engine = FakeEngine()
    outcome = run(tmp_path, engine)
    assert len(outcome.results) == 12
    assert not outcome.given_up
    assert Counter(node for node, _ in engine.orders) == dict.fromkeys(NODES, 4)
    assert names(tmp_path)[:4] == [f"L4-three-{name}-{number}.json" for name in "ab" for number in ("001", "002")]
    for name in names(tmp_path):
        own = read_result_file(tmp_path / name).machine[FLEET_KEY]
        assert name == f"{own['kind']}-{own['node']}-{own['environment']}-{own['repetition']:03d}.json"
    assert (tmp_path / "logs" / "L4-three-a-001.log").read_text() == "fine"
    assert main(["collect", str(tmp_path)]) == 0, "a folder of a fleet stands for its results"


@pytest.mark.parametrize("num_events", [0, 1, 5, 9, 17, 30])
def test_an_interrupted_fleet_is_resumed_and_nothing_is_lost_or_done_twice(tmp_path: Path, num_events: int) -> None:
    engine = FakeEngine(num_events=num_events)
    with pytest.raises(Interrupted):
        run(tmp_path, engine)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    resumed = FakeEngine()
    assert len(run(tmp_path, resumed).results) == 12
    assert len(resumed.orders) == 12 - len(before)
    assert before == {name: (tmp_path / name).read_bytes() for name in before}
    again = FakeEngine()
    assert len(run(tmp_path, again).results) == 12
    assert not again.orders
    per_slot = Counter((name.split("-")[0], *name.split("-")[2:]) for name in names(tmp_path))
    assert set(per_slot.values()) == {1}


def test_what_runs_on_a_node_that_dies_is_done_by_another_of_its_kind(tmp_path: Path) -> None:
    engine = FakeEngine()

    def die_once(node: str, order: Order) -> list[Event]:
        if node == "one" and node in engine.there:
            del engine.there["one"]
            return [Started(attempt=order.attempt), Lost(attempt=order.attempt, reason="the node has died")]
        return good(order)

    engine.act = die_once
    lines: list[str] = []
    assert len(run(tmp_path, engine, lines=lines).results) == 12
    assert {name.split("-")[1] for name in names(tmp_path)} == {"two", "three"}
    assert any("one: died while it ran T4 a 00" in line for line in lines)


def test_a_result_that_comes_after_the_node_was_given_up_counts_once(tmp_path: Path) -> None:
    engine = FakeEngine()
    late: list[Event] = []

    def vanish(node: str, order: Order) -> list[Event]:
        if node == "one" and not late:
            del engine.there["one"]
            late.extend(good(order)[2:])
            return [Started(attempt=order.attempt)]
        if late and len(late) == 1 and len(engine.orders) > 8:
            found = [*late, *good(order)]
            late.append(late[0])
            return found
        return good(order)

    engine.act = vanish
    assert len(run(tmp_path, engine).results) == 12
    per_slot = Counter((name.split("-")[0], *name.split("-")[2:]) for name in names(tmp_path))
    assert set(per_slot.values()) == {1}
    assert sum(per_slot.values()) == 12


BAD = {
    "not JSON": b"{",
    "no object": b"[]",
    "no benchmarks": json.dumps({"benchmarks": []}).encode(),
    "NaN": json.dumps({"benchmarks": [{"name": "x", "stats": {"data": [float("nan")]}}]}).encode(),
    "cut off": result_bytes(perfsuite={"schema_version": 1, "complete": False, "outcomes": []}),
    "nothing": None,
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_complete_result_is_never_kept_and_the_rest_is_measured(tmp_path: Path, kind: str) -> None:
    def act(_node: str, order: Order) -> list[Event]:
        if order.environment == "b":
            log = "E   RuntimeError: bad\n"
            return [Ended(attempt=order.attempt, status=0, result=BAD[kind], log=log, duration_s=1.0)]
        return good(order)

    outcome = run(tmp_path, FakeEngine(act=act))
    assert {slot.environment for slot in outcome.results} == {"a"}
    assert {slot.environment for slot in outcome.given_up} == {"b"}
    assert len(outcome.results) + len(outcome.given_up) == 12
    assert not any("-b-" in name for name in names(tmp_path))
    assert len(run(tmp_path).results) == 12, "the same command tries again"


def test_the_reason_of_a_failed_process_is_the_complaint_in_its_log(tmp_path: Path) -> None:
    def act(_node: str, order: Order) -> list[Event]:
        log = "collected 1 item\nE   RuntimeError: no GPU\nbye\n"
        return [Ended(attempt=order.attempt, status=3, result=None, log=log, duration_s=1.0)]

    outcome = run(tmp_path, FakeEngine(act=act))
    assert any("ended with status 3: E   RuntimeError: no GPU (on " in reason for reason in outcome.given_up.values())


def test_a_node_with_other_versions_is_not_used_and_the_others_do_its_part(tmp_path: Path) -> None:
    def probed(node: str, order: Order) -> Ended:
        return versions(order, torch="2.7.0") if node == "two" else versions(order)

    lines: list[str] = []
    engine = FakeEngine(probed=probed)
    assert len(run(tmp_path, engine, lines=lines).results) == 12
    assert "two" not in {node for node, _ in engine.orders}
    assert any(
        line.startswith("two: not used: differs from the nodes before it: environments.a.torch") for line in lines
    )


def test_a_fleet_none_of_whose_nodes_can_be_used_ends_in_one_line(tmp_path: Path) -> None:
    def probed(_node: str, order: Order) -> Ended:
        return versions(order, error="no such interpreter: /b/bin/python")

    with pytest.raises(FleetError, match=r"no node of kind T4, L4 is there that can be used \(.*no such interpreter"):
        run(tmp_path, FakeEngine(probed=probed), wait_s=1e12)  # a node that was refused stays so


def test_nodes_are_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    plan = make_plan()
    with pytest.raises(FleetError, match=r"kinds.L4: no node of a cluster is of this kind"):
        run(tmp_path, FakeEngine(there={"one": "T4"}), plan)
    engine = FakeEngine()

    def leave(node: str, order: Order) -> list[Event]:
        engine.there.pop("three", None)
        return [] if node == "three" else good(order)

    engine.act = leave
    lines: list[str] = []
    with pytest.raises(FleetError, match="no node of kind L4 is there that can be used; what is finished is kept"):
        run(tmp_path, engine, plan, lines=lines)
    assert "waiting for nodes of kind L4" in lines
    assert len(names(tmp_path)) == 8


def test_another_plan_in_the_folder_is_refused_before_anything_is_connected_to(tmp_path: Path) -> None:
    run(tmp_path)
    other = make_plan(arguments=("benchmarks", "-m", "inference"))
    engine = FakeEngine()
    with pytest.raises(FleetError, match=r'contains another fleet: arguments was \["benchmarks"\] and is .*--restart'):
        run(tmp_path, engine, other)
    assert not engine.is_closed
    kinds = tuple(dataclasses.replace(kind, num_nodes=3) for kind in make_plan().kinds)
    with pytest.raises(FleetError, match=r"contains another fleet: kinds.L4.nodes was 1 and is 3"):
        run(tmp_path, engine, make_plan(kinds=kinds))
    before = names(tmp_path)
    (tmp_path / "mine.json").write_bytes(result_bytes())
    (tmp_path / "T4-copy-a-001.json").write_bytes((tmp_path / before[-1]).read_bytes())
    assert len(run(tmp_path, engine, other, restart=True).results) == 12
    assert set(names(tmp_path)) - set(before) == {"T4-copy-a-001.json"}
    assert (tmp_path / "mine.json").exists()


def test_more_repetitions_are_added_to_a_fleet(tmp_path: Path) -> None:
    run(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    engine = FakeEngine()
    outcome = run(tmp_path, engine, make_plan(num_repetitions=3))
    assert (len(outcome.results), len(engine.orders)) == (18, 6)
    assert before == {name: (tmp_path / name).read_bytes() for name in before}


def test_a_new_start_that_cannot_connect_deletes_nothing(tmp_path: Path) -> None:
    run(tmp_path)
    before = names(tmp_path)

    def refuse() -> FakeEngine:
        raise FleetError("nothing answers there")

    settings = Settings(is_training=False, restart=True, wait_s=0.0)
    with pytest.raises(FleetError, match="nothing answers"):
        run_fleet(make_plan(), tmp_path, refuse, settings, lambda _text, _final: None)
    assert names(tmp_path) == before


def test_a_change_of_the_plan_is_no_change_of_the_code(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)  # noqa: S607 - git

    git("init", "-q")
    (tmp_path / "step.py").write_text("1")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a")
    plan = tmp_path / "fleet.toml"
    clean = code_of(tmp_path, without=plan)
    plan.write_text("repetitions = 5")
    assert code_of(tmp_path, without=plan) == clean != code_of(tmp_path)
    git("add", ".")
    assert code_of(tmp_path, without=plan) == clean
    (tmp_path / "step.py").write_text("2")
    assert code_of(tmp_path, without=plan) != clean


def test_a_second_head_in_the_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    with folder_locked(tmp_path), pytest.raises(FolderInUseError, match="in use by process"):
        run(tmp_path)


def test_a_folder_that_is_no_fleet_s_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for restart in (False, True):
        with pytest.raises(FleetError, match=r"contains files \(notes.txt\), but no fleet.json"):
            run(tmp_path, restart=restart)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda text: text[:100],
        lambda text: text.replace("perfsuite-fleet-1", "perfsuite-fleet-9"),
        lambda text: text.replace('"T4": 2', '"T4": -2'),
        lambda text: text.replace('"progress": {', '"progress": 5, "x": {'),
        lambda _: "[" * 100_000,
    ],
)
def test_a_damaged_state_is_one_line(tmp_path: Path, damage: Callable[[str], str]) -> None:
    run(tmp_path)
    state = tmp_path / "fleet.json"
    state.write_text(damage(state.read_text()))
    with pytest.raises(FleetError, match="name another folder") as caught:
        run(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_result_is_found_before_hours_are_spent_and_a_copy_is_not_counted(tmp_path: Path) -> None:
    run(tmp_path)
    copy = tmp_path / "T4-one-a-099.json"
    copy.write_bytes((tmp_path / names(tmp_path)[-1]).read_bytes())
    lines: list[str] = []
    outcome = run(tmp_path, FakeEngine(), lines=lines)
    assert len(outcome.results) == 12
    assert outcome.notes == ["T4-one-a-099.json: is not of this fleet, and not counted"]
    other = tmp_path.parent / f"{tmp_path.name}-other"
    run(other)
    copy.unlink()
    mine = tmp_path / names(tmp_path)[-1]
    mine.write_bytes((other / mine.name).read_bytes())
    with pytest.raises(Interrupted):
        run(tmp_path, FakeEngine(num_events=0), lines=lines)
    assert lines[-2].startswith("12 results in ")
    assert ", 11 of them finished before, on a cluster" in lines[-2], "a result of another fleet is not counted"
    copy.write_text("{")
    with pytest.raises(FleetError, match=r"T4-one-a-099\.json: .*move it away"):
        run(tmp_path)


def test_nodes_with_evil_names_stay_in_the_folder_and_off_the_terminal(tmp_path: Path) -> None:
    evil = {"../../etc/passwd\x1b[2J": "T4", "two": "T4", "three": "L4"}
    folder = tmp_path / "run"
    outcome = run(folder, FakeEngine(there=evil))
    assert len(outcome.results) == 12
    assert {path.parent for path in tmp_path.rglob("*.json")} == {folder}
    assert len(run(folder, FakeEngine(there=evil)).results) == 12
    assert safe_name("../x") == "x"
    assert safe_name("...") == "node"


@pytest.mark.parametrize("node", ["two", "n" * 300, "\x1b[2Jé名"])
def test_the_status_fits_into_80_columns_and_says_what_runs_failed_and_is_left(
    tmp_path: Path, node: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there = {node: "T4", "other": "T4", "three": "L4"}

    def act(at: str, order: Order) -> list[Event]:
        if order.environment == "b" and at == "three":
            return [Ended(attempt=order.attempt, status=3, result=None, log="error: no GPU", duration_s=1.0)]
        if at == node and len(list(tmp_path.glob("*.json"))) > 4:
            return [Started(attempt=order.attempt)]
        return good(order)

    engine = FakeEngine(there=there, act=act, num_events=60)
    with pytest.raises(Interrupted):
        run(tmp_path, engine)
    state = json.loads((tmp_path / "fleet.json").read_text())
    state["progress"]["running"] = [
        {"kind": "T4", "node": node, "environment": "a", "slot": "003", "since": state["progress"]["updated"]}
        | {"line": "x", "left_s": 4000.0}
    ]
    state["progress"]["ended"] = False
    (tmp_path / "fleet.json").write_text(json.dumps(state))
    assert main(["fleet", "status", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert all(len(line) <= 80 for line in out.splitlines()), out
    assert "1 h 6 min" in out
    assert "of 12 done" in out
    assert "failed 2 times: L4 b: ended with status 3: error: no GPU (on three)" in out


@pytest.mark.parametrize(
    "progress",
    [
        {},
        {"updated": 5, "running": 5, "failed": [5], "refused": []},
        {"updated": "2020-01-01T00:00:00", "running": [{}], "failed": [{}]},
    ],
)
def test_the_status_shows_a_state_that_somebody_else_wrote(
    tmp_path: Path, progress: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path)
    state = json.loads((tmp_path / "fleet.json").read_text())
    (tmp_path / "fleet.json").write_text(json.dumps({**state, "progress": progress}))
    assert main(["fleet", "status", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "12 of 12 done" in out
    assert "no head seems to run" in out


TRAININGS = Trainings(
    shared="/shared", models=("resnet18",), precisions=("fp32", "amp"), num_seeds=2, arguments=("--perf-recipe=x.toml",)
)


def test_every_training_has_a_folder_of_its_own_and_any_node_of_the_kind_resumes_it(tmp_path: Path) -> None:
    plan = make_plan(trainings=TRAININGS)
    engine = FakeEngine()
    lost: list[str] = []

    def act(node: str, order: Order) -> list[Event]:
        if node == "one":
            lost.append(order.arguments[-1])
            engine.there.pop("one", None)
            return [Started(attempt=order.attempt), Lost(attempt=order.attempt, reason="preempted")]
        return good(order)

    engine.act = act
    outcome = run(tmp_path, engine, plan, is_training=True)
    assert len(outcome.results) == 2 * 2 * 4
    folders = Counter(order.arguments[-1] for _, order in engine.orders)
    assert len(folders) == 16
    assert [folder for folder, number in folders.items() if number == 2] == lost
    seeds = {order.arguments[2:] for node, order in engine.orders if node == "three" and order.environment == "a"}
    assert (
        "--perf-recipe=x.toml",
        "--perf-models=resnet18",
        "--perf-precisions=amp",
        "--perf-seeds=2",
        "-k",
        "seed1]",
        "--perf-run-dir=/shared/L4-a-resnet18-amp-seed1",
    ) in seeds

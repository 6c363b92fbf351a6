"""A whole fleet: the folder is held, what was finished before is read, nodes are connected to, the head runs."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.campaign.interruption import terminated_as_interrupted
from perfsuite.campaign.plan import code_of
from perfsuite.errors import FleetError
from perfsuite.fleet.head import Head
from perfsuite.fleet.identity import check_same_fleet, identity_of
from perfsuite.fleet.lanes import measuring_lanes, training_lanes
from perfsuite.fleet.node_versions import NodeVersions
from perfsuite.fleet.orders import Orders
from perfsuite.fleet.schedule import MAX_LOSSES, Schedule
from perfsuite.fleet.state import STATE, clear, read_results, read_state
from perfsuite.folder_lock import folder_held
from perfsuite.run_folder import check_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.fleet.engine import Engine
    from perfsuite.fleet.head import FleetOutcome, Settings
    from perfsuite.fleet.plan import FleetPlan

STOP_S = 70.0
"""How long the ends of processes are waited for after Ctrl-C; each has 60 s until it is killed."""

MAX_TRAINING_LOSSES = 1000
"""A training resumes from its checkpoint, and loses little each time that its machine is taken away."""

MAX_TRAINING_NODES = 10**6
"""Of a kind that does not say `nodes`: all that are there train."""


def run_fleet(
    plan: FleetPlan,
    folder: Path,
    start_engine: Callable[[], Engine],
    settings: Settings,
    say: Callable[[str, bool], None],
) -> FleetOutcome:
    """Run what is missing of a fleet.

    Args:
        plan: What.
        folder: Where all of it is kept.
        start_engine: Connects to the nodes.
        settings: How.
        say: Called with a line, and whether it is final or may be overwritten.

    Raises:
        FleetError: The folder contains another fleet, or no node is left that could go on.
        FolderInUseError: Another head works in the folder.
        Interrupted: Ctrl-C or SIGTERM.
    """
    folder = folder.absolute()
    check_folder(folder, STATE, FleetError)
    with folder_held(folder, FleetError), terminated_as_interrupted():
        before = read_state(folder)
        if before is not None and not settings.restart:
            check_same_fleet(before, plan, folder, is_training=settings.is_training)
        engine = start_engine()
        try:
            if before is not None and settings.restart:  # not earlier: without nodes nothing is deleted
                clear(folder, before["id"])
                before = None
            state = before or _new_state(plan, engine, is_training=settings.is_training)
            return _head(plan, folder, engine, state, settings, say).run()
        finally:
            engine.close(STOP_S)


def _new_state(plan: FleetPlan, engine: Engine, *, is_training: bool) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(8),
        "identity": identity_of(plan, is_training=is_training),
        "num_nodes": _num_nodes(plan, engine, is_training=is_training),
        "versions": {},
        "progress": {},
    }


def _num_nodes(plan: FleetPlan, engine: Engine, *, is_training: bool) -> dict[str, int]:
    """Return how many nodes of each kind measure: as given, or all that are there."""
    nodes = engine.nodes({})
    found = {}
    for kind in plan.kinds:
        there = [node for node in nodes if node.kind == kind.name]
        if not there and kind.num_nodes is None and not is_training:
            raise FleetError(
                f"kinds.{kind.name}: no node of {engine.where} is of this kind, or an earlier kind has them all; "
                "start one, or write nodes = N to wait for them"
            )
        found[kind.name] = kind.num_nodes or max(1, len(there))
    return found


def _head(
    plan: FleetPlan,
    folder: Path,
    engine: Engine,
    state: dict[str, Any],
    settings: Settings,
    say: Callable[[str, bool], None],
) -> Head:
    """Make the head of a fleet, with all that was finished before; the state is brought up to the plan."""
    trainings = plan.trainings if settings.is_training else None
    max_busy: dict[str, int]
    if trainings is None:
        lanes = measuring_lanes(plan, state["num_nodes"])
        max_busy, max_losses = dict(state["num_nodes"]), MAX_LOSSES
    else:
        lanes = training_lanes(plan, trainings)
        max_busy = {kind.name: kind.num_nodes or MAX_TRAINING_NODES for kind in plan.kinds}
        max_losses = MAX_TRAINING_LOSSES
    state["num_repetitions"] = plan.num_repetitions
    state["num_slots"] = sum(len(lane.slots) for lane in lanes)
    results, notes = read_results(folder, state["id"])
    schedule = Schedule(
        lanes=tuple(lanes),
        max_busy=max_busy,
        finished={slot: result.node for slot, result in results.items()},
        max_losses=max_losses,
    )
    versions = NodeVersions(
        environments=plan.environments,
        is_shipped=plan.ship,
        shipped_code=code_of(Path(plan.checkout), without=Path(plan.path)) if plan.ship else None,
        known=state["versions"],
    )
    return Head(
        folder=folder,
        engine=engine,
        schedule=schedule,
        orders=Orders(plan=plan, trainings=trainings),
        versions=versions,
        results=results,
        state=state,
        settings=settings,
        say=say,
        notes=notes,
    )

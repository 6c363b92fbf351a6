"""Whether a folder holds the same fleet: what must not change for it to be resumed."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from perfsuite.errors import FleetError
from perfsuite.run_folder import difference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from perfsuite.fleet.plan import FleetPlan


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


def check_same_fleet(before: Mapping[str, Any], plan: FleetPlan, folder: Path, *, is_training: bool) -> None:
    """Check that a folder holds the fleet of a plan.

    Args:
        before: Its state.
        plan: What is to be run.
        folder: For the message.
        is_training: Whether trainings are run, not repetitions of benchmarks.

    Raises:
        FleetError: It holds another one.
    """
    differing = difference(before["identity"], identity_of(plan, is_training=is_training))
    for kind in plan.kinds:
        known = before["num_nodes"].get(kind.name)
        # Repetitions are numbered over the nodes of a kind; trainings are taken by as many nodes as there are.
        if not is_training and kind.num_nodes not in {None, known}:
            differing = f"kinds.{kind.name}.nodes was {known} and is {kind.num_nodes}"
    if differing is not None:
        raise FleetError(
            f"{folder}: contains another fleet: {differing}; --restart starts over, or name another folder"
        )

"""What the nodes of a fleet do: environments interleaved on each, or trainings that any of them takes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.errors import FleetError
from perfsuite.fleet.schedule import Lane, Slot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfsuite.fleet.plan import FleetPlan, Trainings


def interleaved(environments: tuple[str, ...], num_repetitions: int) -> list[tuple[str, int]]:
    """Return environments and the numbers of their repetitions as one node runs them: A B B A A B ...

    A drift of the node then hits all environments alike.
    """
    turns = [environments if number % 2 == 0 else environments[::-1] for number in range(num_repetitions)]
    return [(environment, number) for number, turn in enumerate(turns) for environment in turn]


def measuring_lanes(plan: FleetPlan, num_nodes: Mapping[str, int]) -> list[Lane]:
    """Return what each node does: a lane for each, all environments interleaved.

    Repetitions of an environment are numbered over all nodes of a kind, so that a number is never given twice, and
    further repetitions change none.

    Args:
        plan: What.
        num_nodes: By kind.
    """
    names = tuple(environment.name for environment in plan.environments)
    lanes = []
    for kind in plan.kinds:
        num_lanes = num_nodes[kind.name]
        for lane in range(num_lanes):
            slots = tuple(
                Slot(kind=kind.name, environment=environment, name=f"{number * num_lanes + lane + 1:03d}")
                for environment, number in interleaved(names, plan.num_repetitions)
            )
            lanes.append(Lane(kind=kind.name, slots=slots))
    return lanes


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A training of a fleet.

    Attributes:
        model: As given.
        precision: As given.
        seed: From 0.
    """

    model: str
    precision: str
    seed: int

    @property
    def name(self) -> str:
        """In the names of files and folders."""
        model = re.sub(r"[^A-Za-z0-9_.+-]+", "_", self.model)[-60:]
        return f"{model}-{self.precision}-seed{self.seed}"


def training_tasks(trainings: Trainings) -> dict[str, Task]:
    """Return the cells x seeds by their names.

    Raises:
        FleetError: Two networks have one name.
    """
    tasks = [
        Task(model=model, precision=precision, seed=seed)
        for seed in range(trainings.num_seeds)
        for model in trainings.models
        for precision in trainings.precisions
    ]
    found = {task.name: task for task in tasks}
    if len(found) < len(tasks):
        raise FleetError("[train]: models, precisions: two of them have the same name in files; rename one")
    return found


def training_lanes(plan: FleetPlan, trainings: Trainings) -> list[Lane]:
    """Return a lane for each training: any node of the kind takes it."""
    return [
        Lane(kind=kind.name, slots=(Slot(kind=kind.name, environment=environment.name, name=name),))
        for name in training_tasks(trainings)
        for environment in plan.environments
        for kind in plan.kinds
    ]

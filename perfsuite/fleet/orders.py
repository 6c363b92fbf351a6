"""What a node is told to run: pytest for a repetition or a training, or the question which versions it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.fleet.engine import Order
from perfsuite.fleet.lanes import training_tasks
from perfsuite.fleet.plan import DEFAULT_REPETITION_S, MAX_REPETITION_S

if TYPE_CHECKING:
    from perfsuite.fleet.plan import FleetPlan, Trainings
    from perfsuite.fleet.schedule import Assignment, Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Makes the orders of a fleet.

    Attributes:
        plan: What is measured.
        trainings: What is trained; None: benchmarks are repeated.
    """

    plan: FleetPlan
    trainings: Trainings | None

    def measuring(self, assignment: Assignment) -> Order:
        """Return the order for a slot."""
        environment = self.plan.environment(assignment.slot.environment)
        return Order(
            attempt=assignment.attempt,
            environment=environment.name,
            pythons={},
            python=environment.python or "",
            folder=self._folder(),
            arguments=self._arguments(assignment.slot),
            plan=self.plan.path,
            variables={environment.name: environment.variables},
            max_s=self._max_s(),
        )

    def asking(self, attempt: int, names: tuple[str, ...]) -> Order:
        """Return the order that asks for versions.

        Args:
            attempt: Its number.
            names: Of the environments, which are asked for together.
        """
        environments = [self.plan.environment(name) for name in names]
        return Order(
            attempt=attempt,
            environment=names[0],
            pythons={one.name: one.python or "" for one in environments},
            python=None,
            folder=self._folder(),
            arguments=(),
            plan=self.plan.path,
            variables={one.name: one.variables for one in environments},
            max_s=self._max_s(),
        )

    def repetition(self, slot: Slot) -> int:
        """Return the number of a repetition, from 1; that of a training is its seed's."""
        if self.trainings is None:
            return int(slot.name)
        return training_tasks(self.trainings)[slot.name].seed + 1

    def _folder(self) -> str:
        return "" if self.plan.ship else self.plan.checkout

    def _max_s(self) -> float:
        default_s = DEFAULT_REPETITION_S if self.trainings is None else MAX_REPETITION_S
        return float(self.plan.max_repetition_s or default_s)

    def _arguments(self, slot: Slot) -> tuple[str, ...]:
        if self.trainings is None:
            return self.plan.arguments
        task = training_tasks(self.trainings)[slot.name]
        chosen = ("-k", f"seed{task.seed}]") if task.seed else ()
        return (
            "-m",
            "full_training",
            *self.trainings.arguments,
            f"--perf-models={task.model}",
            f"--perf-precisions={task.precision}",
            f"--perf-seeds={task.seed + 1}",
            *chosen,
            f"--perf-run-dir={self.trainings.shared}/{slot.kind}-{slot.environment}-{slot.name}",
        )

"""How long the rest of a run takes: by the plan of its head, by weights of cells, and by what is done."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfsuite.plugin.expected_time import expected_time
from perfsuite.plugin.matrix import is_scaling, is_step, num_classes_of, phase_of
from perfsuite.plugin.options import OPTIONS
from perfsuite.plugin.outcomes import is_own_test, is_study
from perfsuite.plugin.session import suite
from perfsuite.recipes import recipe_for
from perfsuite.records.workload import PHASE_COST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pytest

    from perfsuite.measure.time_plan import TimePlan
    from perfsuite.plugin.options import Options

PROFILE_SHARE = 0.6
"""Of the time of its cell that a profile is expected to take, before one is done."""

MAX_SKIPPED_RATIO = 0.05
"""Of the time that a cell is expected to take: one that ended sooner was skipped."""

PAIR_COST = 12.0
"""Of an interleaved pair, in the same measure: four whole steps in a block."""

SCALING_S = 30.0
"""Of a step on several devices: starting processes that import torch, checks, ten seconds of blocks, memory."""

SCALING_WEIGHT = 8.0
"""The same relative to a forward pass of a small network."""

STUDY_WEIGHTS = {
    "formats": 0.1,
    "accumulation": 0.2,
    "types": 0.4,
    "scaling": 1.0,
    "updates": 2.0,
    "weights": 6.0,
    "scales": 6.0,
    "gradients": 6.0,
}
"""Of studies of mixed precision, by name: their time on two cores of a CPU in ten seconds."""


@dataclass(slots=True, kw_only=True)
class TimeLeft:
    """Estimates the time left from the cells that are done.

    Attributes:
        weights: Expected relative duration of each cell, by name.
        prior_s: What a cell of average weight is expected to take before any is done.
        num_places: How many cells run at the same time, those of most weight first.
        now: Reads seconds.
    """

    weights: dict[str, float]
    prior_s: float
    num_places: int = 1
    now: Callable[[], float] = time.monotonic
    _done: dict[str, float] = field(default_factory=dict)
    _begun: dict[str, float] = field(default_factory=dict)
    _told: dict[str, float] = field(default_factory=dict)

    def begin(self, name: str) -> None:
        """Note that a cell begins."""
        self._begun.setdefault(name, self.now())

    def end(self, name: str) -> None:
        """Note that it has ended; a cell that ended at once (skipped) teaches nothing about the others."""
        self._done[name] = self.now() - self._begun.get(name, self.now())

    def tell(self, name: str, left_s: float) -> None:
        """Take the running cell's own word for how long it will take from now on."""
        self._told[name] = self.now() - self._begun.get(name, self.now()) + left_s

    def drop(self, names: Iterable[str]) -> None:
        """Expect no time any more for what will not be done."""
        for name in names:
            self.weights.pop(name, None)

    def seconds(self) -> float:
        """Return the expected time left, the running cell's included."""
        rate = self._rate()
        if rate is None:
            return 0.0
        if self.num_places > 1:
            return self._seconds_side_by_side(rate)
        left = sum(weight for name, weight in self.weights.items() if name not in self._done) * rate
        running = [begun for name, begun in self._begun.items() if name not in self._done]
        return max(left - sum(self.now() - begun for begun in running), 0.0)

    def _rate(self) -> float | None:
        """Return how many seconds a unit of weight takes; None where everything was dropped."""
        average = sum(self.weights.values()) / max(len(self.weights), 1)
        measured = {
            name: taken_s
            for name, taken_s in self._done.items()
            if name in self._told or not self._was_skipped(name, taken_s, average)
        }
        measured |= {name: told_s for name, told_s in self._told.items() if name not in self._done}
        known_s = sum(measured.values())
        known_weight = sum(self.weights.get(name, 0.0) for name in measured)
        if not self._told:  # until a cell has told for itself, the prior counts as one of average weight
            known_s += self.prior_s
            known_weight += average
        return known_s / known_weight if known_weight else None

    def _seconds_side_by_side(self, rate: float) -> float:
        """Return the time left where each cell is begun as soon as a place is free."""
        free_s = [0.0] * self.num_places
        open_weights = {name: weight for name, weight in self.weights.items() if name not in self._done}
        running = {name: begun for name, begun in self._begun.items() if name in open_weights}
        for place, (name, begun) in enumerate(running.items()):
            expected_s = self._told.get(name, open_weights[name] * rate)
            free_s[place % self.num_places] += max(expected_s - (self.now() - begun), 0.0)
        waiting = sorted((weight for name, weight in open_weights.items() if name not in running), reverse=True)
        for weight in waiting:
            free_s[free_s.index(min(free_s))] += weight * rate
        return max(free_s)

    def _was_skipped(self, name: str, taken_s: float, average: float) -> bool:
        """Whether a cell ended so much sooner than expected that it was not measured."""
        weight = self.weights.get(name, average)
        return taken_s * average <= MAX_SKIPPED_RATIO * self.prior_s * weight


def profile_of(nodeid: str) -> str:
    """Return the name under which the profile of a cell has a weight."""
    return f"profile of {nodeid}"


def time_left_of(config: pytest.Config, items: Sequence[pytest.Item]) -> TimeLeft:
    """Return what estimates the time left: by the plan that the head of the run shows, where there is one."""
    state, options = suite(config), config.stash[OPTIONS]
    usual_s = state.budget.max_time_s + state.budget.min_warm_up_s + 1.0
    if state.devices:
        weights = {item.nodeid: training_weight(item, options) for item in items}
        return TimeLeft(weights=weights, prior_s=usual_s, num_places=len(state.devices) // options.world_size)
    weights = {item.nodeid: _weight(item, options) for item in items}
    expected = expected_time(config)
    if expected is not None and expected.plan is not None:
        return _by_plan(weights, expected.cells, expected.plan)
    if options.profiled:
        steps = [item.nodeid for item in items if is_step(item)]
        weights.update({profile_of(nodeid): PROFILE_SHARE * weights[nodeid] for nodeid in steps})
    return TimeLeft(weights=weights, prior_s=SCALING_S if all(map(is_scaling, items)) else usual_s)


def _by_plan(weights: Mapping[str, float], cells: Sequence[str], plan: TimePlan) -> TimeLeft:
    """Return what estimates the time left by a plan.

    Cells that the plan does not cover (pairs, trainings, tests of others) stand in it by their weight relative to its.
    """
    planned = dict(zip(cells, plan.cells, strict=True))
    scale_s = sum(planned.values()) / sum(weights[nodeid] for nodeid in planned)
    seconds = {nodeid: planned.get(nodeid, scale_s * weight) for nodeid, weight in weights.items()}
    for nodeid, profile_s in zip(cells, plan.profiles, strict=True):
        if profile_s > 0:
            seconds[profile_of(nodeid)] = profile_s
    return TimeLeft(weights=seconds, prior_s=sum(seconds.values()) / len(seconds))


def training_weight(item: pytest.Item, options: Options) -> float:
    """Return about how long a full training takes, relative to others: its network's work, in all its epochs."""
    parameters = item.callspec.params  # type: ignore[attr-defined]
    recipe = recipe_for(options.recipe, str(parameters["model"]), str(parameters["precision"]))
    return (1.0 + _forward_gmacs(item, options) * PAIR_COST / 2) * recipe.epochs


def _weight(item: pytest.Item, options: Options) -> float:
    """Return about how long a cell takes, relative to others."""
    if is_study(item):
        return STUDY_WEIGHTS.get(item.name.partition("[")[0].removeprefix("test_"), 1.0)
    if is_scaling(item):
        return SCALING_WEIGHT
    if is_own_test(item):
        return 1.0  # what it calls is not known before it runs
    return 1.0 + _forward_gmacs(item, options) * _phase_cost(item) / 2


def _forward_gmacs(item: pytest.Item, options: Options) -> float:
    from perfsuite.measure.sample_cost import sample_cost

    parameters = item.callspec.params  # type: ignore[attr-defined]
    model = str(parameters["model"])
    num_classes = num_classes_of(item, options, model)
    return sample_cost(model, image_size=parameters["image_size"], num_classes=num_classes).forward_gmacs


def _phase_cost(item: pytest.Item) -> float:
    return PHASE_COST.get(str(phase_of(item)), 1.0) if is_step(item) else PAIR_COST

"""Blocks of turns: rank 0 alone, all ranks without exchange, all ranks with exchange, and back again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from perfsuite.measure.warm_up import warm_up
from perfsuite.records.scaling import SCALING_TURNS

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.scaling.job import RankBudget
    from perfsuite.measure.warm_up import WarmUp

Kind = Literal["alone", "no exchange", "exchange"]

KINDS: tuple[Kind, ...] = ("exchange", "no exchange", "alone")
"""In the order in which they are warmed up."""

MAX_BLOCKS_S = 60.0
"""Blocks of long steps may take so long together, and are fewer then ..."""

MIN_LONG_BLOCKS = 6
"""... but never fewer than these: the fewest that have a 95% interval."""

NUM_LOOKS = 3
"""Steps by which the length of one is told after its warm-up."""


class OtherRanks(Protocol):
    """The other ranks, as one of them sees them."""

    rank: int

    def barrier(self) -> None:
        """Wait until all ranks are here."""

    def agree(self, number: int) -> int:
        """Return rank 0's number on all ranks."""


class StepKinds(Protocol):
    """A training step that is spread over ranks."""

    kinds: tuple[Kind, ...]

    def enter(self, kind: Kind) -> Callable[[], object]:
        """Return a step of a kind, everything prepared for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPlan:
    """What is timed.

    Attributes:
        num_iterations: Steps in a turn.
        num_blocks: Blocks.
    """

    num_iterations: int
    num_blocks: int


def plan_blocks(step_s: dict[Kind, float], budget: RankBudget) -> BlockPlan:
    """Return how many steps make a turn, and how many blocks are timed.

    Args:
        step_s: About how long a step takes, by kind.
        budget: How long things may take.
    """
    num_iterations = max(1, math.ceil(budget.min_turn_s / min(step_s.values())))
    # Each turn begins with a step that is not timed.
    block_s = sum(step_s.get(kind, 0.0) * (num_iterations + 1) for kind in _turns())
    num_blocks = budget.min_blocks
    if not budget.is_fixed:
        num_blocks = max(num_blocks, math.ceil(budget.blocks_s / block_s))
        if num_blocks * block_s > MAX_BLOCKS_S:
            num_blocks = min(num_blocks, max(int(MAX_BLOCKS_S / block_s), MIN_LONG_BLOCKS))
    return BlockPlan(num_iterations=num_iterations, num_blocks=num_blocks)


def _turns() -> tuple[Kind, ...]:
    return SCALING_TURNS  # type: ignore[return-value]


class TurnTimer:
    """Runs and times the turns of one rank; the other ranks run theirs at the same time.

    No rank begins a turn before all ranks have ended the one before. A turn begins with a step outside of the timed
    window, so that every timed step finds caches, and DDP its buffers, as its own kind leaves them; then the ranks wait
    for each other once more.
    """

    def __init__(
        self,
        spread: StepKinds,
        ranks: OtherRanks,
        clock: Callable[[], float],
        *,
        settled: Callable[[], bool] = lambda: True,
    ) -> None:
        """Time a spread step.

        Args:
            spread: What is timed.
            ranks: The other ranks.
            clock: Reads seconds once the device is idle.
            settled: Whether the loss scale has stabilised since it was asked the last time.
        """
        self._spread = spread
        self._ranks = ranks
        self._clock = clock
        self._settled = settled

    def warm_up(self, budget: RankBudget) -> tuple[BlockPlan, str | None]:
        """Warm every kind of step up.

        Rank 0 decides after each step whether another one follows; so all ranks take the same number.

        Returns:
            What is to be timed, the same on all ranks, and why times were not stable at the end, in words.
        """
        unstable: str | None = None
        step_s: dict[Kind, float] = {}
        for kind in KINDS:
            if kind in self._spread.kinds:
                warmth, step_s[kind] = self._warm_kind_up(kind, budget)
                if unstable is None and warmth is not None and warmth.unstable is not None:
                    unstable = f"{kind}: {warmth.unstable}"
        plan = plan_blocks(step_s, budget)
        return BlockPlan(
            num_iterations=self._ranks.agree(plan.num_iterations), num_blocks=self._ranks.agree(plan.num_blocks)
        ), unstable

    def _warm_kind_up(self, kind: Kind, budget: RankBudget) -> tuple[WarmUp | None, float]:
        self._ranks.barrier()
        if not self._takes_part(kind):
            return None, 1.0  # rank 0 decides
        run = self._spread.enter(kind)
        is_together = kind != "alone"
        if self._ranks.rank != 0:
            while self._ranks.agree(0):
                run()
            return None, 1.0

        def led() -> None:
            if is_together:
                self._ranks.agree(1)
            run()

        warmth = warm_up(
            led,
            self._clock,
            settled=self._settled,
            min_seconds=budget.min_warm_up_s,
            max_seconds=budget.max_warm_up_s,
            stable_ratio=budget.stable_ratio,
        )
        begin = self._clock()
        for _ in range(NUM_LOOKS):
            led()
        step_s = (self._clock() - begin) / NUM_LOOKS
        if is_together:
            self._ranks.agree(0)
        return warmth, max(step_s, 1e-9)

    def time_blocks(self, plan: BlockPlan) -> dict[Kind, list[tuple[float, float]]]:
        """Return seconds per step of each block's two turns, by kind; nothing where this rank takes no part."""
        times: dict[Kind, list[tuple[float, float]]] = {kind: [] for kind in self._spread.kinds}
        for _ in range(plan.num_blocks):
            block: dict[Kind, list[float]] = {kind: [] for kind in self._spread.kinds}
            for kind in _turns():
                if kind in block:
                    block[kind] += self._time_turn(kind, plan.num_iterations)
            for kind, turns in block.items():
                if turns:
                    first, second = turns
                    times[kind].append((first, second))
        self._ranks.barrier()
        return times

    def _time_turn(self, kind: Kind, num_iterations: int) -> list[float]:
        self._ranks.barrier()
        if not self._takes_part(kind):
            return []
        run = self._spread.enter(kind)
        run()
        self._clock()
        if kind != "alone":
            self._ranks.barrier()
        begin = self._clock()
        for _ in range(num_iterations):
            run()
        return [(self._clock() - begin) / num_iterations]

    def _takes_part(self, kind: Kind) -> bool:
        return kind != "alone" or self._ranks.rank == 0

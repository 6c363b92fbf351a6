"""Turns of ranks: which ranks take part, what is timed, how much of it; with scripted clocks and no process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfsuite.measure.scaling.all_reduce import MAX_ITERATIONS, time_all_reduces
from perfsuite.measure.scaling.job import RankBudget
from perfsuite.measure.scaling.turns import MAX_BLOCKS_S, MIN_LONG_BLOCKS, BlockPlan, Kind, TurnTimer, plan_blocks
from perfsuite.records.scaling import SCALING_TURNS

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET = RankBudget(
    min_warm_up_s=0.0,
    max_warm_up_s=0.0,
    stable_ratio=0.05,
    min_turn_s=0.1,
    min_blocks=10,
    blocks_s=5.0,
    is_fixed=False,
    num_all_reduces=3,
)
STEP_S: dict[Kind, float] = {"alone": 0.04, "no exchange": 0.05, "exchange": 0.0625}


class Bench:
    """A spread step, its ranks and a clock, all of them scripted; notes what happens in which order."""

    def __init__(self, rank: int, *, kinds: tuple[Kind, ...] = ("exchange", "no exchange", "alone")) -> None:
        self.rank = rank
        self.kinds = kinds
        self.log: list[str] = []
        self.told: list[int] = []
        self.time_s = 0.0
        self.drift = 0.0

    def barrier(self) -> None:
        self.log.append("barrier")

    def agree(self, number: int) -> int:
        if self.rank == 0:
            self.told.append(number)
            return number
        return self.told.pop(0)

    def enter(self, kind: Kind) -> Callable[[], object]:
        self.log.append(f"enter {kind}")

        def run() -> None:
            self.log.append("step")
            self.time_s += STEP_S[kind] * (1 + self.drift * self.time_s)

        return run

    def clock(self) -> float:
        return self.time_s


def timer_of(bench: Bench) -> TurnTimer:
    return TurnTimer(bench, bench, bench.clock)


def test_a_turn_s_first_step_is_not_timed_and_the_others_are() -> None:
    bench = Bench(0)
    times = timer_of(bench).time_blocks(BlockPlan(num_iterations=3, num_blocks=2))
    for kind, seconds in STEP_S.items():
        assert times[kind] == [pytest.approx((seconds, seconds))] * 2
    assert bench.log.count("step") == 2 * len(SCALING_TURNS) * 4
    entered = [entry.removeprefix("enter ") for entry in bench.log if entry.startswith("enter ")]
    assert entered == [*SCALING_TURNS] * 2


def test_the_other_ranks_wait_while_rank_0_steps_alone() -> None:
    first, other = Bench(0), Bench(1)
    plan = BlockPlan(num_iterations=1, num_blocks=1)
    times = timer_of(other).time_blocks(plan)
    assert times["alone"] == []
    assert len(times["exchange"]) == 1
    assert "enter alone" not in other.log
    timer_of(first).time_blocks(plan)
    # All ranks come to the same barriers, else they would wait for each other for ever.
    assert first.log.count("barrier") == other.log.count("barrier") == len(SCALING_TURNS) + 4 + 1


def test_a_linear_drift_cancels_in_the_ratios_of_a_block() -> None:
    bench = Bench(0)
    bench.drift = 0.02
    times = timer_of(bench).time_blocks(BlockPlan(num_iterations=2, num_blocks=1))
    (alone,), (exchange,) = times["alone"], times["exchange"]
    assert alone[1] / alone[0] > 1.01  # it drifts
    assert sum(alone) / sum(exchange) == pytest.approx(STEP_S["alone"] / STEP_S["exchange"], rel=2e-3)


def test_a_strategy_without_a_kind_has_no_such_turns() -> None:
    bench = Bench(0, kinds=("exchange", "alone"))
    times = timer_of(bench).time_blocks(BlockPlan(num_iterations=1, num_blocks=1))
    assert set(times) == {"exchange", "alone"}
    assert "enter no exchange" not in bench.log


def test_the_ranks_warm_up_with_the_same_steps_and_time_the_same_plan() -> None:
    first, other = Bench(0), Bench(1)
    plan, _ = timer_of(first).warm_up(BUDGET)
    other.told = list(first.told)
    same, _ = timer_of(other).warm_up(BUDGET)
    assert same == plan
    assert other.told == []
    together = [log for log in first.log if log == "step"][: other.log.count("step")]
    assert other.log.count("step") == len(together) < first.log.count("step")  # rank 0 has been alone besides


def test_turns_are_long_enough_for_the_fastest_kind_and_blocks_enough() -> None:
    plan = plan_blocks(STEP_S, BUDGET)
    assert plan.num_iterations == 3  # 3 x 0.04 s
    assert plan.num_blocks == 10
    short = plan_blocks(dict.fromkeys(STEP_S, 1e-3), BUDGET)
    assert short.num_iterations == 100
    assert short.num_blocks == 10
    block_s = 6 * 101 * 1e-3
    assert short.num_blocks * block_s > BUDGET.blocks_s


def test_blocks_of_long_steps_are_fewer_but_never_too_few() -> None:
    seconds: dict[Kind, float] = dict.fromkeys(STEP_S, 0.6)
    plan = plan_blocks(seconds, BUDGET)
    block_s = 12 * 0.6
    assert plan.num_blocks == int(MAX_BLOCKS_S / block_s)
    assert plan_blocks(dict.fromkeys(STEP_S, 60.0), BUDGET).num_blocks == MIN_LONG_BLOCKS


def test_as_many_blocks_are_timed_as_the_user_asks_for() -> None:
    import dataclasses

    asked = dataclasses.replace(BUDGET, min_blocks=2, is_fixed=True)
    assert plan_blocks(dict.fromkeys(STEP_S, 60.0), asked).num_blocks == 2
    assert plan_blocks(dict.fromkeys(STEP_S, 1e-3), asked).num_blocks == 2


def test_all_reduces_are_timed_in_rounds_that_are_long_enough() -> None:
    bench = Bench(0)
    counts = [0]

    def all_reduce() -> None:
        counts[0] += 1
        bench.time_s += 0.5 if counts[0] == 1 else 0.004  # the first one opens connections

    times = time_all_reduces(all_reduce, barrier=bench.barrier, clock=bench.clock, agree=bench.agree, num_rounds=3)
    assert times == pytest.approx((0.004,) * 3)
    assert counts[0] == 2 + 3 * 5
    assert bench.log.count("barrier") == 5


def test_an_all_reduce_that_takes_no_time_is_repeated_a_limited_number_of_times() -> None:
    bench = Bench(0)
    counts = [0]

    def all_reduce() -> None:
        counts[0] += 1

    time_all_reduces(all_reduce, barrier=bench.barrier, clock=bench.clock, agree=bench.agree, num_rounds=1)
    assert counts[0] == 2 + MAX_ITERATIONS

"""How long things are measured on each type of device."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How a cell is measured on one type of device.

    Attributes:
        batch_size: N where none is asked for.
        min_rounds: Rounds of a cell that are run at least, but where they would take longer than `MAX_LONG_ROUNDS_S`.
        min_blocks: Blocks of an interleaved pair that are always run.
        min_round_s: A round has as many iterations as it takes to last so long, and so has a turn of a pair.
        rounds_s: How long the rounds of a cell take together at least.
        max_time_s: Rounds go on so long while the mean is not known well enough.
        min_warm_up_s: Warm-up is never shorter.
        max_warm_up_s: Warm-up is never longer.
        min_first_warm_up_s: The same for the first cell of a run, whose device is cold.
        max_first_warm_up_s: The same.
        stable_ratio: By how much iteration times may rise or fall at the end of a warm-up.
        drift_ratio: By how much the last third of the rounds may differ from the first before it is a finding.
    """

    batch_size: int
    min_rounds: int
    min_blocks: int
    min_round_s: float
    rounds_s: float
    max_time_s: float
    min_warm_up_s: float
    max_warm_up_s: float
    min_first_warm_up_s: float
    max_first_warm_up_s: float
    stable_ratio: float
    drift_ratio: float


BUDGETS = {
    # The thesis's batch. 30 rounds of 0.07 s are long enough for the energy counter; a step of 0.3 s has 12 rounds. The
    # default matrix takes at most 180 s on a T4 by the computation of `time_plan`, which a test repeats.
    "cuda": Budget(
        batch_size=128,
        min_rounds=12,
        min_blocks=30,
        min_round_s=0.07,
        rounds_s=2.1,
        max_time_s=5.0,
        min_warm_up_s=1.0,
        max_warm_up_s=5.0,
        min_first_warm_up_s=5.0,
        max_first_warm_up_s=10.0,
        stable_ratio=0.01,
        drift_ratio=0.005,
    ),
    # 18 cells within four minutes on two cores; a step takes tens to hundreds of milliseconds there, a round is one.
    "cpu": Budget(
        batch_size=8,
        min_rounds=20,
        min_blocks=20,
        min_round_s=5e-6,
        rounds_s=0.5,
        max_time_s=3.0,
        min_warm_up_s=0.3,
        max_warm_up_s=3.0,
        min_first_warm_up_s=0.3,
        max_first_warm_up_s=3.0,
        stable_ratio=0.05,
        drift_ratio=0.05,
    ),
}

QUICK_BUDGETS = {
    "cuda": dataclasses.replace(
        BUDGETS["cuda"],
        min_rounds=6,
        min_blocks=10,
        min_round_s=0.05,
        rounds_s=0.5,
        max_time_s=1.0,
        min_warm_up_s=0.5,
        max_warm_up_s=2.0,
        min_first_warm_up_s=1.0,
        max_first_warm_up_s=2.0,
    ),
    "cpu": dataclasses.replace(
        BUDGETS["cpu"],
        min_rounds=8,
        min_blocks=10,
        rounds_s=0.2,
        max_time_s=1.0,
        min_warm_up_s=0.1,
        max_warm_up_s=1.0,
        min_first_warm_up_s=0.1,
        max_first_warm_up_s=1.0,
    ),
}
"""Of `--perf-quick`: a first answer."""

PRECISION_TARGET = 0.01
"""Rounds go on until the mean is known within 1% ..."""
CONFIDENCE = 0.99
"""... with this confidence, correlated rounds taken into account, or the time of the cell is spent."""

MAX_LONG_ROUNDS_S = 60.0
"""The rounds of long iterations, seconds each, may take so long together, and are fewer then ..."""
MIN_LONG_ROUNDS = 5
"""... but never fewer than these, pytest-benchmark's own default."""

MIN_SUSTAINED_BLOCKS = 4
"""Of a pair whose turns are seconds long; half of them in each order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much time the user gives.

    Attributes:
        quick: Whether a first answer is enough.
        margin_ratio: Rounds of a cell go on until their mean is known this well; None: pytest-benchmark alone decides.
        confidence: Of that margin.
        turn_s: How long each turn of a pair lasts; None for the budget's shortest round.
        preheat_s: How long the device is loaded before the first cell at least; None for the budget's.
        asked_rounds: Rounds of a cell that the user asks for at least; None for the budget's.
    """

    quick: bool = False
    margin_ratio: float | None = None
    confidence: float = CONFIDENCE
    turn_s: float | None = None
    preheat_s: float | None = None
    asked_rounds: int | None = None

    def budget(self, device_type: str) -> Budget:
        """Return how a cell is measured on that type of device."""
        return (QUICK_BUDGETS if self.quick else BUDGETS)[device_type]

    def min_rounds(self, device_type: str, iteration_s: float) -> int:
        """Return how many rounds a cell has at least: fewer than others where its iterations are long.

        Args:
            device_type: Where it runs.
            iteration_s: About how long an iteration takes.
        """
        if self.asked_rounds is not None:
            return self.asked_rounds
        usual = self.budget(device_type).min_rounds
        if usual * iteration_s <= MAX_LONG_ROUNDS_S:
            return usual
        return min(usual, max(int(MAX_LONG_ROUNDS_S / iteration_s), MIN_LONG_ROUNDS))

    def has_long_rounds(self, device_type: str, iteration_s: float) -> bool:
        """Whether iterations are so long that there are fewer rounds than usual, each of one iteration."""
        usual = self.budget(device_type).min_rounds if self.asked_rounds is None else self.asked_rounds
        return self.min_rounds(device_type, iteration_s) < usual

    def warm_up_limits_s(self, device_type: str, *, is_warm: bool) -> tuple[float, float]:
        """Return how long a warm-up lasts at least and at most; longer where no cell has warmed the device up."""
        budget = self.budget(device_type)
        if is_warm:
            return budget.min_warm_up_s, budget.max_warm_up_s
        min_s = max(self.preheat_s or 0.0, budget.min_first_warm_up_s)
        return min_s, max(min_s, budget.max_first_warm_up_s)


DEFAULT_EFFORT = Effort()

QUICK_FINDING = (
    "measured with --perf-quick: few rounds and a short warm-up, a first answer and no basis for comparisons"
)

OVERHEAD_TIME_S = 60
"""How long a check of the harness overhead goes on after its rounds while it cannot tell, where no time is asked for.

On two busy cores a block of 0.5 s scatters by 5%: 20 blocks give an interval of +-3%, 60 s more one of +-1.2%, which
decides a limit of 3%.
"""
OVERHEAD_LOOKS = (0.0, 0.25, 0.5, 1.0)
"""When such a check looks at its interval, as shares of that time: a few times only, each with a part of the error."""

"""How long a cell is measured on each type of device."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How a cell is measured on one type of device.

    Attributes:
        batch_size: N where none is asked for.
        min_rounds: Rounds that are always run.
        min_round_s: A round has as many iterations as it takes to last so long.
        max_time_s: Time for the rounds of a cell once `min_rounds` are done.
        min_warm_up_s: Warm-up is never shorter.
        max_warm_up_s: Warm-up is never longer.
    """

    batch_size: int
    min_rounds: int
    min_round_s: float
    max_time_s: float
    min_warm_up_s: float
    max_warm_up_s: float


BUDGETS = {
    # The study's batch. A GPU needs some tenths of a second of load to leave its idle clock; 18 cells of
    # 5 s, warm-up and building stay within three minutes.
    "cuda": Budget(
        batch_size=128, min_rounds=30, min_round_s=0.05, max_time_s=5.0, min_warm_up_s=1.0, max_warm_up_s=5.0
    ),
    # 18 cells within four minutes on two cores; a step takes tens to hundreds of milliseconds there, a round is one.
    "cpu": Budget(batch_size=8, min_rounds=20, min_round_s=5e-6, max_time_s=3.0, min_warm_up_s=0.3, max_warm_up_s=3.0),
}

PRECISION_TARGET = 0.01
"""Rounds go on until the mean is known within 1% ..."""
CONFIDENCE = 0.99
"""... with this confidence, or the time of the cell is spent."""

OVERHEAD_TIME_S = 60
"""How long a check of the harness overhead goes on after its rounds while it cannot tell, where no time is asked for.

On two busy cores a block of 0.5 s scatters by 5%: 20 blocks give an interval of +-3%, 60 s more one of +-1.2%, which
decides a limit of 3%.
"""
OVERHEAD_LOOKS = (0.0, 0.25, 0.5, 1.0)
"""When such a check looks at its interval, as shares of that time: a few times only, each with a part of the error."""

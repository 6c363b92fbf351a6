"""Times a bare all-reduce of as many bytes as a step's gradients have: what the exchange takes at least."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_ROUND_S = 0.02
"""A round has as many all-reduces as it takes to last so long."""

MAX_ITERATIONS = 1000
"""Of a round."""


def time_all_reduces(
    all_reduce: Callable[[], object],
    *,
    barrier: Callable[[], None],
    clock: Callable[[], float],
    agree: Callable[[int], int],
    num_rounds: int,
) -> tuple[float, ...]:
    """Return the seconds of an all-reduce on this rank [round].

    Args:
        all_reduce: Asks for one; the device may still be busy with it when this returns.
        barrier: Waits for all ranks.
        clock: Reads seconds once the device is done.
        agree: Returns rank 0's number on all ranks.
        num_rounds: How many.
    """

    def round_s(num_iterations: int) -> float:
        barrier()
        begin = clock()
        for _ in range(num_iterations):
            all_reduce()
        return (clock() - begin) / num_iterations

    round_s(1)  # opens connections
    once_s = max(round_s(1), 1e-9)
    num_iterations = agree(min(max(1, math.ceil(MIN_ROUND_S / once_s)), MAX_ITERATIONS))
    return tuple(round_s(num_iterations) for _ in range(num_rounds))

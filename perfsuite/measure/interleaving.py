"""Two sides interleaved in blocks of four turns."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.clock import Stopwatch


@dataclass(frozen=True, slots=True, kw_only=True)
class InterleavedSide:
    """One of the two that alternate.

    Attributes:
        run: One iteration.
        stopwatch: Times a turn.
        active: What must hold while it runs, entered before a turn and left after it, outside the timed window.
        num_untimed: Iterations at the beginning of a turn that follows one of the other side, outside the window.
    """

    run: Callable[[], object]
    stopwatch: Stopwatch
    active: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    num_untimed: int = 1


class Interleaving:
    """Runs blocks of four turns: A B B A or B A A B, A the baseline.

    Within a block a linear drift of the clock adds as much to the two turns of one side as to those of the other. Of
    every two blocks one runs in the one order and one in the other, which of them first is drawn: what swings with a
    period of some turns adds to one side as often as to the other.
    A turn that follows one of the other side begins with an iteration outside the window, so that every timed iteration
    finds caches as its own side leaves them. Turns of a fraction of a second share one clock at a power limit, that of
    the mixture of both sides; with turns of seconds and as long untimed beginnings each side reaches its own.

    Attributes:
        num_iterations: Iterations in a turn.
        blocks: Seconds per iteration of the turns of each block, in the order A B B A whatever order they ran in.
    """

    def __init__(
        self, baseline: InterleavedSide, candidate: InterleavedSide, *, num_iterations: int, seed: int = 0
    ) -> None:
        """Interleave two sides with so many iterations in a turn; the seed is that of the drawn orders."""
        self._baseline = baseline
        self._candidate = candidate
        self._last: InterleavedSide | None = None
        self._random = random.Random(seed)  # noqa: S311 - nothing here is secret
        self._is_reversed = False
        self.num_iterations = num_iterations
        self.blocks: list[tuple[float, float, float, float]] = []

    def run_block(self) -> None:
        """Run one block and keep its readings."""
        is_first_of_two = len(self.blocks) % 2 == 0
        self._is_reversed = self._random.random() < 0.5 if is_first_of_two else not self._is_reversed  # noqa: PLR2004 - a coin
        a, b = self._baseline, self._candidate
        order = (b, a, a, b) if self._is_reversed else (a, b, b, a)
        first, second, third, fourth = (self._turn(side) for side in order)
        # Kept only when whole: an interrupted block is none.
        self.blocks.append((second, first, fourth, third) if self._is_reversed else (first, second, third, fourth))

    def _turn(self, side: InterleavedSide) -> float:
        with side.active():
            if side is not self._last:
                for _ in range(side.num_untimed):
                    side.run()
            self._last = side
            token = side.stopwatch.start()
            for _ in range(self.num_iterations):
                side.run()
            return side.stopwatch.stop(token) / self.num_iterations

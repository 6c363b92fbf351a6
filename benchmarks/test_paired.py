"""Two things in alternation (A B B A) in one process: `pytest benchmarks -m speedup`, `pytest benchmarks -m fidelity`.

A round is a block of four turns; the readings of every turn are kept. A steady drift of the clock adds as much to one
side as to the other, so that the ratio stands where two cells measured one after the other would have drifted apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records import PairedRecord, Workload

    Measure = Callable[[Workload], PairedRecord | None]


@pytest.mark.speedup
def test_speedup(measure_speedup: Measure, workload: Workload) -> None:
    """A whole training step in FP32 and in another precision, on the same batch."""
    measure_speedup(workload)


@pytest.mark.fidelity
def test_fidelity(measure_fidelity: Measure, workload: Workload) -> None:
    """A whole training step as the suite reports it, and a bare loop of the same step."""
    measure_fidelity(workload)

"""Two things interleaved (ABBA or BAAB) in one process: `-m interleaved`, `-m switches`, `-m overhead` and others.

A round is a block of four turns; the readings of every turn are kept. A linear drift of the clock adds the same to
both sides, and cancels in the ratio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.pair import Comparison, PairedRecord
    from perfsuite.records.workload import Workload

    Measure = Callable[[Workload], PairedRecord | None]


@pytest.mark.interleaved
def test_interleaved(measure_speedup: Measure, workload: Workload) -> None:
    """A whole training step in FP32 and in another precision, on the same batch."""
    measure_speedup(workload)


@pytest.mark.switches
def test_switches(measure_switch: Measure, workload: Workload) -> None:
    """A whole training step with channels_last, AMP, torch.compile and CUDA graphs, against the eager FP32 step."""
    measure_switch(workload)


@pytest.mark.overhead
def test_overhead(measure_overhead: Measure, workload: Workload) -> None:
    """Harness overhead: a whole training step as the suite reports it, compared with a bare loop of the same step."""
    measure_overhead(workload)


@pytest.mark.input_pipeline
@pytest.mark.parametrize("against", ["pipeline_step", "pipeline_thesis"], ids=["step", "thesis"])
def test_input_pipeline(
    measure_pipeline: Callable[[Workload, Comparison], PairedRecord | None], workload: Workload, against: Comparison
) -> None:
    """A step of full training, fed from images on the device, against a single batch or the thesis's data loading."""
    measure_pipeline(workload, against)

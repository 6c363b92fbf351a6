"""Latency, throughput and peak memory of a network in eval mode: `pytest benchmarks -m inference`.

No autograd graph; the same precisions as in training. Batch 1 is measured for latency, a larger batch for throughput
(`--perf-batch-size` sets others). Latency is the time of single iterations with a wait after each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.cell import Record
    from perfsuite.records.workload import Workload


@pytest.mark.inference
def test_inference(measure: Callable[[Workload], Record | None], workload: Workload) -> None:
    """Network in eval mode, under torch's inference mode; the batch is on the device, and the outputs stay there."""
    measure(workload)

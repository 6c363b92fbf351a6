"""Throughput and peak memory of the phases of a training step: `pytest benchmarks -m step`.

Every test is a matrix of cells: models x batch sizes x memory formats x precisions, set by the options `--perf-...`.
A cell is timed in rounds of several iterations by a clock that waits for the device before it is read; peak memory is
measured in separate iterations. Each docstring below lists everything inside the timed window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.cell import Record
    from perfsuite.records.workload import Workload

    Measure = Callable[[Workload], Record | None]


@pytest.mark.step(phase="forward")
def test_forward(measure: Measure, workload: Workload) -> None:
    """Network and cross-entropy in training mode; the graph for backward is built and dropped."""
    measure(workload)


@pytest.mark.step(phase="backward")
def test_backward(measure: Measure, workload: Workload) -> None:
    """From the scaled loss to gradients that were None; the same graph is kept and traversed each time."""
    measure(workload)


@pytest.mark.step(phase="train_step")
def test_train_step(measure: Measure, workload: Workload) -> None:
    """Zero gradients, forward, loss, backward, optimizer step (SGD with momentum), loss-scale update."""
    measure(workload)

"""Why mixed precision works, shown by running it: `pytest benchmarks -m numerics`.

Each test measures its claims, compares them with values computed in another way, and fails if the two differ.
`perfsuite collect --table numerics` lists all claims, `perfsuite chart numerics` draws the measurements. Networks
get real images if a data set is stored (`--perf-data`), otherwise synthetic ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from perfsuite.plugin.numerics import RunStudy

pytestmark = pytest.mark.numerics


def test_formats(study: RunStudy) -> None:
    """Range and spacing of FP16, BF16, FP32 and TF32, and the smallest update that still changes a weight."""
    study("formats")


def test_updates(study: RunStudy, model: str) -> None:
    """Which updates of a real step FP16 and BF16 weights would lose, by layer and by learning rate."""
    study("updates", model)


def test_weights(study: RunStudy, model: str) -> None:
    """The same training with FP32, FP16 and BF16 weights, rounded to the nearest and at random."""
    study("weights", model)


def test_gradients(study: RunStudy, model: str) -> None:
    """How large gradients are, early and late in training, and what FP16 loses of them at each loss scale."""
    study("gradients", model)


def test_scaling(study: RunStudy, model: str) -> None:
    """Dynamic loss scaling step by step: its scale, the skipped steps, and their time."""
    study("scaling", model)


def test_scales(study: RunStudy, model: str) -> None:
    """The same training without loss scaling, with a static scale too low, right and too high, and a dynamic one."""
    study("scales", model)


def test_accumulation(study: RunStudy) -> None:
    """Sums, matrix products and convolutions in 16 bits compared with float64, by length."""
    study("accumulation")


def test_types(study: RunStudy, model: str) -> None:
    """Which operations autocast runs in which type."""
    study("types", model)

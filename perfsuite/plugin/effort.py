"""How much time the user gives a cell, by the suite's options and by pytest-benchmark's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.plugin.given import given
from perfsuite.plugin.session import suite

if TYPE_CHECKING:
    import pytest

    from perfsuite.measure.budget import Effort


def effort_for(config: pytest.Config, item: pytest.Item) -> Effort:
    """Return how much time the user gives a cell; where it is said how long rounds go on, that holds."""
    from perfsuite.measure.budget import CONFIDENCE, PRECISION_TARGET

    margin = getattr(config.option, "benchmark_precision", None) if given(config, "--benchmark-precision") else None
    confidence = CONFIDENCE
    if given(config, "--benchmark-confidence"):
        confidence = float(getattr(config.option, "benchmark_confidence", CONFIDENCE))
    own = [marker.kwargs for marker in item.iter_markers("benchmark") if "timer" not in marker.kwargs]
    has_own_time = given(config, "--benchmark-max-time") or any("max_time" in kwargs for kwargs in own)
    if margin is None and not has_own_time:
        margin = PRECISION_TARGET
    asked_rounds = next((kwargs["min_rounds"] for kwargs in own if "min_rounds" in kwargs), None)
    if asked_rounds is None and given(config, "--benchmark-min-rounds"):
        asked_rounds = int(config.option.benchmark_min_rounds)
    return suite(config).effort(
        margin_ratio=None if not margin else float(margin), confidence=confidence, asked_rounds=asked_rounds
    )

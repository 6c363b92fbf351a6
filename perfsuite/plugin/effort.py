"""How much time the user gives a cell, by the suite's options and by pytest-benchmark's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.plugin.given import given
from perfsuite.plugin.session import suite

if TYPE_CHECKING:
    import pytest

    from perfsuite.measure.budget import Effort


def effort_for(config: pytest.Config, item: pytest.Item) -> Effort:
    """Return how much time the user gives a cell; where it is said how long rounds go on, that holds."""
    from perfsuite.measure.budget import CONFIDENCE, PRECISION_TARGET

    own: dict[str, Any] = {}
    for marker in item.iter_markers("benchmark"):  # the closest first
        if "timer" not in marker.kwargs:  # else it is the suite's own
            own = {**marker.kwargs, **own}
    has_own_time = "max_time" in own or given(config, "--benchmark-max-time")
    margin = None if has_own_time else PRECISION_TARGET
    if given(config, "--benchmark-precision"):
        asked_margin = getattr(config.option, "benchmark_precision", None)
        margin = margin if asked_margin is None else float(asked_margin)
    confidence = CONFIDENCE
    if given(config, "--benchmark-confidence"):
        confidence = float(getattr(config.option, "benchmark_confidence", CONFIDENCE))
    asked_rounds = own.get("min_rounds")
    if asked_rounds is None and given(config, "--benchmark-min-rounds"):
        asked_rounds = int(config.option.benchmark_min_rounds)
    return suite(config).effort(margin_ratio=margin or None, confidence=confidence, asked_rounds=asked_rounds)

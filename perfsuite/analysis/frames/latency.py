"""Latencies of single iterations -> percentiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.results import Results

PERCENTILES = {"latency_p50_s": 50, "latency_p95_s": 95, "latency_p99_s": 99}
"""Columns, and which percentile each is."""


def latency_columns(latencies_s: Sequence[float]) -> dict[str, float | int | None]:
    """Return percentiles by column, and how many iterations stand behind them, `num_latencies`.

    A percentile that no iteration can be beyond, as the 99th of fewer than 100, is absent: it would be the slowest
    iteration, whatever its name.

    Args:
        latencies_s: Seconds of single iterations.
    """
    values = np.asarray(latencies_s, dtype=float)
    found: dict[str, float | int | None] = {
        name: float(np.percentile(values, percent)) if len(values) * (100 - percent) >= 100 else None  # noqa: PLR2004 - one iteration beyond it
        for name, percent in PERCENTILES.items()
    }
    return {**found, "num_latencies": len(values)}


def has_inference(results: Results) -> bool:
    """Whether the latency of a network was measured."""
    return "num_latencies" in results.benchmarks

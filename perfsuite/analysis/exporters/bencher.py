"""Bencher Metric Format. Source: its JSON schema, https://bencher.dev/bmf.json, and bencher_valid in its repository."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from perfsuite.analysis.exporters.exported_run import limited, one_result, require
from perfsuite.formatting import printable_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.exporters.exported_run import ExportedRun

MAX_NAME_BYTES = 1024
"""Of a benchmark. Source: MAX_BENCHMARK_NAME_LEN in bencher_valid; Rust counts bytes of UTF-8."""

IGNORED_ENDINGS = ("_bencher_ignore", "BencherIgnore", "-bencher-ignore")
"""What makes Bencher raise no alert for a benchmark. Source: to_strip_ignore in bencher_valid."""


def bencher_text(runs: Sequence[ExportedRun]) -> str:
    """Return the values by benchmark and measure; a measure has the slug of its metric, `time-median-s`."""
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for value in one_result(runs):
        metric = {"value": value.value}
        if value.low is not None and value.high is not None:
            metric |= {"lower_value": value.low, "upper_value": value.high}
        found[_benchmark_name(value.benchmark)][value.metric.replace("_", "-")] = metric
    require(found, "values that have a history")
    return printable_json(json.dumps(found, indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def _benchmark_name(name: str) -> str:
    """Return a name that Bencher takes, and takes as it is: not empty, not too long, without a meaning of its own."""
    if name.endswith(IGNORED_ENDINGS):
        name = f"{name}."
    if not name.strip():
        name = "unnamed"
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    return limited(name, MAX_NAME_BYTES // 4)  # no character takes more than 4 bytes

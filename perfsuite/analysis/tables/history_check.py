"""The verdicts on new runs of a history, as a table and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import percent_text, row_change_text
from perfsuite.analysis.history.run_values import TIME
from perfsuite.analysis.tables.history import METRIC_NAMES, value_text
from perfsuite.analysis.tables.table import Column, Priority, Table, text_column
from perfsuite.analysis.verdicts.verdict import WORST_FIRST
from perfsuite.analysis.verdicts.verdict_words import STYLES, counts_in_words, shown_verdict
from perfsuite.formatting import printable_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.history.check import Check, CheckedSeries

SCHEMA = "perfsuite-history-check-1"


def check_table(check: Check) -> Table:
    """Return the verdicts on new runs as a table, the worst first."""
    rows = [_checked_row(one) for one in _worst_first(check.series)]
    return Table(
        title=f"{counts_in_words(one.verdict for one in check.series) or 'nothing to check'}; {check.machine}",
        frame=rows,
        columns=(
            Column(heading="verdict", show=shown_verdict, style=lambda row: STYLES[row["verdict"]]),
            text_column("benchmark", foldable=True),
            Column(heading="metric", show=lambda row: METRIC_NAMES.get(row["metric"], row["metric"])),
            Column(heading="change", show=_checked_change, numeric=True, priority=Priority.MAIN),
            Column(heading="level -> now", show=_level_and_now, numeric=True),
            Column(heading="n", show=lambda row: f"{row['num_reference']}/{row['num_new']}", numeric=True),
            Column(heading="reason", show=lambda row: row["reason"], foldable=True),
        ),
        notes=check.notes,
        legend=(
            "level: median of the runs since the last change of level; n: how many these are, and how many are new",
            "chance of any false verdict of this machine in 200 runs: at most alpha",
        ),
    )


def _worst_first(series: Sequence[CheckedSeries]) -> list[CheckedSeries]:
    def rank(one: CheckedSeries) -> tuple[int, float, str]:
        size = abs((one.ratio or 1.0) - 1.0)
        return (WORST_FIRST.index(one.verdict), -size, one.benchmark)

    return sorted(series, key=rank)


def _checked_row(one: CheckedSeries) -> dict[str, Any]:
    return {
        "verdict": one.verdict,
        "benchmark": one.benchmark,
        "metric": one.metric,
        "ratio": one.ratio,
        "ratio_low": one.low,
        "ratio_high": one.high,
        "level": one.level,
        "value": one.value,
        "num_reference": one.num_reference,
        "num_new": one.num_new,
        "since": one.since,
        "reason": one.reason,
        "differences": "" if one.change is None else ", ".join(one.change.differences),
    }


def _checked_change(row: dict[str, Any]) -> str:
    if row["ratio"] is None or row["since"] is not None:
        return row_change_text(row)
    return percent_text(row["ratio"])  # without a new level, an interval would not be one of a change


def _level_and_now(row: dict[str, Any]) -> str:
    return f"{value_text(row['metric'], row['level'])} -> {value_text(row['metric'], row['value'])}"


METRIC_KEYS = {TIME: "time", "training_time_s": "time", "peak_allocated_bytes": "memory", "test_accuracy": "accuracy"}
"""What a metric is called in the JSON of `perfsuite compare`; others have their own key."""


def check_json(check: Check) -> str:
    """Return the verdicts on new runs as JSON for programs, in the form of `perfsuite compare`.

    A benchmark has the worst verdict of its metrics.
    """
    by_benchmark: dict[str, list[CheckedSeries]] = {}
    for one in _worst_first(check.series):
        by_benchmark.setdefault(one.benchmark, []).append(one)
    verdicts = [found[0].verdict for found in by_benchmark.values()]
    content = {
        "schema": SCHEMA,
        "machine": check.machine,
        "differences": list(check.differences),
        "benchmarks": [
            {
                "fullname": benchmark,
                "label": benchmark,
                "verdict": found[0].verdict,
                "reason": found[0].reason,
                "num_processes": {"baseline": found[0].num_reference, "candidate": found[0].num_new},
                **{METRIC_KEYS.get(one.metric, one.metric): _metric_json(one) for one in found},
            }
            for benchmark, found in by_benchmark.items()
        ],
        "summary": {verdict: verdicts.count(verdict) for verdict in WORST_FIRST},
        "notes": list(check.notes),
    }
    return printable_json(json.dumps(content, indent=1)) + "\n"


def _metric_json(one: CheckedSeries) -> dict[str, Any]:
    """Return a verdict on a metric; its values are in the metric's base unit."""
    unit = one.metric.rsplit("_", 1)[-1]
    return {
        "ratio": one.ratio,
        "ratio_low": one.low,
        "ratio_high": one.high,
        f"baseline_{unit}": one.level,
        f"candidate_{unit}": one.value,
        "since": one.since,
        "verdict": one.verdict,
        "reason": one.reason,
    }

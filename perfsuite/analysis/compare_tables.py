"""A comparison as a table for people, and as JSON for programs."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.comments import HEAD_ROWS, SHORT_ROWS, render_comment
from perfsuite.analysis.estimate import MIN_POOLED
from perfsuite.analysis.regression import TAIL_SHARE
from perfsuite.analysis.tables import Column, Table
from perfsuite.analysis.verdicts import WORST_FIRST

if TYPE_CHECKING:
    from perfsuite.analysis.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.verdicts import MetricVerdict, Verdict

SCHEMA = "perfsuite-compare-1"
"""Of the JSON: a program that reads it checks this first."""

SYMBOLS: dict[Verdict, str] = {
    "regressed": "▲",
    "improved": "▼",
    "unchanged": "=",
    "inconclusive": "?",
    "missing": "-",
    "new": "+",
    "incomparable": "≠",
}
"""Beside the word, for eyes that search a long table; the words alone say it too."""

STYLES: dict[Verdict, str] = {
    "regressed": "bold red",
    "improved": "green",
    "unchanged": "",
    "inconclusive": "yellow",
    "missing": "yellow",
    "new": "cyan",
    "incomparable": "magenta",
}


def comparison_json(comparison: Comparison) -> str:
    """Return the comparison as one JSON object: schema, method, benchmarks, summary."""
    return (
        json.dumps(
            {
                "schema": SCHEMA,
                "method": _method(comparison),
                "benchmarks": [
                    {
                        "fullname": benchmark.fullname,
                        "verdict": benchmark.verdict,
                        "num_processes": {"baseline": benchmark.num_baseline, "candidate": benchmark.num_candidate},
                        "min_effect": benchmark.min_effect,
                        "time": _metric(benchmark.time),
                        "memory": None if benchmark.memory is None else _metric(benchmark.memory),
                    }
                    for benchmark in comparison.benchmarks
                ],
                "summary": {**dict.fromkeys(WORST_FIRST, 0), **comparison.count()},
                "notes": list(comparison.notes),
            },
            indent=1,
            allow_nan=False,
            ensure_ascii=False,
        )
        .encode("utf-8", "replace")
        .decode()
        + "\n"
    )


def _metric(metric: MetricVerdict) -> dict[str, Any]:
    values = {
        "ratio": metric.ratio,
        "ci_low": metric.ci_low,
        "ci_high": metric.ci_high,
        "mde95": metric.mde95,
        "p_value": metric.p_value,
    }
    finite = {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}
    return {**finite, "verdict": metric.verdict, "reason": metric.reason}


def _method(comparison: Comparison) -> dict[str, Any]:
    sides, typical = comparison.sides, comparison.typical
    found: dict[str, Any] = {
        "num_processes": {
            "baseline": len(sides.side(candidate=False)),
            "candidate": len(sides.side(candidate=True)),
        },
        "alpha": comparison.alpha,
        "families": {
            "typical rounds": {"alpha": comparison.alpha * (1 - TAIL_SHARE), "correction": "Holm over all benchmarks"},
            "slowest tenth": {"alpha": comparison.alpha * TAIL_SHARE, "correction": "Holm over all benchmarks"},
        },
        "interleaved": None,
        "statistic": None,
        "common_shift": None,
    }
    if typical is None or not typical.judged.any():
        return found
    estimate = typical.estimate
    pooled = math.isfinite(estimate.common_se) and len(estimate.own) >= MIN_POOLED
    return {
        **found,
        "interleaved": typical.interleaved,
        "statistic": {
            "quantile_of_rounds": estimate.quantile,
            "slowest_processes_left_out": estimate.num_trimmed,
            "common_part_removed": estimate.common_removed,
        },
        "common_shift": {
            "ratio": math.exp(estimate.common),
            "ci_low": math.exp(estimate.common - 1.96 * estimate.common_se),
            "ci_high": math.exp(estimate.common + 1.96 * estimate.common_se),
            "beyond_chance": estimate.common_is_real,
        }
        if pooled
        else None,
    }


def comparison_table(comparison: Comparison) -> Table:
    """Return the comparison as a table, the worst verdicts first."""
    ranked = sorted(comparison.benchmarks, key=lambda benchmark: WORST_FIRST.index(benchmark.verdict))
    rows = [_row(benchmark) for benchmark in ranked]
    memory = any(benchmark.memory is not None for benchmark in ranked)
    ours = bool(ranked) and all(benchmark.workload is not None for benchmark in ranked)
    name = Column(heading="benchmark", show=lambda row: row["label"], foldable=True)
    return Table(
        title=f"{_headline(comparison)}",
        frame=rows,
        columns=(
            Column(heading="verdict", show=_shown_verdict, style=lambda row: STYLES[row["verdict"]]),
            name if ours else Column(heading="benchmark", show=lambda row: row["fullname"], foldable=True),
            Column(heading="time", show=lambda row: _ratio(row, "time"), numeric=True),
            Column(heading="provable %", show=_provable, numeric=True),
            *([Column(heading="memory", show=lambda row: _ratio(row, "memory"), numeric=True)] if memory else []),
            Column(heading="reason", show=lambda row: row["reason"], foldable=True),
        ),
        notes=(
            "time: candidate over baseline [95% interval]",
            "provable: the smallest slowdown that would have been shown 95 times of 100",
            f"chance of any false alarm in the whole table: {comparison.alpha:.3g}",
            *comparison.notes,
        ),
    )


def _headline(comparison: Comparison) -> str:
    counts = ", ".join(f"{num} {verdict}" for verdict, num in comparison.count().items()) or "nothing to compare"
    sides = [len(comparison.sides.side(candidate=candidate)) for candidate in (False, True)]
    return f"{counts}; {_processes(sides[1])} of the candidate against {_processes(sides[0])} of the baseline"


def _processes(num: int) -> str:
    return f"{num} process{'' if num == 1 else 'es'}"


def _row(benchmark: BenchmarkVerdict) -> dict[str, Any]:
    row: dict[str, Any] = {
        "fullname": benchmark.fullname,
        "label": benchmark.fullname if benchmark.workload is None else benchmark.workload.label,
        "verdict": benchmark.verdict,
        "reason": _reason(benchmark),
        "num_baseline": benchmark.num_baseline,
        "num_candidate": benchmark.num_candidate,
        "min_effect": benchmark.min_effect,
    }
    for name, metric in (("time", benchmark.time), ("memory", benchmark.memory)):
        row[f"{name}_verdict"] = None if metric is None else metric.verdict
        row[f"{name}_ratio"] = None if metric is None else metric.ratio
        row[f"{name}_ci_low"] = None if metric is None else metric.ci_low
        row[f"{name}_ci_high"] = None if metric is None else metric.ci_high
    row["time_mde95"] = benchmark.time.mde95
    row["time_p_value"] = benchmark.time.p_value
    return row


def _reason(benchmark: BenchmarkVerdict) -> str:
    """Return the reason of the metric that decided; memory is named, time goes without saying."""
    memory = benchmark.memory
    if memory is not None and memory.verdict == benchmark.verdict != benchmark.time.verdict:
        return f"peak memory: {memory.reason}"
    if memory is not None and memory.verdict in {"regressed", "inconclusive"} and memory.verdict == benchmark.verdict:
        return f"{benchmark.time.reason}; peak memory: {memory.reason}"
    return benchmark.time.reason


def _shown_verdict(row: dict[str, Any]) -> str:
    return f"{SYMBOLS[row['verdict']]} {row['verdict']}"


def _ratio(row: dict[str, Any], name: str) -> str:
    ratio, low, high = row[f"{name}_ratio"], row[f"{name}_ci_low"], row[f"{name}_ci_high"]
    if ratio is None:
        return "-"
    if low is None or high is None:
        return f"{ratio:.3f} [no interval]"
    if name == "memory":
        return f"{ratio:.3f}"  # deterministic: what an interval would say stands in the reason
    return f"{ratio:.3f} [{low:.3f}, {high:.3f}]"


def _provable(row: dict[str, Any]) -> str:
    return "nothing" if row["time_mde95"] is None else f"{100 * row['time_mde95']:.1f}"


CHANGED: tuple[Verdict, ...] = ("regressed", "improved", "missing", "new", "incomparable")


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison for a pull request: what changed first, everything folded below."""
    table = comparison_table(comparison)
    assert isinstance(table.frame, list)  # noqa: S101 - for the type checker: built so above
    changed = [row for row in table.frame if row["verdict"] in CHANGED]
    cut = f"; the first {HEAD_ROWS} that changed" if len(changed) > SHORT_ROWS else ""
    shown = changed[:HEAD_ROWS] if cut else changed
    head = Table(title=f"{table.title}{cut}", frame=shown, columns=table.columns if changed else (), notes=table.notes)
    return render_comment(table, head=head, what="benchmarks")

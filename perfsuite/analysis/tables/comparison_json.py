"""A comparison as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

from scipy.special import stdtrit

from perfsuite.analysis.statistics.decision import TAIL_SHARE
from perfsuite.analysis.verdicts.groups import comparison_groups
from perfsuite.analysis.verdicts.metric_verdict import MetricVerdict
from perfsuite.analysis.verdicts.row_choice import ALL_ROWS, chosen_benchmarks, chosen_trainings, shown_note
from perfsuite.analysis.verdicts.scaling_changes import scaling_changes
from perfsuite.analysis.verdicts.training_rows import ALSO_SHOWN, side_means, training_row
from perfsuite.analysis.verdicts.verdict import WORST_FIRST
from perfsuite.formatting import printable_json

if TYPE_CHECKING:
    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.verdicts.metric_verdict import MetricVerdict
    from perfsuite.analysis.verdicts.row_choice import RowChoice
    from perfsuite.analysis.verdicts.training_verdicts import TrainingVerdict


def training_json(one: TrainingVerdict) -> dict[str, Any]:
    """Return a verdict as plain values."""
    accuracy = one.accuracy
    details = accuracy.details
    values = {name: value for name, value in training_row(one).items() if name.startswith("accuracy_")}
    return {
        "fullname": one.cell.fullname,
        "label": one.cell.label,
        "verdict": one.verdict,
        "reason": one.reason,
        "num_trainings": {"baseline": len(one.cell.baseline), "candidate": len(one.cell.candidate)},
        "num_failed": dict(zip(("baseline", "candidate"), one.num_failed, strict=True)),
        "seeds": {name: list(one.cell.seeds(candidate=name == "candidate")) for name in ("baseline", "candidate")},
        "accuracy": {
            **{name.removeprefix("accuracy_"): value for name, value in values.items()},
            "is_paired": None if details is None else details.is_paired,
            "reason": accuracy.reason,
        },
        "time": _metric_json(one.time, "s"),
        "memory": None if one.memory is None else _metric_json(one.memory, "bytes"),
        "also": {key: side_means(one.cell, key) for key in ALSO_SHOWN},
        "causes": list(one.causes),
    }


def _metric_json(metric: MetricVerdict, unit: str) -> dict[str, Any]:
    return {
        "ratio": metric.ratio,
        "ratio_low": metric.ratio_low,
        "ratio_high": metric.ratio_high,
        f"baseline_{unit}": metric.baseline,
        f"candidate_{unit}": metric.candidate,
        "verdict": metric.verdict,
        "reason": metric.reason,
    }


SCHEMA = "perfsuite-compare-7"
"""Of the JSON: a program that reads it checks this first. Version 2: ratio and interval are those of the change as
measured, p values are two-sided. Version 3: `trainings`, which the summary counts too.
Version 4: the verdict `failed`, and `num_failed`. Version 6: `groups`, geometric means. Version 7: `scaling`,
efficiencies of several devices."""


def comparison_json(comparison: Comparison, choice: RowChoice = ALL_ROWS) -> str:
    """Return the comparison as one JSON object.

    Its keys: schema, method, benchmarks (a line each), scaling, groups, trainings, summary, notes.

    Args:
        comparison: What was decided.
        choice: Which benchmarks and trainings it lists; unfiltered and unsorted they stand in the order of the files.
    """
    is_chosen = choice != ALL_ROWS
    shown = chosen_benchmarks(comparison, choice) if is_chosen else comparison.benchmarks
    trainings = chosen_trainings(comparison, choice) if is_chosen else comparison.trainings.verdicts
    notes = [*shown_note(comparison, choice), *comparison.notes, *comparison.trainings.notes]
    benchmarks = ",\n".join(_dumps(_benchmark(one)) for one in shown)
    parts = {
        "schema": _dumps(SCHEMA),
        "method": _dumps(_method(comparison)),
        "benchmarks": f"[\n{benchmarks}\n]" if benchmarks else "[]",
        "scaling": _dumps(
            [{"fullname": one.benchmark.fullname, **one.columns()} for one in scaling_changes(comparison, shown)]
        ),
        "groups": _dumps([one.columns() for one in comparison_groups(comparison)]),
        "trainings": _dumps([training_json(one) for one in trainings]),
        "summary": _dumps({**dict.fromkeys(WORST_FIRST, 0), **comparison.count()}),
        "notes": _dumps(notes),
    }
    text = ",\n".join(f'"{name}": {part}' for name, part in parts.items())
    return printable_json(f"{{\n{text}\n}}\n")


def _dumps(value: Any) -> str:
    """Without an indent, which only the slow encoder knows: a comparison may have a hundred thousand benchmarks."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _benchmark(benchmark: BenchmarkVerdict) -> dict[str, Any]:
    return {
        "fullname": benchmark.fullname,
        "verdict": benchmark.verdict,
        "num_processes": {"baseline": benchmark.num_baseline, "candidate": benchmark.num_candidate},
        "num_failed": dict(zip(("baseline", "candidate"), benchmark.num_failed, strict=True)),
        "min_effect": benchmark.min_effect,
        "time": _metric(benchmark.time, "s"),
        "memory": None if benchmark.memory is None else _metric(benchmark.memory, "bytes"),
    }


def _metric(metric: MetricVerdict, unit: str) -> dict[str, Any]:
    values = {
        "ratio": metric.ratio,
        "ratio_low": metric.ratio_low,
        "ratio_high": metric.ratio_high,
        "mde95": metric.mde95,
        "p_value": metric.p_value,
        f"baseline_{unit}": metric.baseline,
        f"candidate_{unit}": metric.candidate,
    }
    finite = {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}
    relative, tail = (None if one is None else dataclasses.asdict(one) for one in (metric.relative, metric.tail))
    return {
        **finite,
        "relative": relative,
        "slowest_rounds": tail,
        "num_processes_needed": metric.num_processes_needed,
        "verdict": metric.verdict,
        "reason": metric.reason,
    }


def _method(comparison: Comparison) -> dict[str, Any]:
    sides, typical = comparison.sides, comparison.typical
    typical_alpha, tail_alpha = comparison.alpha * (1 - TAIL_SHARE), comparison.alpha * TAIL_SHARE
    found: dict[str, Any] = {
        "num_processes": {
            "baseline": len(sides.side(candidate=False)),
            "candidate": len(sides.side(candidate=True)),
        },
        "alpha": comparison.alpha,
        "families": {
            "typical rounds": {"alpha": typical_alpha, "sides": 2, "correction": "Holm over all benchmarks"},
            "slowest rounds": {"alpha": tail_alpha, "sides": 1, "correction": "Holm over all benchmarks"},
        },
        "trainings": {
            "alpha": comparison.alpha,
            "margin": comparison.trainings.margin,
            "seed_sd": comparison.trainings.seed_sd,
            "correction": "Holm over all cells",
        },
        "interleaved": None,
        "statistic": None,
        "common_shift": None,
    }
    if typical is None:
        return found
    common = typical.common
    found["interleaved"] = typical.interleaved
    found["statistic"] = {
        "quantile_of_rounds": typical.quantile,
        "slowest_processes_left_out": typical.effect.num_left_out,
        "trend_removed": typical.effect.trend_removed,
    }
    if common is not None and math.isfinite(common.se):
        half = float(stdtrit(common.dof, 0.975)) * common.se
        found["common_shift"] = {
            "ratio": math.exp(common.change),
            "ratio_low": math.exp(common.change - half),
            "ratio_high": math.exp(common.change + half),
            "p_value": common.p_value,
            "agreeing_ratio": typical.agreeing_ratio,
        }
    return found

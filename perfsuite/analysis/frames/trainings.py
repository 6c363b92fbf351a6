"""Full trainings -> a row per group of seeds: accuracy with its interval, target, costs, and AMP vs FP32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from perfsuite.analysis.frames.columns import place_columns
from perfsuite.analysis.frames.made_once import made_once
from perfsuite.analysis.frames.ratio_text import ratio_columns
from perfsuite.analysis.frames.row_warnings import joined_words, pooled_warnings
from perfsuite.analysis.frames.training_groups import (
    baseline_of,
    distinguishing_values,
    family_words,
    training_groups,
    training_origins,
    values_of,
)
from perfsuite.analysis.statistics.intervals import bare_ratio, ratio_over_processes
from perfsuite.recipes import TARGET_TOLERANCE, is_target_checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.frames.training_groups import TrainingGroup
    from perfsuite.analysis.statistics.intervals import Ratio, Times
    from perfsuite.records.training import TrainingRecord

TargetOutcome = Literal["reached", "missed", "cannot tell", "not checked"]
"""Of a group: its interval lies above the target minus the tolerance, below it, or on both sides of it; or the target
is not checked, for it is of other images."""

BOUND_ALPHA = 0.05
"""One minus the level of the one-sided bound of a difference. One row is judged by itself: there is no correction."""

MEAN_METRICS = (
    "training_time_s",
    "time_to_target_s",
    "peak_allocated_bytes",
    "peak_net_bytes",
    "evaluation_peak_allocated_bytes",
    "energy_joules",
    "num_skipped_steps",
    "training_images_per_second",
)
SUMMED_METRICS = ("num_interruptions", "lost_time_s")


@made_once
def accuracy_frame(results: Results) -> pd.DataFrame:
    """Return a row per group: mean over seeds with its interval, the target, and AMP vs FP32.

    Returns:
        Columns: device, torch and what else differs between places, `label` (names the row), `place` in words, model,
        recipe, precision, the values that determine the result (see `values_of`), `num_seeds`, `num_test_images`,
        `test_accuracy` with `_low` and `_high` (95% interval, see `accuracy_intervals`), `test_accuracy_sd`, means of
        `MEAN_METRICS`, sums of `SUMMED_METRICS`, `target_accuracy`, `target_tolerance`, `target_outcome` (a
        `TargetOutcome`), and compared with FP32 of the same group `accuracy_difference` with `_low` and `_high` (95%
        interval), `_bound` (one-sided 95% lower bound), `_is_paired` (by seed); `non_inferior`; `time_ratio` with what
        `ratio_columns` adds; `memory_ratio`; `num_skipped_steps_baseline`. `warnings`: in a word or two each,
        `comparison_warnings` those of both sides.
    """
    groups = training_groups(results)
    places = place_columns(training_origins(results))
    distinguishing, family_name = distinguishing_values(groups), family_words(groups)
    intervals = _intervals(groups)
    changes = _changes_from_fp32(groups)
    rows = []
    for index, group in enumerate(groups):
        origin, records = group.members[0].origin, group.records
        accuracies = seed_accuracies(records)
        row: dict[str, Any] = {
            **{column: origin[column] for column in dict.fromkeys(("device", "torch", *places))},
            "label": f"{family_name(group.family)} {group.precision}",
            "place": group.family.place,
            "model": group.family.model,
            "recipe": group.recipe,
            "precision": group.precision,
            **values_of(group.family, distinguishing),
            "num_seeds": len(accuracies),
            "num_test_images": records[0].data.num_test,
            "test_accuracy": float(accuracies.mean()),
            "test_accuracy_low": intervals[index][0],
            "test_accuracy_high": intervals[index][1],
            "test_accuracy_sd": float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None,
            **{name: mean_metric(records, name) for name in MEAN_METRICS},
            **{name: _sum_metric(records, name) for name in SUMMED_METRICS},
            **_target(records, intervals[index]),
            **changes.get(index, {}),
            "warnings": pooled_warnings(records),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def seed_accuracies(records: Iterable[TrainingRecord]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the test accuracy of each seed; one that was trained several times counts once, by its mean."""
    found: dict[int, list[float]] = {}
    for record in records:
        found.setdefault(record.seed, []).append(record.test_accuracy)
    return np.array([_mean(values) for values in found.values()], dtype=np.float64)


def _by_recipe(groups: Sequence[TrainingGroup], indices: Iterable[int]) -> list[list[int]]:
    """Return the indices of groups, those of one recipe together: seeds of a short one scatter more."""
    found: dict[str, list[int]] = {}
    for index in indices:
        found.setdefault(groups[index].recipe, []).append(index)
    return list(found.values())


def _intervals(groups: Sequence[TrainingGroup]) -> dict[int, tuple[float, float]]:
    from perfsuite.analysis.statistics.accuracy import accuracy_intervals  # scipy: only where there are trainings

    found: dict[int, tuple[float, float]] = {}
    for indices in _by_recipe(groups, range(len(groups))):
        records = [groups[index].records for index in indices]
        lows, highs = accuracy_intervals(
            [seed_accuracies(one) for one in records], [one[0].data.num_test for one in records]
        )
        found.update(zip(indices, zip(lows.tolist(), highs.tolist(), strict=True), strict=True))
    return found


def _target(records: Sequence[TrainingRecord], interval: tuple[float, float]) -> dict[str, Any]:
    target = _common_target(records)
    if target is None:
        return {"target_accuracy": None, "target_tolerance": None, "target_outcome": None}
    outcome: TargetOutcome = "cannot tell"
    least = target - TARGET_TOLERANCE
    if not is_target_checked(records[0].recipe, is_of_data=records[0].is_target_of_its_data):
        outcome = "not checked"
    elif interval[0] >= least:
        outcome = "reached"
    elif interval[1] < least:
        outcome = "missed"
    return {"target_accuracy": target, "target_tolerance": TARGET_TOLERANCE, "target_outcome": outcome}


def _common_target(records: Sequence[TrainingRecord]) -> float | None:
    """Return the target of all of them; it does not determine the result, so that one group may have several."""
    targets = {record.recipe.target_accuracy for record in records}
    return targets.pop() if len(targets) == 1 else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def mean_metric(records: Sequence[TrainingRecord], name: str) -> float | None:
    """Return the mean of a metric, or None where one of the trainings does not have it."""
    if name == "time_to_target_s" and _common_target(records) is None:
        return None
    values = [record.metrics.get(name) for record in records]
    known = [value for value in values if value is not None]
    return _mean(known) if len(known) == len(records) else None


def _sum_metric(records: Sequence[TrainingRecord], name: str) -> float | None:
    known = [value for record in records if (value := record.metrics.get(name)) is not None]
    return sum(known) if known else None


def _changes_from_fp32(groups: Sequence[TrainingGroup]) -> dict[int, dict[str, Any]]:
    """Return what differs from FP32 of the same family, by the index of the group."""
    baselines = {index: found for index, group in enumerate(groups) if (found := baseline_of(group, groups))}
    if not baselines:
        return {}
    from perfsuite.analysis.frames.training_cells import TrainingCell, accuracy_change
    from perfsuite.analysis.frames.training_words import ACCURACY_MARGIN
    from perfsuite.analysis.statistics.accuracy import decide_accuracy

    rows = {}
    for indices in _by_recipe(groups, baselines):
        cells = [
            TrainingCell(
                label=f"{groups[index].family.model} {groups[index].precision}",
                fullname=groups[index].members[0].name,
                model=groups[index].family.model,
                precision=groups[index].precision,
                family=groups[index].family,
                baseline=baselines[index].members,
                candidate=groups[index].members,
            )
            for index in indices
        ]
        changes = [accuracy_change(cell) for cell in cells]
        decision = decide_accuracy(changes, margin=ACCURACY_MARGIN, alpha=BOUND_ALPHA)
        for row, (index, change) in enumerate(zip(indices, changes, strict=True)):
            rows[index] = {
                "accuracy_difference": change.change,
                "accuracy_difference_low": float(decision.low[row]),
                "accuracy_difference_high": float(decision.high[row]),
                "accuracy_difference_bound": float(decision.bound[row]),
                "accuracy_difference_is_paired": change.is_paired,
                "non_inferior": bool(decision.bound[row] > -ACCURACY_MARGIN),
                "comparison_warnings": joined_words(
                    {group.precision: pooled_warnings(group.records) for group in (baselines[index], groups[index])}
                ),
                **_cost_ratios(baselines[index].records, groups[index].records),
            }
    return rows


def _cost_ratios(baseline: Sequence[TrainingRecord], candidate: Sequence[TrainingRecord]) -> dict[str, Any]:
    before, after = mean_metric(baseline, "peak_allocated_bytes"), mean_metric(candidate, "peak_allocated_bytes")
    return {
        **ratio_columns("time_ratio", _time_ratio(baseline, candidate)),
        "memory_ratio": after / before if before and after else None,
        "num_skipped_steps_baseline": mean_metric(baseline, "num_skipped_steps"),
    }


def _time_ratio(baseline: Sequence[TrainingRecord], candidate: Sequence[TrainingRecord]) -> Ratio | None:
    """Return the training time of one side over the other's; two trainings a side give an interval."""
    top, bottom = _times_s(candidate), _times_s(baseline)
    if not (top.all() and bottom.all()):
        return None
    if min(len(top), len(bottom)) > 1:
        return ratio_over_processes(top, bottom, paired=False)
    return bare_ratio(float(np.exp(np.log(top).mean() - np.log(bottom).mean())))


def _times_s(records: Sequence[TrainingRecord]) -> Times:
    """Return the training time of each, 0 where it is not known."""
    return np.array([record.metrics.get("training_time_s") or 0.0 for record in records])

"""Verdicts on full trainings as rows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.verdicts.metric_verdict import metric_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.training_cells import TrainingCell
    from perfsuite.analysis.verdicts.training_verdicts import TrainingVerdict
    from perfsuite.records.training import TrainingRecord


ALSO_SHOWN = ("training_images_per_second", "time_to_target_s", "num_skipped_steps", "num_interruptions", "lost_time_s")
"""Metrics of both sides without a verdict of their own: they follow from accuracy and time, or may be their causes."""


def training_row(one: TrainingVerdict) -> dict[str, Any]:
    """Return a verdict as a row: accuracies, their change with its bounds, time and memory."""
    row: dict[str, Any] = {
        "fullname": one.cell.fullname,
        "label": one.cell.label,
        "verdict": one.verdict,
        "reason": one.reason,
        "num_baseline": len(one.cell.baseline),
        "num_candidate": len(one.cell.candidate),
        "num_failed_baseline": one.num_failed[0],
        "num_failed_candidate": one.num_failed[1],
        "min_effect": one.min_effect,
    }
    row |= metric_columns("time", one.time, "s")
    row |= metric_columns("memory", one.memory, "bytes")
    for field in dataclasses.fields(one.accuracy):
        if field.name not in {"reason", "details"}:
            row[f"accuracy_{field.name}"] = getattr(one.accuracy, field.name)
    return row


def side_means(cell: TrainingCell, key: str) -> dict[str, float | None]:
    """Return the means of a metric over the trainings of each side."""
    return {name: _mean_metric(cell.records(candidate=name == "candidate"), key) for name in ("baseline", "candidate")}


def _mean_metric(records: Sequence[TrainingRecord], key: str) -> float | None:
    values = [record.metrics.get(key) for record in records]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None

"""What else differs between the full trainings of two sides, and may be why their results do, in words."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from perfsuite.analysis.verdicts.causes import telemetry_causes
from perfsuite.recipes import missed_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.training_cells import TrainingCell
    from perfsuite.analysis.verdicts.metric_verdict import MetricVerdict
    from perfsuite.analysis.verdicts.training_verdicts import AccuracyVerdict
    from perfsuite.records.telemetry import Telemetry
    from perfsuite.records.training import TrainingRecord

SKIPPED_STEPS_CHANGE = 0.005
"""Share of all steps by which the number of skipped ones must differ to be named."""


def likely_causes(cell: TrainingCell, accuracy: AccuracyVerdict, time: MetricVerdict) -> tuple[str, ...]:
    """Return in words what else differs between the sides, and may be why the results do."""
    old, new = cell.records(candidate=False), cell.records(candidate=True)
    found: list[str | None] = []
    if accuracy.verdict in {"regressed", "improved"}:
        before, after = _final_loss(old), _final_loss(new)
        found.append(f"training loss of the last epoch {before:.4g} -> {after:.4g}")
    found += [_skipped(old, new), _interruptions(old, new)]
    if time.ratio is not None:
        found.append(telemetry_causes(_telemetry(old), _telemetry(new), time.ratio))
    return tuple(text for text in found if text is not None)


def _final_loss(side: Sequence[TrainingRecord]) -> float:
    return statistics.fmean(record.history[-1].train_loss for record in side)


def _telemetry(side: Sequence[TrainingRecord]) -> list[Telemetry]:
    return [record.telemetry for record in side if record.telemetry is not None]


def missed_targets(cell: TrainingCell) -> str | None:
    """Return that more trainings of the candidate missed the accuracy target; its verdict is on the accuracy itself."""
    old, new = cell.records(candidate=False), cell.records(candidate=True)
    before, after = sum(map(_misses_target, old)), sum(map(_misses_target, new))
    if after / len(new) <= before / len(old):
        return None
    return (
        f"accuracy target missed in {after} of {len(new)} trainings of the candidate, in {before} of "
        f"{len(old)} of the baseline"
    )


def _misses_target(record: TrainingRecord) -> bool:
    return (
        missed_target(record.recipe, test_accuracy=record.test_accuracy, is_of_data=record.is_target_of_its_data)
        is not None
    )


def _skipped(old: Sequence[TrainingRecord], new: Sequence[TrainingRecord]) -> str | None:
    before = statistics.fmean(record.metrics.get("num_skipped_steps") or 0 for record in old)
    after = statistics.fmean(record.metrics.get("num_skipped_steps") or 0 for record in new)
    steps = [len(record.history) * math.ceil(record.data.num_train / record.recipe.batch_size) for record in old]
    if abs(after - before) <= SKIPPED_STEPS_CHANGE * statistics.fmean(steps):
        return None
    return f"skipped steps {before:,.0f} -> {after:,.0f} of {statistics.fmean(steps):,.0f}"


def _interruptions(old: Sequence[TrainingRecord], new: Sequence[TrainingRecord]) -> str | None:
    before = sum(int(record.metrics.get("num_interruptions") or 0) for record in old)
    after = sum(int(record.metrics.get("num_interruptions") or 0) for record in new)
    return None if before == after else f"interruptions {before} -> {after}"

"""Full trainings of several environments: accuracy, training time and peak memory against one; pure computing."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.frames.ratio_text import ratio_columns
from perfsuite.analysis.frames.training_cells import accuracy_change, mean_accuracy
from perfsuite.analysis.frames.training_words import ACCURACY_MARGIN
from perfsuite.analysis.statistics.accuracy import decide_accuracy
from perfsuite.analysis.statistics.intervals import CONFIDENCE, bare_ratio, ratio_over_processes
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.frames.training_cells import TrainingCell
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.statistics.intervals import Ratio
    from perfsuite.records.training import TrainingRecord

ACCURACY_KEYS = (
    "accuracy_change",
    "accuracy_change_low",
    "accuracy_change_high",
    "accuracy_change_level",
    "accuracy_is_paired",
    "accuracy_seeds_dof",
)

NO_VERDICTS_ALPHA = 0.05
"""Intervals do not depend on it: what is decided with it is not shown."""

MIN_FOR_INTERVAL = 2
"""A variance needs two processes a side."""


def training_changes(
    cells: Sequence[TrainingCell], label: Callable[[FullTraining], str], environments: Sequence[str]
) -> list[dict[str, Any]]:
    """Return an entry of `Across.trainings` per cell and environment but the first, which is the baseline.

    Args:
        cells: With the trainings of all environments on the side of the baseline.
        label: Gives the environment of a training.
        environments: Labels of all.
    """
    baseline, *others = environments
    by_environment = {
        other: _entries(
            [
                dataclasses.replace(cell, baseline=_of(cell, label, baseline), candidate=_of(cell, label, other))
                for cell in cells
            ],
            other,
        )
        for other in others
    }
    return [by_environment[other][row] for row in range(len(cells)) for other in others]


def amp_of_trainings(
    cells: Sequence[TrainingCell], label: Callable[[FullTraining], str], environments: Sequence[str]
) -> list[dict[str, Any]]:
    """Return an entry of `Across.training_amp` per cell of another precision than FP32 and environment.

    Args:
        cells: With the trainings of all environments on the side of the baseline.
        label: Gives the environment of a training.
        environments: Labels of all.
    """
    fp32 = {cell.family: cell for cell in cells if cell.precision == BASELINE}
    pairs = [(fp32[cell.family], cell) for cell in cells if cell.precision != BASELINE and cell.family in fp32]
    by_environment = {
        environment: _entries(
            [
                dataclasses.replace(amp, baseline=_of(slow, label, environment), candidate=_of(amp, label, environment))
                for slow, amp in pairs
            ],
            environment,
        )
        for environment in environments
    }
    return [by_environment[environment][row] for row in range(len(pairs)) for environment in environments]


def _of(cell: TrainingCell, label: Callable[[FullTraining], str], environment: str) -> tuple[FullTraining, ...]:
    return tuple(training for training in cell.baseline if label(training) == environment)


def _entries(cells: Sequence[TrainingCell], environment: str) -> list[dict[str, Any]]:
    """Return an entry per cell; what seeds show of their variance is shared by the cells of an environment."""
    both = [row for row, cell in enumerate(cells) if cell.baseline and cell.candidate]
    changes = [accuracy_change(cells[row]) for row in both]
    found = decide_accuracy(changes, margin=ACCURACY_MARGIN, alpha=NO_VERDICTS_ALPHA) if changes else None
    accuracies: dict[int, dict[str, Any]] = {}
    for position, (row, change) in enumerate(zip(both, changes, strict=True)):
        assert found is not None  # noqa: S101 - for the type checker: there is a change
        low, high = float(found.low[position]), float(found.high[position])
        values = (change.change, low, high, CONFIDENCE, change.is_paired, change.dof)
        accuracies[row] = dict(zip(ACCURACY_KEYS, values, strict=True))
    entries = []
    for row, cell in enumerate(cells):
        old, new = (cell.records(candidate=side) for side in (False, True))
        peaks = [_peak_bytes(side) for side in (old, new)]
        entries.append(
            {
                "fullname": cell.fullname,
                "label": cell.label,
                "environment": environment,
                "num_baseline": len(old),
                "num_candidate": len(new),
                "accuracy_baseline": mean_accuracy(cell, candidate=False),
                "accuracy_candidate": mean_accuracy(cell, candidate=True),
                **accuracies.get(row, dict.fromkeys(ACCURACY_KEYS)),
                **ratio_columns("ratio", _time_ratio(new, old)),
                "memory_ratio": peaks[1] / peaks[0] if peaks[0] and peaks[1] else None,
                "time_baseline_s": _mean_time_s(old),
                "time_candidate_s": _mean_time_s(new),
                "memory_baseline_bytes": peaks[0],
                "memory_candidate_bytes": peaks[1],
            }
        )
    return entries


def _time_ratio(numerator: Sequence[TrainingRecord], denominator: Sequence[TrainingRecord]) -> Ratio | None:
    """Return the training time of one side over the other's, by the processes that trained both where there are any.

    A process is a sample; its seeds are averaged.
    """
    top, bottom = _times_s(numerator), _times_s(denominator)
    if not top or not bottom:
        return None
    both = [run for run in top if run in bottom]
    is_paired = len(both) >= MIN_FOR_INTERVAL
    if is_paired or (both and min(len(top), len(bottom)) < MIN_FOR_INTERVAL):
        top, bottom = ({run: side[run] for run in both} for side in (top, bottom))
    first, second = (np.array(list(side.values())) for side in (top, bottom))
    num_processes = min(len(first), len(second))
    if is_paired:
        ratios = first / second
        return ratio_over_processes(ratios, np.ones_like(ratios), paired=True)
    if num_processes >= MIN_FOR_INTERVAL:
        return ratio_over_processes(first, second, paired=False)
    return bare_ratio(math.exp(float(np.log(first).mean() - np.log(second).mean())), num_processes)


def _times_s(records: Sequence[TrainingRecord]) -> dict[str, float]:
    """Return the geometric mean of the training times of each process, by the id of its run."""
    found: dict[str, list[float]] = {}
    for record in records:
        if record.metrics["training_time_s"]:
            found.setdefault(record.process.run_id, []).append(float(record.metrics["training_time_s"]))
    return {run: float(np.exp(np.log(times).mean())) for run, times in found.items()}


def _mean_time_s(records: Sequence[TrainingRecord]) -> float | None:
    """Return the geometric mean over the processes of a side; None where none has a time."""
    times = list(_times_s(records).values())
    return float(np.exp(np.log(times).mean())) if times else None


def _peak_bytes(records: Sequence[TrainingRecord]) -> float | None:
    peaks = [record.metrics.get("peak_allocated_bytes") for record in records]
    return max((float(peak) for peak in peaks if peak is not None), default=None)

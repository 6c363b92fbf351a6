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
    by_environment: list[list[dict[str, Any]]] = []
    for other in others:
        sides = [
            dataclasses.replace(cell, baseline=_of(cell, label, baseline), candidate=_of(cell, label, other))
            for cell in cells
        ]
        by_environment.append(_entries(sides, other))
    return _by_cell(by_environment)


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
    by_environment: list[list[dict[str, Any]]] = []
    for environment in environments:
        sides = [
            dataclasses.replace(amp, baseline=_of(slow, label, environment), candidate=_of(amp, label, environment))
            for slow, amp in pairs
        ]
        by_environment.append(_entries(sides, environment))
    return _by_cell(by_environment)


def _by_cell(by_environment: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the entries of each environment, which have the same cells, with those of one cell together."""
    return [entry for of_cell in zip(*by_environment, strict=True) for entry in of_cell]


def _of(cell: TrainingCell, label: Callable[[FullTraining], str], environment: str) -> tuple[FullTraining, ...]:
    return tuple(training for training in cell.baseline if label(training) == environment)


def _entries(cells: Sequence[TrainingCell], environment: str) -> list[dict[str, Any]]:
    """Return an entry per cell; what seeds show of their variance is shared by the cells of an environment."""
    accuracies = _accuracies(cells)
    entries = []
    for row, cell in enumerate(cells):
        old, new = cell.records(candidate=False), cell.records(candidate=True)
        old_bytes, new_bytes = _peak_bytes(old), _peak_bytes(new)
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
                "memory_ratio": new_bytes / old_bytes if old_bytes and new_bytes else None,
                "time_baseline_s": _mean_time_s(old),
                "time_candidate_s": _mean_time_s(new),
                "memory_baseline_bytes": old_bytes,
                "memory_candidate_bytes": new_bytes,
            }
        )
    return entries


def _accuracies(cells: Sequence[TrainingCell]) -> dict[int, dict[str, Any]]:
    """Return `ACCURACY_KEYS` of each cell that both sides trained, by its place among all."""
    both = [row for row, cell in enumerate(cells) if cell.baseline and cell.candidate]
    if not both:
        return {}
    changes = [accuracy_change(cells[row]) for row in both]
    found = decide_accuracy(changes, margin=ACCURACY_MARGIN, alpha=NO_VERDICTS_ALPHA)
    accuracies = {}
    for row, change, low, high in zip(both, changes, found.low, found.high, strict=True):
        values = (change.change, float(low), float(high), CONFIDENCE, change.is_paired, change.dof)
        accuracies[row] = dict(zip(ACCURACY_KEYS, values, strict=True))
    return accuracies


def _time_ratio(numerator: Sequence[TrainingRecord], denominator: Sequence[TrainingRecord]) -> Ratio | None:
    """Return the training time of one side over the other's, by the processes that trained both where there are any.

    A process is a sample; its seeds are averaged.
    """
    top, bottom = _times_s(numerator), _times_s(denominator)
    if not top or not bottom:
        return None
    both = [run for run in top if run in bottom]
    if len(both) >= MIN_FOR_INTERVAL:
        ratios = np.array([top[run] / bottom[run] for run in both])
        return ratio_over_processes(ratios, np.ones_like(ratios), paired=True)
    if min(len(top), len(bottom)) >= MIN_FOR_INTERVAL:
        return ratio_over_processes(np.array(list(top.values())), np.array(list(bottom.values())), paired=False)
    if both:
        top, bottom = {run: top[run] for run in both}, {run: bottom[run] for run in both}
    change = np.log(list(top.values())).mean() - np.log(list(bottom.values())).mean()
    return bare_ratio(math.exp(float(change)), 1)


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

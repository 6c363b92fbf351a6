"""How many images a full training evaluates at once: as many as take no more memory than one of its training steps."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from perfsuite.errors import MeasurementError, NotSupportedError
from perfsuite.measure.dry_run import EvaluationDryRun, predict_memory
from perfsuite.measure.largest_batch import largest_batch_size

if TYPE_CHECKING:
    from perfsuite.records.workload import Workload

MAX_EVALUATION_BATCH = {"cuda": 5000, "cpu": 500}
"""More images at once are not evaluated faster."""


@functools.lru_cache(maxsize=64)
def evaluation_batch_size(workload: Workload) -> int:
    """Return the largest batch whose evaluation peaks no higher than a training step of the workload, by dry run.

    Both memory formats take the same bytes, and a dry run knows the contiguous one only. Where none is possible (a
    compiled network, a torch without a memory tracker) it is the training batch: the same layers, and no graph.

    Args:
        workload: The training; its batch size is that of a training step.
    """
    contiguous = dataclasses.replace(workload, phase="train_step", memory_format="contiguous")
    most = MAX_EVALUATION_BATCH[workload.device_type]
    try:
        step_peak_bytes = predict_memory(contiguous).peak_bytes
        evaluation = EvaluationDryRun(contiguous)
        if evaluation.peak_bytes(most) <= step_peak_bytes:
            return most
        return largest_batch_size(evaluation.peak_bytes, step_peak_bytes, start=2 * workload.batch_size) or 1
    except (NotSupportedError, MeasurementError):
        return min(workload.batch_size, most)

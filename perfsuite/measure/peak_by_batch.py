"""The predicted peak of a training step at every batch size, from dry runs of three of them."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.measure.dry_run import predict_memory, step_dry_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.workload import Workload


def peak_by_batch(workload: Workload) -> Callable[[int], int]:
    """Return the function that gives the predicted peak in bytes of a training step at a batch size.

    What is alive after each operation is a part that every batch needs and a part for each image, so that two dry runs
    tell both; a third one confirms it. Where it does not (a network that compares each image of a batch with every
    other one), the function takes a dry run for each batch size.

    Args:
        workload: Of a training step; its batch size is the smallest that is dry-run here.

    Raises:
        NotSupportedError: A dry run cannot follow the network.
    """
    size = workload.batch_size
    once, twice, four_times = (_alive_bytes(workload, factor * size) for factor in (1, 2, 4))
    is_one_sequence = len(once) == len(twice) == len(four_times)
    if not is_one_sequence or not np.array_equal(four_times, once + 3 * (twice - once)):
        return functools.partial(_peak_of_a_dry_run, workload)

    def peak_bytes(batch_size: int) -> int:
        added_images = batch_size - size
        alive = once + (twice - once) * added_images // size
        return int(alive.max())

    return peak_bytes


def _alive_bytes(workload: Workload, batch_size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    dry_run = step_dry_run(dataclasses.replace(workload, batch_size=batch_size))
    return np.array(dry_run.alive_bytes, dtype=np.int64)


def _peak_of_a_dry_run(workload: Workload, batch_size: int) -> int:
    return predict_memory(dataclasses.replace(workload, batch_size=batch_size)).peak_bytes

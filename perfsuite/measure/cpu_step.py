"""One training step of a network on the CPU, before anything is measured: what it costs, how long it takes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeVar

import torch

from perfsuite.records.workload import Workload
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable

Seen = TypeVar("Seen")

MIN_BATCH_SIZE = 2
"""Of one sample, batch normalisation has no variance where an image has become one pixel."""


def look_at_step(
    look: Callable[[TrainingStep], Seen],
    model: str,
    *,
    image_size: int,
    num_classes: int,
    batch_size: int,
    precision: str,
) -> Seen | None:
    """Build a training step on the CPU and return what somebody sees of it; None for a network that cannot be run.

    A user's code may raise anything there, and its benchmarks say what.

    Args:
        look: Runs the step, and returns what it saw.
        model: Name of the network.
        image_size: H and W in pixels.
        num_classes: K.
        batch_size: N.
        precision: Name of the precision policy.
    """
    workload = Workload(
        model=model,
        precision=precision,
        phase="train_step",
        batch_size=batch_size,
        image_size=image_size,
        num_classes=num_classes,
        device_type="cpu",
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its benchmarks show them
            step = TrainingStep(workload, device=torch.device("cpu"))
            seen = look(step)
            step.close()
    except (Exception, SystemExit):  # noqa: BLE001 - see above
        return None
    return seen

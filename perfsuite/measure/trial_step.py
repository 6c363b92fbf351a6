"""One training step of a network before anything is measured: what it costs, how long it takes."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, TypeVar

from perfsuite.measure.memory import release_cached_memory
from perfsuite.workloads.precision import applied_to, policy_named, require_support
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from perfsuite.records.workload import Workload

Seen = TypeVar("Seen")

MIN_BATCH_SIZE = 2
"""Of one sample, batch normalisation has no variance where an image has become one pixel."""


def look_at_step(look: Callable[[TrainingStep], Seen], workload: Workload, *, device: torch.device) -> Seen | None:
    """Build a training step and return what somebody sees of it; None for a network that cannot be run there.

    A user's code may raise anything there, and its benchmarks say what.

    Args:
        look: Runs the step, and returns what it saw.
        workload: A training step.
        device: Where; all of its memory is given back.
    """
    seen: Seen | None = None
    try:
        require_support(policy_named(workload.precision), device)
        with warnings.catch_warnings(), applied_to(workload):
            warnings.simplefilter("ignore")  # its benchmarks show them
            step = TrainingStep(workload, device=device)
            seen = look(step)
            step.close()
            del step
    except (Exception, SystemExit):  # noqa: BLE001 - see above
        seen = None
    with contextlib.suppress(RuntimeError):  # of a device in trouble: its benchmarks say so
        release_cached_memory(device)
    return seen

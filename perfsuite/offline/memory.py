"""`perfsuite memory`: which cells to predict, and each prediction compared with the thesis's figure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite import thesis
from perfsuite.errors import InvalidChoiceError
from perfsuite.formatting import GIB_BYTES, MIB_BYTES
from perfsuite.gpu_sheet import WORKSPACE_BYTES
from perfsuite.gpus import choose_gpu
from perfsuite.measure.dry_run import largest_batch_size, predict_memory
from perfsuite.offline.cells import CellChoice, step_cells
from perfsuite.parsing import parse_capacity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfsuite.gpu_sheet import Gpu
    from perfsuite.records.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be predicted.

    Attributes:
        workloads: The cells.
        capacity_bytes: What there is for torch, where the largest batch is asked for.
        title: Says so in a line.
        notes: What a reader should know.
    """

    workloads: tuple[Workload, ...]
    capacity_bytes: int | None
    title: str
    notes: tuple[str, ...]


def plan_cells(choice: CellChoice, *, gradients: str | None, capacity: str | None, gpu: str | None) -> Plan:
    """Turn the command's options into cells; None is an option not given.

    Raises:
        InvalidChoiceError: A value that is not allowed; the message names the option.
    """
    if choice.batch_size is not None and (capacity is not None or gpu is not None):
        option = "--capacity" if gpu is None else "--gpu"
        raise InvalidChoiceError(f"--batch-size: {option} asks for the largest batch size; leave one of them out")
    state = gradients or (thesis.GRADIENTS if choice == CellChoice() else "freed")
    workloads = step_cells(choice, gradients=state)
    sheet = None if gpu is None else choose_gpu(gpu)
    capacity_bytes, words = _capacity(capacity, sheet)
    batch_sizes = {workload.batch_size for workload in workloads}
    if capacity_bytes is None and len(batch_sizes) == 1:
        words = f"batch {batch_sizes.pop()}"
    return Plan(
        workloads=workloads,
        capacity_bytes=capacity_bytes,
        title=f"Predicted peak memory of a training step in MiB, gradients {state}{f', {words}' if words else ''}",
        notes=_notes(sheet),
    )


def predict_cells(plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield a row per cell: the workload, the parts of its peak in bytes, and the thesis's figure where it has one."""
    for cell in plan.workloads:
        workload, largest = cell, {}
        if plan.capacity_bytes is not None:
            found = largest_batch_size(lambda size, cell=cell: _peak(cell, size), plan.capacity_bytes)  # type: ignore[misc]
            workload = dataclasses.replace(cell, batch_size=found or 1)
            largest = {"largest_batch_size": found or 0}
        prediction = predict_memory(workload)
        theirs = _thesis_peak(workload)
        yield {
            "model": workload.model,
            "precision": workload.precision,
            "batch_size": workload.batch_size,
            "image_size": workload.image_size,
            "num_classes": workload.num_classes,
            "gradients": workload.gradients,
            **largest,
            **dataclasses.asdict(prediction),
            "thesis_peak_bytes": theirs,
            "thesis_difference_ratio": None if theirs is None else prediction.peak_bytes / theirs - 1,
        }


def _peak(workload: Workload, batch_size: int) -> int:
    return predict_memory(dataclasses.replace(workload, batch_size=batch_size)).peak_bytes


def _thesis_peak(workload: Workload) -> int | None:
    """Return the thesis's peak where the workload is its own: batch 128 of CIFAR-10 with gradients kept."""
    result = thesis.thesis_result(workload.model, workload.precision)
    same = workload.batch_size == thesis.BATCH_SIZE and workload.gradients == thesis.GRADIENTS
    return result.peak_allocated_bytes if result is not None and same and workload.is_of_cifar10 else None


def _capacity(capacity: str | None, sheet: Gpu | None) -> tuple[int | None, str | None]:
    """Return how much memory there is for tensors, and what is asked for in words."""
    if sheet is not None:
        return sheet.memory.available_bytes, f"the largest batch on a {sheet.name.upper()}"
    if capacity is not None:
        size = parse_capacity(capacity)
        return size, f"the largest batch in {size / GIB_BYTES:.2f} GiB"
    return None, None


def _notes(sheet: Gpu | None) -> tuple[str, ...]:
    if sheet is None:
        return (
            "a GPU uses a little more: its allocator rounds up, cuDNN needs workspace, the context is outside torch",
        )
    memory = sheet.memory
    available, total, context, workspace = (
        f"{size / MIB_BYTES:,.0f} MiB"
        for size in (memory.available_bytes, memory.total_bytes, memory.context_bytes, WORKSPACE_BYTES)
    )
    return (
        (
            f"computed for {available}: the {total} that torch sees, minus {context} for the CUDA context and "
            f"an allowance of {workspace} for workspaces of cuBLAS and cuDNN"
        ),
        f"memory that torch sees: {memory.source}",
        "a GPU uses a little more than predicted: its allocator rounds up",
    )

"""`perfsuite memory`: which cells to predict, and each prediction compared with the thesis's figure."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite import thesis
from perfsuite.errors import InvalidChoiceError
from perfsuite.formatting import GIB_BYTES, MIB_BYTES
from perfsuite.gpu_sheet import WORKSPACE_BYTES
from perfsuite.gpus import choose_gpus
from perfsuite.measure.dry_run import predict_memory
from perfsuite.measure.largest_batch import largest_batch_size
from perfsuite.measure.peak_by_batch import peak_by_batch
from perfsuite.offline.cells import CellChoice, step_cells
from perfsuite.parsing import parse_capacity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfsuite.gpu_sheet import Gpu
    from perfsuite.records.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """What is to be predicted.

    Attributes:
        workloads: The cells.
        capacities: What there is for torch, where the largest batch is asked for: by GPU, or without one.
        title: Says so in a line.
        notes: What a reader should know.
    """

    workloads: tuple[Workload, ...]
    capacities: dict[str | None, int]
    title: str
    notes: tuple[str, ...]


def plan_cells(choice: CellChoice, *, gradients: str | None, capacity: str | None, gpu: str | None) -> MemoryPlan:
    """Turn the command's options into cells; None is an option not given.

    Raises:
        InvalidChoiceError: A value that is not allowed; the message names the option.
    """
    if choice.batch_size is not None and (capacity is not None or gpu is not None):
        option = "--capacity" if gpu is None else "--gpu"
        raise InvalidChoiceError(f"--batch-size: {option} asks for the largest batch size; leave one of them out")
    state = gradients or (thesis.GRADIENTS if choice == CellChoice() else "freed")
    workloads = step_cells(choice, gradients=state)
    sheets = () if gpu is None else choose_gpus(gpu)
    capacities, words = _capacities(capacity, sheets)
    batch_sizes = {workload.batch_size for workload in workloads}
    if not capacities and len(batch_sizes) == 1:
        words = f"batch {batch_sizes.pop()}"
    title = f"Predicted peak memory of a training step in MiB, gradients {state}"
    return MemoryPlan(
        workloads=workloads,
        capacities=capacities,
        title=f"{title}, {words}" if words else title,
        notes=_notes(sheets),
    )


def predict_cells(plan: MemoryPlan) -> Iterator[dict[str, Any]]:
    """Yield a row per cell and GPU: the workload, the parts of its peak in bytes, and the thesis's figure if any."""
    for cell, gpu in itertools.product(plan.workloads, plan.capacities or (None,)):
        workload: Workload = cell
        largest: dict[str, Any] = {}
        if plan.capacities:
            found = largest_batch_size(peak_by_batch(cell), plan.capacities[gpu])
            workload = dataclasses.replace(cell, batch_size=found or 1)
            largest = {"largest_batch_size": found or 0}
        if gpu is not None:
            largest["gpu"] = gpu
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


def _thesis_peak(workload: Workload) -> int | None:
    """Return the thesis's peak where the workload is its own: batch 128 of CIFAR-10 with gradients kept."""
    result = thesis.thesis_result(workload.model, workload.precision)
    is_its_step = workload.batch_size == thesis.BATCH_SIZE and workload.gradients == thesis.GRADIENTS
    if result is None or not is_its_step or not workload.is_of_cifar10:
        return None
    return result.peak_allocated_bytes


def _capacities(capacity: str | None, sheets: Sequence[Gpu]) -> tuple[dict[str | None, int], str | None]:
    """Return how much memory there is for tensors, and what is asked for in words."""
    if sheets:
        where = f"a {sheets[0].name.upper()}" if len(sheets) == 1 else "each GPU"
        return {sheet.name: sheet.memory.available_bytes for sheet in sheets}, f"the largest batch on {where}"
    if capacity is not None:
        size = parse_capacity(capacity)
        return {None: size}, f"the largest batch in {size / GIB_BYTES:.2f} GiB"
    return {}, None


ALLOCATOR = "a GPU uses a little more than predicted: its allocator rounds up"


def _notes(sheets: Sequence[Gpu]) -> tuple[str, ...]:
    if not sheets:
        return (
            "a GPU uses a little more: its allocator rounds up, cuDNN needs workspace, the context is outside torch",
        )
    workspace = f"an allowance of {WORKSPACE_BYTES / MIB_BYTES:,.0f} MiB for workspaces of cuBLAS and cuDNN"
    if len(sheets) > 1:
        computed = (
            f"computed for what torch sees of each, minus its CUDA context and {workspace}: --gpu NAME names both"
        )
        return (computed, ALLOCATOR)
    memory = sheets[0].memory
    available, total, context = (
        f"{size / MIB_BYTES:,.0f} MiB" for size in (memory.available_bytes, memory.total_bytes, memory.context_bytes)
    )
    return (
        f"computed for {available}: the {total} that torch sees, minus {context} for the CUDA context and {workspace}",
        f"memory that torch sees: {memory.source}",
        ALLOCATOR,
    )

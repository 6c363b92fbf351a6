"""The user task behind `perfsuite limits`: a step and a training by the data sheet of a GPU that one does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite import thesis
from perfsuite.errors import InvalidChoiceError
from perfsuite.gpus import choose_gpu
from perfsuite.measure.flops import count_work
from perfsuite.offline.cells import step_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfsuite.gpus import Gpu
    from perfsuite.offline.cells import CellChoice
    from perfsuite.records.workload import Workload


def plan_limits(choice: CellChoice, *, gpu: str) -> tuple[Gpu, tuple[Workload, ...]]:
    """Turn the command's options into a data sheet and cells.

    Raises:
        InvalidChoiceError: A value that is not allowed; the message names the option.
    """
    sheet = choose_gpu(gpu)
    workloads = step_cells(choice)
    lacking = [workload.precision for workload in workloads if sheet.peak_for(workload.precision) is None]
    if lacking:
        has = ", ".join(f"amp-{name}" if name in {"fp16", "bf16"} else name for name in sheet.peak_flops)
        raise InvalidChoiceError(f"--precision: the data sheet of a {sheet.name} has no {lacking[0]}; it has {has}")
    return sheet, workloads


def limit_cells(sheet: Gpu, workloads: Sequence[Workload]) -> Iterator[dict[str, Any]]:
    """Yield a row per cell: its work, the time of a step and of a training by the data sheet, and the thesis's time.

    A step with direct convolution takes its operations / the peak, or its bytes / the bandwidth if that takes longer; a
    training its epochs of 45,000 images in such steps, evaluation and loading left out. The bytes are a bound for every
    algorithm, the operations are not: Winograd's needs up to 2.25 times fewer in a convolution of 3x3.
    """
    for workload in workloads:
        work = count_work(workload)
        peak = sheet.peak_for(workload.precision)
        arithmetic_s = work.flops / (peak or 1.0)
        memory_s = work.min_bytes / sheet.bytes_per_second
        limit_s = max(arithmetic_s, memory_s)
        images_per_second = workload.batch_size / limit_s
        epochs = thesis.EPOCHS.get(workload.model) if workload.is_of_cifar10 else None
        training_s = None if epochs is None else epochs * thesis.TRAIN_IMAGES / images_per_second
        same = sheet.name == "t4" and workload.batch_size == thesis.BATCH_SIZE and workload.is_of_cifar10
        theirs = thesis.thesis_result(workload.model, workload.precision) if same else None
        yield {
            "model": workload.model,
            "precision": workload.precision,
            "batch_size": workload.batch_size,
            "image_size": workload.image_size,
            "num_classes": workload.num_classes,
            "step_flops": work.flops,
            "min_bytes": work.min_bytes,
            "arithmetic_s": arithmetic_s,
            "memory_s": memory_s,
            "limit_s": limit_s,
            "bound_by": "arithmetic" if arithmetic_s >= memory_s else "memory",
            "limit_images_per_second": images_per_second,
            "limit_training_s": training_s,
            "thesis_training_time_s": None if theirs is None else theirs.training_time_s,
            "data_sheet_ratio": None if theirs is None or training_s is None else training_s / theirs.training_time_s,
        }

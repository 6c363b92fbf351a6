"""The user task behind `perfsuite limits`: a step and a training on GPUs that one does not have."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite import thesis
from perfsuite.errors import InvalidChoiceError
from perfsuite.gpus import choose_gpus
from perfsuite.measure.flops import count_work
from perfsuite.measure.largest_batch import largest_batch_size
from perfsuite.measure.operators import count_operators
from perfsuite.measure.peak_by_batch import peak_by_batch
from perfsuite.offline.cells import step_cells
from perfsuite.offline.prediction import predict_step
from perfsuite.parsing import parse_whole_number
from perfsuite.precisions import POLICIES
from perfsuite.roofline import memory_bound_s, roofline_s
from perfsuite.workloads.models import MEMORY_FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from perfsuite.analysis.frames.prices import Price
    from perfsuite.gpu_sheet import Gpu
    from perfsuite.measure.flops import Work
    from perfsuite.offline.cells import CellChoice
    from perfsuite.records.operators import Operator
    from perfsuite.records.workload import Workload

DEFAULT_EPOCHS = 50
"""Of a training of a network that the thesis did not train."""

MAX_COUNT = 10**9
"""Of the images and epochs of a training; more is a typing error."""

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsPlan:
    """What is to be computed.

    Attributes:
        gpus: For which data sheets.
        workloads: Of which training steps.
        prices: Of an hour, by the name of the GPU.
        num_images: Of an epoch of a training.
        num_epochs: Of a training; None for the thesis's of each network.
    """

    gpus: tuple[Gpu, ...]
    workloads: tuple[Workload, ...]
    prices: dict[str, float]
    num_images: int
    num_epochs: int | None

    def epochs_of(self, workload: Workload) -> int:
        """Return how many epochs a training of a network takes."""
        if self.num_epochs is not None:
            return self.num_epochs
        return thesis.EPOCHS.get(workload.model, DEFAULT_EPOCHS)


def plan_limits(
    choice: CellChoice,
    *,
    gpu: str,
    memory_format: str = "contiguous",
    prices: Sequence[Price] = (),
    num_images: str | None = None,
    num_epochs: str | None = None,
) -> LimitsPlan:
    """Turn the command's options into data sheets and cells; None is an option not given.

    Raises:
        InvalidChoiceError: A value that is not allowed; the message names the option.
    """
    sheets = choose_gpus(gpu)
    if memory_format not in MEMORY_FORMATS:
        raise InvalidChoiceError(
            f"--memory-format: unknown memory format {memory_format[:40]!r}; choose from {', '.join(MEMORY_FORMATS)}"
        )
    workloads = tuple(dataclasses.replace(one, memory_format=memory_format) for one in step_cells(choice))
    _require_a_peak(sheets, workloads)
    images = thesis.TRAIN_IMAGES if num_images is None else _count_of("--images", num_images, "a number of images")
    epochs = None if num_epochs is None else _count_of("--epochs", num_epochs, "a number of epochs")
    return LimitsPlan(
        gpus=sheets,
        workloads=workloads,
        prices=_prices_by_gpu(prices, sheets),
        num_images=images,
        num_epochs=epochs,
    )


def _count_of(option: str, value: str, what: str) -> int:
    return parse_whole_number(option, value, what, least=1, most=MAX_COUNT)


def _require_a_peak(sheets: Sequence[Gpu], workloads: Sequence[Workload]) -> None:
    """Refuse precisions that none of the GPUs has; of one GPU alone, every precision is needed."""
    for precision in dict.fromkeys(workload.precision for workload in workloads):
        lacking = [sheet for sheet in sheets if sheet.peak_for(precision) is None]
        if len(lacking) == len(sheets):
            sheet = lacking[0]
            has = ", ".join(name for name in POLICIES if sheet.peak_for(name) is not None)
            names = ", ".join(one.name for one in sheets)
            raise InvalidChoiceError(f"--precision: the data sheet of a {names} has no {precision}; it has {has}")


def _prices_by_gpu(prices: Sequence[Price], sheets: Sequence[Gpu]) -> dict[str, float]:
    found: dict[str, float] = {}
    asked_for = [sheet.name for sheet in sheets]
    for price in prices:
        named = [sheet for sheet in choose_gpus(price.name) if sheet.name in asked_for]
        if not named:
            names = ", ".join(asked_for)
            raise InvalidChoiceError(f"--price: {price.name[:40]} is none of the GPUs asked for: {names}")
        for sheet in named:
            if sheet.name in found:
                raise InvalidChoiceError(
                    f"--price: {sheet.name} has two prices, {found[sheet.name]:g} and {price.per_hour:g}"
                )
            found[sheet.name] = price.per_hour
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """What is counted of a workload once, for all GPUs.

    Attributes:
        workload: It.
        operators: Of its step.
        work: Of its step.
        peak_bytes: Gives its predicted peak at a batch size.
    """

    workload: Workload
    operators: tuple[Operator, ...]
    work: Work
    peak_bytes: Callable[[int], int]


def limit_cells(plan: LimitsPlan) -> Iterator[dict[str, Any]]:
    """Yield a row per GPU and cell, those of a cell one after the other; a GPU that lacks the precision has none.

    The bound: operations of direct convolution / the peak, or the bytes that no cache saves / the bandwidth if that
    takes longer. The bytes are a bound for every algorithm, the operations are not: Winograd's needs up to 2.25 times
    fewer in a convolution of 3x3. The roofline: the same for each operator, added up. The prediction is calibrated by
    public measurements. A training is its epochs of such steps, evaluation and loading left out; energy is at most the
    board's power for so long.

    Raises:
        NotSupportedError: A dry run cannot follow the network.
    """
    for workload in plan.workloads:
        counted = _count(workload)
        for gpu in plan.gpus:
            if gpu.peak_for(workload.precision) is not None:
                yield _row(counted, gpu, plan)


def _count(workload: Workload) -> _Counted:
    return _Counted(
        workload=workload,
        operators=count_operators(workload),
        work=count_work(workload),
        peak_bytes=peak_by_batch(workload),
    )


def _row(counted: _Counted, gpu: Gpu, plan: LimitsPlan) -> dict[str, Any]:
    workload, work = counted.workload, counted.work
    batch_size, peak = workload.batch_size, gpu.peak_flops[POLICIES[workload.precision].arithmetic]
    arithmetic_s, memory_s = work.flops / peak, work.min_bytes / gpu.bytes_per_second
    bound_s = max(arithmetic_s, memory_s)
    rates = {"flops_per_second": peak, "bytes_per_second": gpu.bytes_per_second}
    eager_s = roofline_s(counted.operators, **rates)
    predicted = predict_step(counted.operators, workload, gpu)
    num_steps = plan.epochs_of(workload) * plan.num_images / batch_size
    training_s = num_steps * predicted.seconds
    price = plan.prices.get(gpu.name)
    return {
        "gpu": gpu.name,
        "model": workload.model,
        "precision": workload.precision,
        "batch_size": batch_size,
        "image_size": workload.image_size,
        "num_classes": workload.num_classes,
        "memory_format": workload.memory_format,
        "step_flops": work.flops,
        "min_bytes": work.min_bytes,
        "arithmetic_s": arithmetic_s,
        "memory_s": memory_s,
        "bound_s": bound_s,
        "bound_by": "arithmetic" if arithmetic_s >= memory_s else "memory",
        "roofline_s": eager_s,
        "memory_bound_ratio": memory_bound_s(counted.operators, **rates) / eager_s,
        "bound_images_per_second": batch_size / bound_s,
        "roofline_images_per_second": batch_size / eager_s,
        "predicted_images_per_second": batch_size / predicted.seconds,
        "predicted_low": batch_size / predicted.high_s,
        "predicted_high": batch_size / predicted.low_s,
        "largest_batch_size": largest_batch_size(counted.peak_bytes, gpu.memory.available_bytes) or 0,
        "num_epochs": plan.epochs_of(workload),
        "num_images": plan.num_images,
        "bound_training_s": num_steps * bound_s,
        "training_s": training_s,
        "training_low_s": num_steps * predicted.low_s,
        "training_high_s": num_steps * predicted.high_s,
        "training_joules": training_s * gpu.power_watts,
        "price_per_hour": price,
        "training_price": None if price is None else price * training_s / SECONDS_PER_HOUR,
        **_thesis(workload, gpu, plan, training_s),
    }


def _thesis(workload: Workload, gpu: Gpu, plan: LimitsPlan, training_s: float) -> dict[str, Any]:
    """Return the thesis's time where the training is its own, and what the prediction is of it."""
    is_its_own = gpu.name == "t4" and workload.batch_size == thesis.BATCH_SIZE and workload.is_of_cifar10
    is_its_length = plan.num_images == thesis.TRAIN_IMAGES and plan.epochs_of(workload) == thesis.EPOCHS.get(
        workload.model
    )
    theirs = thesis.thesis_result(workload.model, workload.precision) if is_its_own and is_its_length else None
    return {
        "thesis_training_time_s": None if theirs is None else theirs.training_time_s,
        "thesis_ratio": None if theirs is None else training_s / theirs.training_time_s,
    }

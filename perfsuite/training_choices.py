"""What the thesis leaves open about a full training: what perfsuite does, and why; kept in every record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.precisions import POLICIES
from perfsuite.records.workload import has_cifar_stem

if TYPE_CHECKING:
    from perfsuite.records.workload import Recipe, Workload

INITIALISATION = (
    "stem: PyTorch's default of Conv2d (uniform, He with a = sqrt(5), fan in); other convolutions: torchvision's "
    "(normal, He, fan out); normalisation 1 and 0; linear layer: PyTorch's default"
)
TRAINING_TIME = "steps and validation of all epochs; without test, checkpoints, start-up and epochs that were cut off"
OWN_INITIALISATION = "the network's own: as its source builds it, its initial weights drawn with the seed"
DATA_ORDER = "a new permutation every epoch, of seed and epoch alone; the smaller last batch is trained on"
NORMALISATION = "mean and deviation of the training images, per channel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One choice that the thesis leaves open.

    Attributes:
        name: Its name among the settings of a record.
        value: What was chosen.
        reason: Why.
    """

    name: str
    value: str | int | float | bool
    reason: str


def training_choices(
    workload: Workload, recipe: Recipe, *, deterministic: bool, evaluation_batch: int, world_size: int = 1
) -> tuple[Choice, ...]:
    """Return the choices of a training.

    Args:
        workload: Its network, precision, memory format, gradients kept or freed, cuDNN's search.
        recipe: Its recipe.
        deterministic: Whether the same algorithms are chosen every time.
        evaluation_batch: Images that are evaluated at once.
        world_size: Processes that share each batch.
    """
    is_in_cifar_form = not workload.model_digest and has_cifar_stem(workload.image_size)
    rows: tuple[tuple[str, str | int | float | bool, str], ...] = (
        (
            "initialisation",
            INITIALISATION if is_in_cifar_form else OWN_INITIALISATION,
            "replacing the stem of torchvision's ResNet by a new Conv2d, the usual way to CIFAR's form, gives this"
            if is_in_cifar_form
            else "a network is trained as those who wrote it build it",
        ),
        (
            "augmentation",
            "none",
            "the thesis's recipe has none; its accuracies of 78 to 84% are those of training without",
        ),
        ("normalisation", NORMALISATION, "validation and test images must not enter it"),
        (
            "data_order",
            DATA_ORDER,
            "a resumed training has the order of an uninterrupted one, and both precisions see the same batches",
        ),
        (
            "images",
            "on the device as bytes; shuffled, cast and normalised there",
            "time is that of the network, not of a data loader; `-m input_pipeline` measures the difference",
        ),
        (
            "memory_format",
            workload.memory_format,
            "contiguous is PyTorch's default and the thesis's; channels_last on request, for tensor cores and oneDNN",
        ),
        (
            "gradients",
            workload.gradients,
            "freed is PyTorch's default since 2.0; the thesis's 1.6 kept them (--perf-gradients kept)",
        ),
        (
            "cudnn_benchmark",
            workload.cudnn_benchmark,
            "off as in PyTorch, in steps and trainings: each run has the same kernels, no search in its time and peak",
        ),
        (
            "deterministic",
            deterministic,
            "off unless asked for (--perf-deterministic): deterministic algorithms are slower",
        ),
        ("optimizer_implementation", *_optimizer(workload.precision, workload.device_type)),
        (
            "weight_decay",
            recipe.weight_decay,
            "the thesis's recipe has none; where it is not 0, it applies to all parameters",
        ),
        (
            "training_time",
            TRAINING_TIME,
            "checkpoints depend on the disk, start-up on what is cached; the test is timed alone",
        ),
        (
            "peak_memory",
            "of the steps of training alone, with cuDNN's search where cudnn_benchmark is on",
            "evaluation's is a metric of its own",
        ),
        (
            "evaluation_batch",
            evaluation_batch,
            "the largest whose predicted peak is not above a training step's; at most 5,000 on a GPU, 500 on a CPU",
        ),
        (
            "tested_weights",
            "of the last epoch",
            "the thesis names no choice by validation accuracy; the target is checked on what training ends with",
        ),
    )
    if world_size > 1:
        rows += _of_ranks(recipe, world_size, deterministic=deterministic)
    return tuple(Choice(name=name, value=value, reason=reason) for name, value, reason in rows)


def _of_ranks(
    recipe: Recipe, world_size: int, *, deterministic: bool
) -> tuple[tuple[str, str | int | float | bool, str], ...]:
    """Return the choices of a training on several devices alone."""
    each = recipe.batch_size // world_size
    return (
        (
            "shared_batch",
            f"{recipe.batch_size} images, {each} on each of {world_size} ranks; gradients averaged by DDP",
            "the recipe's batch is that of all ranks, so that a step is the one that a single device does",
        ),
        (
            "batch_norm_statistics",
            f"of each rank's own {each} images; the running ones of rank 0 are kept",
            "DDP's default; those of the whole batch would take an exchange in every layer",
        ),
        (
            "evaluation_ranks",
            "rank 0 alone",
            "the same arithmetic as on one device; the other ranks wait, in the training time as well",
        ),
        (
            "gradient_buckets",
            "as built" if deterministic else "built again after the first step",
            "DDP's default is faster, and sums three and more ranks in another order in each process",
        ),
    )


def _optimizer(precision: str, device_type: str) -> tuple[str, str]:
    policy = POLICIES[precision]
    if policy.weights == "float32":
        return "fused", "one kernel, and no wait for the overflow flag; the same arithmetic as the thesis's SGD"
    if policy.stochastic_rounding:
        return "FP32 updates, rounded stochastically", "rounded to nearest, BF16 weights lose small updates"
    if device_type == "cpu":
        return "for-loop", "fused SGD of torch 2.13 skips BF16 weights on a CPU"
    return "fused", "one kernel; each update is computed in FP32 and rounded to nearest"


def choices_in_words(choices: tuple[Choice, ...]) -> str:
    """Return a Markdown table of choices, for the README."""
    rows = [f"| `{choice.name}` | {choice.value} | {choice.reason} |" for choice in choices]
    return "\n".join(["| choice | value | reason |", "|---|---|---|", *rows]) + "\n"

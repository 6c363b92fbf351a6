"""Which training steps a command is about that measures none."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from perfsuite import thesis
from perfsuite.measure.largest_batch import MAX_BATCH_SIZE
from perfsuite.parsing import parse_batch_sizes, parse_image_sizes, parse_num_classes, split_names
from perfsuite.records.workload import Workload
from perfsuite.workloads.model_sources import load_model
from perfsuite.workloads.precision import resolve_precision


@dataclass(frozen=True, slots=True, kw_only=True)
class CellChoice:
    """What the user wrote; None is an option not given.

    Attributes:
        models: Of `--model`.
        precisions: Of `--precision`.
        batch_size: Of `--batch-size`.
        image_size: Of `--image-size`.
        num_classes: Of `--classes`.
    """

    models: str | None = None
    precisions: str | None = None
    batch_size: str | None = None
    image_size: str | None = None
    num_classes: str | None = None


def step_cells(choice: CellChoice, *, gradients: str = "freed") -> tuple[Workload, ...]:
    """Return whole training steps on a GPU; by default those of the thesis's networks, precisions, batch and images.

    Raises:
        InvalidChoiceError: A value that is not allowed; the message names the option.
    """
    specs = [load_model(name) for name in split_names("--model", choice.models or "resnet18,resnet34,resnet50")]
    precisions = split_names("--precision", choice.precisions or "fp32,amp-fp16")
    policies = dict.fromkeys(resolve_precision(name, "cuda") for name in precisions)
    batch_sizes = parse_batch_sizes("--batch-size", choice.batch_size or str(thesis.BATCH_SIZE), MAX_BATCH_SIZE)
    image_sizes = None if choice.image_size is None else parse_image_sizes("--image-size", choice.image_size)
    num_classes = None if choice.num_classes is None else parse_num_classes("--classes", choice.num_classes)
    return tuple(
        Workload(
            model=spec.name,
            precision=policy,
            phase="train_step",
            batch_size=batch_size,
            image_size=image_size,
            num_classes=num_classes or spec.num_classes,
            gradients=gradients,
            device_type="cuda",
        )
        for spec, policy in itertools.product(specs, policies)
        for image_size, batch_size in itertools.product(image_sizes or (spec.image_size,), batch_sizes)
    )

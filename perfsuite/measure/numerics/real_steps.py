"""A network in the middle of its training in FP32, on real images where there are any."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from perfsuite.errors import MeasurementError
from perfsuite.workloads.images import split_images
from perfsuite.workloads.training import Training

if TYPE_CHECKING:
    import torch

    from perfsuite.measure.numerics.study import StudyContext
    from perfsuite.records.workload import Workload

MAX_IMAGES = 8192
"""That are trained on: many times what is looked at, and little memory."""

NUM_HELD_OUT = 512
"""Images that an ablation is evaluated on."""


def training_of(
    context: StudyContext, workload: Workload, *, seed: int = 0, learning_rate: float | None = None
) -> Training:
    """Return a training of a workload on the images of a study; see `Training`.

    Args:
        context: What a study is given: images and recipe.
        workload: Network, precision and batch size.
        seed: Of weights, split and order.
        learning_rate: Another than the recipe's.

    Raises:
        MeasurementError: There are fewer images than a batch and those to be held out.
    """
    _, images = context.network()
    available = len(images.train_labels)
    num_train = min(MAX_IMAGES, available - NUM_HELD_OUT)
    if num_train < workload.batch_size:
        raise MeasurementError(
            f"{images.name} has {available} images to train on; {workload.batch_size + NUM_HELD_OUT} are needed, a "
            f"batch and {NUM_HELD_OUT} to evaluate on"
        )
    split = split_images(images, seed=seed, num_train=num_train, num_validation=NUM_HELD_OUT, num_test=1)
    recipe = dataclasses.replace(context.recipe, batch_size=workload.batch_size)
    if learning_rate is not None:
        recipe = dataclasses.replace(recipe, learning_rate=learning_rate)
    return Training(workload, recipe, images, split, device=context.device, seed=seed)


def gradients_of(training: Training, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Compute the gradients of one batch, without a step; return its loss.

    Args:
        training: In FP32.
        images: [n, 3, H, W] float32.
        labels: [n] int64.
    """
    from perfsuite.workloads.model_spec import classification_loss

    training.model.train()
    training.optimizer.zero_grad(set_to_none=True)
    loss = classification_loss(training.model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())

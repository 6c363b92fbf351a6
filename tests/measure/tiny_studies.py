"""Contexts of studies of mixed precision that take moments: tiny images, a narrow network, few steps."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from perfsuite.measure.numerics.study import StudyContext
from perfsuite.recipes import THESIS
from perfsuite.records.workload import Workload
from perfsuite.workloads.images import ImageSet, make_image_set
from perfsuite.workloads.models import NARROW

if TYPE_CHECKING:
    from perfsuite.records.numerics import Claim

SIZE = 8
"""H and W in pixels."""


def tiny_images(num: int = 700) -> ImageSet:
    """Each class has a colour, with noise over it."""
    generator = np.random.default_rng(0)
    colors = generator.integers(40, 215, (10, 3))
    parts = {}
    for split, number in (("train", num), ("test", 10)):
        labels = np.arange(number) % 10
        noise = generator.integers(-30, 30, (number, 3, SIZE, SIZE))
        images = np.clip(colors[labels][:, :, None, None] + noise, 0, 255).astype(np.uint8)
        parts[split] = (images, labels.astype(np.uint8))
    return make_image_set(parts, source="generated")


def tiny_context(**changes: Any) -> StudyContext:
    workload = Workload(
        model=NARROW, precision="fp32", phase="train_step", batch_size=16, image_size=SIZE, device_type="cpu"
    )
    values: dict[str, Any] = {
        "device": torch.device("cpu"),
        "workload": workload,
        "images": tiny_images(),
        "recipe": dataclasses.replace(THESIS, learning_rate=0.01),
        "seeds": (0, 1),
        "report_stage": lambda _stage: None,
    }
    return StudyContext(**{**values, **changes})


def failed(claims: tuple[Claim, ...]) -> list[str]:
    return [f"{claim.name}: {claim.measured} for {claim.expected}" for claim in claims if not claim.holds]

"""The recipe `smoke` on real images: all three networks learn. Takes minutes, so it runs only when asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from builders import ENVIRONMENT, make_workload

from perfsuite.measure.active_clock import ActiveClock
from perfsuite.measure.train import train
from perfsuite.measure.training_job import Job
from perfsuite.recipes import SMOKE
from perfsuite.records.environment import Process
from perfsuite.workloads.image_import import import_images

if TYPE_CHECKING:
    from perfsuite.workloads.images import ImageSet

IMAGES = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg.tar.xz"
VARIABLE = "PERFSUITE_SLOW_TESTS"

pytestmark = [
    pytest.mark.skipif(VARIABLE not in os.environ, reason=f"takes minutes; {VARIABLE}=1 runs it"),
    pytest.mark.skipif(not IMAGES.exists(), reason=f"no images at {IMAGES}"),
]


@pytest.fixture(scope="module")
def real_images() -> ImageSet:
    return import_images(IMAGES)


@pytest.mark.parametrize("model", ["resnet50", "resnet18", "resnet34"])
def test_every_network_ends_far_above_chance(model: str, real_images: ImageSet, tmp_path: Path) -> None:
    workload = make_workload(
        model=model,
        precision="amp-bf16",
        phase="full_training",
        batch_size=SMOKE.batch_size,
        device_type="cpu",
        memory_format="channels_last",  # the faster one on a CPU
    )
    job = Job(workload=workload, recipe=SMOKE, seed=0, images=real_images, folder=tmp_path, environment=ENVIRONMENT)
    process = Process(run_id="run-1", pid=1, started="2026-01-05T10:00:00+00:00")
    record = train(job, device=torch.device("cpu"), process=process, clock=ActiveClock())
    assert record.history[0].train_loss < 3.5  # it was 6.1 of ResNet-50: a network that knows nothing has 2.3
    assert record.test_accuracy >= 0.25, [epoch.train_loss for epoch in record.history]

"""A small training in a process of its own, which tells a connection how far it is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import ENVIRONMENT, make_workload
from generated_images import generated_parts

from perfsuite.measure import train as train_module
from perfsuite.measure.active_clock import ActiveClock
from perfsuite.measure.train import train
from perfsuite.measure.training_job import Job
from perfsuite.recipes import SMOKE
from perfsuite.records.environment import Process
from perfsuite.workloads.images import make_image_set
from perfsuite.workloads.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

import_torchvision()  # before a process is forked, so that it need not


def run_training(connection: Connection[Any, Any], folder: Path, run_id: str, num_epochs: int) -> None:
    """Train, or go on with the training in the folder, and send the record at the end."""
    clock = ActiveClock()
    # A dry run takes longer than this training.
    pytest.MonkeyPatch().setattr(train_module, "evaluation_batch_size", lambda _step: 4)
    parts = {name: (images[:, :, ::2, ::2], labels) for name, (images, labels) in generated_parts().items()}
    job = Job(
        workload=make_workload(precision="fp32", phase="full_training", batch_size=4, device_type="cpu", image_size=16),
        recipe=dataclasses.replace(SMOKE, epochs=num_epochs, batch_size=4, num_train=12, num_validation=4, num_test=20),
        seed=0,
        images=make_image_set(parts, source="generated"),
        folder=folder,
        environment=ENVIRONMENT,
        deterministic=True,
        checkpoint_every_s=0.5,
    )
    connection.send("started")
    record = train(
        job,
        device=torch.device("cpu"),
        process=Process(run_id=run_id, pid=1, started="2026-01-05T10:00:00+00:00"),
        clock=clock,
        epoch_ended=lambda epoch, _images_per_s, _left: connection.send(f"epoch {epoch.epoch} is on disk"),
        warn=print,
    )
    connection.send(record.to_json())

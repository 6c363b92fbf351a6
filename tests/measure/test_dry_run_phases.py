"""The real evaluation of a full training, run on fake tensors of the device `cuda`: its peak is what was predicted.

Without a CUDA build, fake tensors of that device are good for what builds no graph: with gradients, and where autocast
keeps a cast of a weight that has one, torch aborts the process ("not linked with support for cuda devices"). So the
phases of a training step are dry-run on fake tensors of the CPU, in test_dry_run.py.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
import torch
from builders import make_workload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from perfsuite.measure.dry_run import EvaluationDryRun, predict_memory
from perfsuite.measure.evaluation_batch import evaluation_batch_size
from perfsuite.recipes import SMOKE
from perfsuite.workloads import training as training_module
from perfsuite.workloads.device_images import DeviceImages
from perfsuite.workloads.images import random_images, split_images
from perfsuite.workloads.models import build_model_of
from perfsuite.workloads.training import Training

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfsuite.records.workload import Workload

CUDA = torch.device("cuda", 0)
BATCH_SIZE = 32


@pytest.fixture(autouse=True)
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build networks and batches on the device: fake ones can neither be moved nor indexed."""

    def build_there(workload: Workload, *, device: torch.device, seed: int) -> torch.nn.Module:
        model = build_model_of(workload, device=torch.device("cpu"), seed=seed)
        for module in model.modules():
            for key, parameter in module._parameters.items():
                if parameter is not None:
                    module._parameters[key] = torch.nn.Parameter(torch.empty_like(parameter, device=device))
            for key, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[key] = torch.empty(buffer.shape, dtype=buffer.dtype, device=device)
        return model

    def batches(_images: object, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield (
            torch.empty(batch_size, 3, 32, 32, device=CUDA),
            torch.empty(batch_size, dtype=torch.int64, device=CUDA),
        )

    monkeypatch.setattr(DeviceImages, "batches", batches)
    monkeypatch.setattr(training_module, "build_model_of", build_there)


@pytest.mark.no_cover
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("gradients", ["freed", "kept"])
def test_an_evaluation_on_the_device_peaks_where_the_dry_run_says_and_not_above_the_training_step(
    gradients: str,
) -> None:
    workload = make_workload(precision="fp32", batch_size=BATCH_SIZE, gradients=gradients)
    batch = evaluation_batch_size(workload)
    images = random_images(batch + 4 * BATCH_SIZE)
    split = split_images(images, seed=0, num_validation=batch, num_test=1)
    recipe = dataclasses.replace(SMOKE, batch_size=BATCH_SIZE, num_train=None)
    with FakeTensorMode(allow_non_fake_inputs=True):
        training = Training(workload, recipe, images, split, device=CUDA, seed=0, evaluation_batch=batch)
        if gradients == "kept":
            for parameter in training.model.parameters():
                parameter.grad = torch.empty_like(parameter)
        tracker = MemTracker()
        tracker.track_external(training.model, training.optimizer)
        # Fake tensors have no values: the evaluation ends where it reads its results.
        with tracker, pytest.raises(Exception, match=r"numpy") as ended:
            training.evaluate("validation")
    peak = int(tracker.get_tracker_snapshot("peak")[CUDA]["Total"])
    assert "numpy" in str(ended.traceback[-1].statement)
    assert peak == pytest.approx(EvaluationDryRun(workload).peak_bytes(batch), rel=0.002)
    assert peak <= predict_memory(workload).peak_bytes

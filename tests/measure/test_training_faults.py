"""Errors of a GPU at every stage of a full training, on a stand-in for `torch.cuda`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from cuda_stand_in import CUDA, CudaStandIn, Fault, illegal_access, out_of_memory_errors
from test_harness import PROCESS, Counter, FakeBenchmark
from test_train import RECIPE, Ticking, make_job

from perfsuite.errors import DeviceLostError, OutOfMemoryError
from perfsuite.measure import train as train_module
from perfsuite.measure.active_clock import ActiveClock
from perfsuite.measure.cell_setup import guard
from perfsuite.measure.clock import DeviceClock, device_synchronizer
from perfsuite.measure.train import train

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.records.training import TrainingRecord

STAGES = {
    "building": ("building", "place"),
    "first epoch": ("epoch 1", "work"),
    "waiting for it": ("epoch 1", "synchronize"),
    "validation": ("epoch 1, validating", "work"),
    "results of the validation": ("epoch 1, validating", "read"),
    "checkpoint": ("epoch 1, validating", "get_rng_state"),
    "second epoch": ("epoch 2", "work"),
    "test": ("testing", "read"),
}
"""Stage, and the call in which the error comes."""


@pytest.fixture(autouse=True)
def proved_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_module, "verify", lambda *_: ())


def run(gpu: CudaStandIn, folder: Path) -> TrainingRecord:
    job = make_job(folder, recipe=dataclasses.replace(RECIPE, epochs=2))
    job = dataclasses.replace(job, workload=dataclasses.replace(job.workload, device_type="cuda"))
    clock = DeviceClock(device_synchronizer(CUDA), Counter())
    benchmark = FakeBenchmark(clock)
    with guard(benchmark, job.workload.label, device=CUDA, clock=clock):
        return train(job, device=CUDA, process=PROCESS, clock=ActiveClock(), report=gpu.begin_stage, now=Ticking())


@pytest.mark.parametrize("stage", STAGES)
def test_a_training_whose_device_is_lost_is_told_as_that_and_resumed_by_the_next_process(
    gpu: CudaStandIn, tmp_path: Path, stage: str
) -> None:
    named, call = STAGES[stage]
    gpu.fault = Fault(error=illegal_access(), stage=named, call=call, is_sticky=True)
    with pytest.raises(DeviceLostError):
        run(gpu, tmp_path)
    gpu.lost = None
    record = run(gpu, tmp_path)
    assert [epoch.epoch for epoch in record.history] == [1, 2]
    assert record.num_resumes == (1 if stage in {"second epoch", "test"} else 0)


@pytest.mark.parametrize("stage", ["building", "first epoch", "checkpoint", "second epoch"])
def test_out_of_memory_at_any_stage_of_a_training_is_told_as_that(gpu: CudaStandIn, tmp_path: Path, stage: str) -> None:
    named, call = STAGES[stage]
    gpu.fault = Fault(error=out_of_memory_errors()["driver"], stage=named, call=call)
    with pytest.raises(OutOfMemoryError, match="out of memory: resnet18 fp32 full_training b4 does not fit"):
        run(gpu, tmp_path)


@pytest.mark.parametrize("form", sorted(out_of_memory_errors()))
def test_an_evaluation_that_does_not_fit_is_done_with_half_as_many_images_in_every_form_of_out_of_memory(
    gpu: CudaStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(train_module, "evaluation_batch_size", lambda _workload: 16)
    gpu.fault = Fault(error=out_of_memory_errors()[form], stage="epoch 1, validating", call="work")
    record = run(gpu, tmp_path)
    assert record.settings["evaluation_batch"] == 8
    begin = gpu.log.index("stage epoch 1, validating")
    assert "empty_cache" in gpu.log[begin : gpu.log.index("get_rng_state", begin)]


def test_an_evaluation_that_never_fits_is_out_of_memory(
    gpu: CudaStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "evaluation_batch_size", lambda _workload: RECIPE.batch_size)
    gpu.fault = Fault(error=out_of_memory_errors()["cudnn-find"], stage="epoch 1, validating")
    with pytest.raises(OutOfMemoryError, match="does not fit: FIND was unable to find an engine"):
        run(gpu, tmp_path)

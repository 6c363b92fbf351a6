from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import ENVIRONMENT, make_workload
from generated_images import generated_set

from perfsuite.errors import DataError, FolderInUseError, MeasurementError
from perfsuite.measure import time_stamps
from perfsuite.measure import train as train_module
from perfsuite.measure import training_job as job_module
from perfsuite.measure.active_clock import ActiveClock
from perfsuite.measure.telemetry import CpuInstrument
from perfsuite.measure.train import train
from perfsuite.measure.training_job import Job
from perfsuite.recipes import SMOKE
from perfsuite.records import predictions
from perfsuite.records.environment import Process
from perfsuite.records.reading import read_record
from perfsuite.records.strict_json import MAX_TEXT_CHARACTERS
from perfsuite.workloads.training import Training

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.measure.cpu_load import CpuReading
    from perfsuite.records.telemetry import Telemetry
    from perfsuite.records.training import EpochRecord, TrainingRecord
    from perfsuite.workloads.training import Evaluation

pytestmark = pytest.mark.usefixtures("tiny_networks")

CPU = torch.device("cpu")
IMAGES = generated_set()
RECIPE = dataclasses.replace(
    SMOKE, epochs=3, batch_size=4, num_train=8, num_validation=20, num_test=20, target_accuracy=0.0
)


def make_job(folder: Path, precision: str = "fp32", **changes: Any) -> Job:
    workload = make_workload(precision=precision, phase="full_training", batch_size=4, device_type="cpu")
    values: dict[str, Any] = {
        "workload": workload,
        "recipe": RECIPE,
        "seed": 0,
        "images": IMAGES,
        "folder": folder,
        "environment": ENVIRONMENT,
        "deterministic": True,
    }
    return Job(**{**values, **changes})


class Ticking:
    """A clock on which every reading is a second after the one before."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        self.time += 1.0
        return self.time


@pytest.fixture(autouse=True)
def proved_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the proof of the precision, which takes longer than these trainings."""
    monkeypatch.setattr(train_module, "verify", lambda *_: ())


def run(job: Job, *, run_id: str = "run-1", **options: Any) -> tuple[TrainingRecord, ActiveClock]:
    clock = ActiveClock()
    process = Process(run_id=run_id, pid=1, started="2026-01-05T10:00:00+00:00")
    return train(job, device=CPU, process=process, clock=clock, now=Ticking(), **options), clock


class FakeMeter:
    """A memory meter on which training takes 100 bytes and one more in every epoch, and evaluation as many as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, evaluation_bytes: int = 5000) -> None:
        self._evaluation_bytes = evaluation_bytes
        self.peak = 9_000_000  # of the proof of the precision
        monkeypatch.setattr(train_module, "memory_meter", lambda _device: self)
        for name in ("train_epoch", "evaluate"):
            self._watch(monkeypatch, name, getattr(Training, name))

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str, original: Any) -> None:
        def watched(training: Training, *arguments: Any, **options: Any) -> Any:
            result = original(training, *arguments, **options)
            taken = 100 if name == "train_epoch" else self._evaluation_bytes
            self.peak = max(self.peak, taken + training.epoch)
            return result

        monkeypatch.setattr(Training, name, watched)

    def reset(self) -> None:
        self.peak = 10

    def peak_bytes(self) -> int:
        return self.peak


@pytest.mark.parametrize("evaluation_bytes", [50, 5000])
def test_the_peaks_of_training_and_of_evaluation_leave_each_other_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluation_bytes: int
) -> None:
    FakeMeter(monkeypatch, evaluation_bytes=evaluation_bytes)
    record, _ = run(make_job(tmp_path))
    assert record.metrics["peak_allocated_bytes"] == 103
    assert record.metrics["evaluation_peak_allocated_bytes"] == evaluation_bytes + 3


def test_peaks_of_an_interrupted_training_are_those_of_all_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as first_process:
        FakeMeter(first_process)
        interrupted(make_job(tmp_path), after=3)
    meter = FakeMeter(monkeypatch)
    monkeypatch.setattr(meter, "peak_bytes", lambda: 7)
    record, _ = run(make_job(tmp_path))
    assert record.metrics["peak_allocated_bytes"] == 103
    assert record.metrics["evaluation_peak_allocated_bytes"] == 5003


class Stopped(Exception):  # noqa: N818 - stands for a process that ends
    pass


def interrupted(job: Job, *, after: int) -> None:
    """Run until so many epochs are done, then end as a killed process does: without a word."""

    def stop(epoch: EpochRecord, _rate: float, _left: float) -> None:
        if epoch.epoch == after:
            raise Stopped

    with pytest.raises(Stopped):
        run(job, epoch_ended=stop)


def test_a_training_gives_its_epochs_accuracy_and_times(tmp_path: Path) -> None:
    record, clock = run(make_job(tmp_path))
    assert [epoch.epoch for epoch in record.history] == [1, 2, 3]
    assert record.data.split_fingerprint != record.data.fingerprint
    assert (record.data.num_train, record.data.num_validation, record.data.num_test) == (8, 20, 20)
    assert sum(map(sum, record.confusion)) == 20
    # Two readings a second apart around the steps, and two around the validation, in each epoch.
    assert record.metrics["epochs_s"] == 3.0
    assert record.metrics["training_time_s"] == clock.seconds == 6.0
    assert record.metrics["time_to_target_s"] == 2.0
    assert record.metrics["training_images_per_second"] == 8.0
    assert record.absent["peak_allocated_bytes"].startswith("a CPU's allocator")
    assert record.num_resumes == 0
    assert not record.replayed
    assert read_record(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_training_declares_what_the_thesis_leaves_open_with_reasons(tmp_path: Path, deterministic: bool) -> None:
    record, _ = run(make_job(tmp_path, deterministic=deterministic))
    assert record.settings["cudnn_benchmark"] is False
    assert record.settings["gradients"] == "freed"
    assert record.settings["memory_format"] == "contiguous"
    assert record.settings["evaluation_batch"] in range(4, 501)
    assert record.reasons.keys() <= record.settings.keys()
    assert record.settings.keys() - record.reasons.keys() == {"optimizer", "loss_scaling"}


@pytest.mark.parametrize(("precision", "after"), [("fp32", 1), ("fp32", 2), ("amp-bf16", 1), ("bf16-sr", 1)])
def test_an_interrupted_training_goes_on_bit_for_bit_and_counts_active_time_only(
    tmp_path: Path, precision: str, after: int
) -> None:
    whole, _ = run(make_job(tmp_path / "whole", precision))
    job = make_job(tmp_path / "cut", precision)
    interrupted(job, after=after)
    resumed, clock = run(job)
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.test_accuracy == whole.test_accuracy
    assert resumed.confusion == whole.confusion
    assert resumed.history == whole.history
    assert (resumed.num_resumes, whole.num_resumes) == (1, 0)
    assert clock.seconds == whole.metrics["training_time_s"]


class LoadedCores(CpuInstrument):
    """Cores of which other processes took a share."""

    def __init__(self, background_ratio: float) -> None:
        super().__init__()
        self._background_ratio = background_ratio

    def read(self, token: tuple[float, CpuReading]) -> Telemetry:
        return dataclasses.replace(super().read(token), background_cpu_ratio=self._background_ratio, steal_ratio=0.0)

    stop = read


def test_what_spoiled_the_processes_before_an_interruption_is_told_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path)
    for background_ratio, after in ((0.62, 1), (0.0, 2)):
        monkeypatch.setattr(train_module, "make_instrument", lambda *_, **__: LoadedCores(background_ratio))  # noqa: B023
        interrupted(job, after=after)
    record, _ = run(job)
    (finding,) = [finding for finding in record.findings if "load" in finding]
    assert finding.startswith("before interruption 1: background load: other processes took 62% of the cores' time")
    assert record.telemetry is not None
    assert record.telemetry.background_cpu_ratio == 0.0


def test_a_finished_training_is_replayed_and_marked_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = run(make_job(tmp_path))
    monkeypatch.setattr(Training, "train_epoch", None)  # nothing is trained again
    again, clock = run(make_job(tmp_path), run_id="run-2")
    assert again == dataclasses.replace(first, replayed=True)
    assert clock.seconds == first.metrics["training_time_s"]


def test_restart_trains_anew(tmp_path: Path) -> None:
    run(make_job(tmp_path))
    again, _ = run(make_job(tmp_path, restart=True), run_id="run-2")
    assert not again.replayed
    assert again.process.run_id == "run-2"


def test_a_damaged_result_is_trained_again(tmp_path: Path) -> None:
    first, _ = run(make_job(tmp_path))
    (path,) = tmp_path.glob("*/finished.json")
    path.write_text(path.read_text()[:500])
    warnings: list[str] = []
    again, _ = run(make_job(tmp_path), warn=warnings.append)
    assert again.weights_sha256 == first.weights_sha256
    assert not again.replayed
    assert "damaged" in warnings[0]


def test_a_finished_training_keeps_its_record_alone(tmp_path: Path) -> None:
    interrupted(make_job(tmp_path), after=2)
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "lock",
        "checkpoint.pt",
        "checkpoint.before.pt",
        time_stamps.NAME,
    }
    run(make_job(tmp_path))
    assert {path.name for path in folder.iterdir()} == {"lock", "finished.json"}
    (folder / "checkpoint.pt").write_bytes(b"of a process that was killed before it could free it")
    assert run(make_job(tmp_path))[0].replayed
    assert {path.name for path in folder.iterdir()} == {"lock", "finished.json"}


def test_what_a_killed_save_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    interrupted(make_job(tmp_path), after=1)
    (folder,) = tmp_path.iterdir()
    (folder / ".checkpoint.pt.abcd1234").write_bytes(b"half")
    (folder / ".finished.json.abcd1234").write_bytes(b"half")
    interrupted(make_job(tmp_path), after=2)
    assert not list(folder.glob(".*"))
    assert (folder / "checkpoint.pt").exists()


def test_a_second_process_is_refused_by_folder_process_and_host(tmp_path: Path) -> None:
    def second(epoch: EpochRecord, _rate: float, _left: float) -> None:
        (folder,) = tmp_path.iterdir()
        with pytest.raises(FolderInUseError) as caught:
            run(make_job(tmp_path, restart=epoch.epoch == 2), run_id="run-2")
        assert str(caught.value) == (
            f"{folder}: in use by process {os.getpid()} on {platform.node()}; wait for it, or name another folder"
        )
        refused.append(epoch.epoch)

    refused: list[int] = []
    record, _ = run(make_job(tmp_path), epoch_ended=second)
    assert refused == [1, 2, 3]
    assert [epoch.epoch for epoch in record.history] == [1, 2, 3]
    assert not run(make_job(tmp_path, seed=1), run_id="run-2")[0].replayed  # another training is free


def test_an_epoch_that_was_cut_off_is_lost_time_and_no_part_of_the_training_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run(make_job(tmp_path / "whole"))
    assert (whole.metrics["num_interruptions"], whole.metrics["lost_time_s"]) == (0, 0.0)
    original = Training.train_batch
    monkeypatch.setattr(time_stamps, "EVERY_S", 0.0)
    with monkeypatch.context() as patch:

        def killed(training: Training, *batch: Any) -> Any:
            if training.epoch == 1:
                time.sleep(0.05)
                training_s[0] += 1
                if training_s[0] == 2:
                    raise Stopped
            return original(training, *batch)

        training_s = [0]
        patch.setattr(Training, "train_batch", killed)
        with pytest.raises(Stopped):
            run(make_job(tmp_path / "cut"))
    resumed, _ = run(make_job(tmp_path / "cut"))
    lost_s = resumed.metrics["lost_time_s"]
    assert lost_s is not None
    assert lost_s >= 0.05  # the second of two steps was begun
    assert resumed.metrics["num_interruptions"] == 1
    assert resumed.metrics["training_time_s"] == whole.metrics["training_time_s"]


@pytest.mark.parametrize("precision", ["fp32", "amp-bf16", "bf16-sr"])
def test_a_training_cut_off_within_an_epoch_goes_on_with_the_next_step_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=2, num_train=24)  # six steps an epoch
    whole, _ = run(make_job(tmp_path / "whole", precision, recipe=recipe))
    job = make_job(tmp_path / "cut", precision, recipe=recipe, checkpoint_every_s=0.0)
    original = Training.train_batch
    steps: list[tuple[int, int]] = []
    with monkeypatch.context() as patch:

        def killed(training: Training, *batch: Any) -> Any:
            steps.append((training.epoch, training.step))
            if (training.epoch, training.step) == (1, 4):
                raise Stopped
            return original(training, *batch)

        patch.setattr(Training, "train_batch", killed)
        with pytest.raises(Stopped):
            run(job)
    with monkeypatch.context() as patch:

        def watched(training: Training, *batch: Any) -> Any:
            steps.append((training.epoch, training.step))
            return original(training, *batch)

        patch.setattr(Training, "train_batch", watched)
        resumed, clock = run(job)
    again = steps[steps.index((1, 4)) + 1]
    assert again[0] == 1
    assert again[1] == 4, "nothing of the epoch was trained again"
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.confusion == whole.confusion
    for one, other in zip(resumed.history, whole.history, strict=True):
        assert (one.train_loss, one.validation_loss) == (other.train_loss, other.validation_loss)
        assert one.num_skipped_steps == other.num_skipped_steps
    assert resumed.metrics["num_interruptions"] == 1
    assert resumed.num_resumes == 1
    spent = sum(epoch.training_s + epoch.evaluation_s for epoch in resumed.history)
    assert clock.seconds == resumed.metrics["training_time_s"] == spent
    assert resumed.history[1].training_s >= 6  # readings of the injected clock, one a step and more


def test_an_uninterrupted_training_is_the_same_with_checkpoints_within_epochs_and_without(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1, num_train=16)
    plain, _ = run(make_job(tmp_path / "plain", recipe=recipe))
    saved, _ = run(make_job(tmp_path / "saved", recipe=recipe, checkpoint_every_s=0.0))
    assert saved.weights_sha256 == plain.weights_sha256
    assert [epoch.train_loss for epoch in saved.history] == [epoch.train_loss for epoch in plain.history]
    assert (saved.metrics["num_interruptions"], saved.metrics["lost_time_s"]) == (0, 0.0)


def test_a_checkpoint_without_time_stamps_makes_the_lost_time_unknown(tmp_path: Path) -> None:
    interrupted(make_job(tmp_path), after=1)
    (path,) = tmp_path.glob(f"*/{time_stamps.NAME}")
    path.unlink()
    record, _ = run(make_job(tmp_path))
    assert record.metrics["lost_time_s"] is None
    assert record.absent["lost_time_s"] == "time-stamps.txt has no time stamp of epoch 1"
    assert record.absent["num_interruptions"] == record.absent["lost_time_s"]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"recipe": dataclasses.replace(RECIPE, learning_rate=0.03)},
        {"images": generated_set(seed=1)},
        {"deterministic": False},
        {"environment": dataclasses.replace(ENVIRONMENT, torch="2.14.0+cu130")},
        {"environment": dataclasses.replace(ENVIRONMENT, device="NVIDIA L4")},
        {"environment": dataclasses.replace(ENVIRONMENT, cudnn="91100")},
    ],
)
def test_another_training_has_a_folder_of_its_own(tmp_path: Path, changes: dict[str, Any]) -> None:
    run(make_job(tmp_path))
    other, _ = run(make_job(tmp_path, **changes))
    assert not other.replayed
    assert len(list(tmp_path.iterdir())) == 2


def test_a_validation_loss_that_is_not_finite_costs_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = Training.evaluate

    def overflowing(self: Training, part: str) -> Evaluation:
        evaluation = evaluate(self, part)
        is_second = part == "validation" and self.epoch == 2
        return dataclasses.replace(evaluation, loss=math.inf) if is_second else evaluation

    monkeypatch.setattr(Training, "evaluate", overflowing)
    record, _ = run(make_job(tmp_path))
    assert [epoch.validation_loss is None for epoch in record.history] == [False, True, False]
    assert "the validation loss was not finite after epoch 2" in record.findings
    assert read_record(record.to_json()) == record
    replayed, _ = run(make_job(tmp_path))
    assert replayed.replayed


def test_more_test_images_than_a_record_keeps_predictions_of_cost_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "MAX_PREDICTION_BYTES", 19)
    record, _ = run(make_job(tmp_path))
    assert record.test_predictions is None
    assert sum(map(sum, record.confusion)) == 20
    assert read_record(record.to_json()) == record


@pytest.mark.parametrize(
    ("num_classes", "least"), [(10, 15_000), (16, 15_000), (100, 15_000), (256, 15_000), (1000, 7000)]
)
def test_as_many_predictions_as_a_record_keeps_can_be_read_back(num_classes: int, least: int) -> None:
    most = predictions.max_predictions(num_classes)
    assert most >= least
    assert len(predictions.pack_predictions([0] * most, num_classes)) <= MAX_TEXT_CHARACTERS


def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, learning_rate=1e30, epochs=10)
    with pytest.raises(MeasurementError, match="diverged: the training loss of epoch"):
        run(make_job(tmp_path, recipe=recipe))


def test_a_disk_that_is_full_at_the_end_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(job_module, "write_atomically", full)
        with pytest.raises(DataError, match="the result cannot be written: No space left on device"):
            run(make_job(tmp_path))
    record, _ = run(make_job(tmp_path))
    assert (record.num_resumes, len(record.history)) == (1, 3)


def test_progress_is_told_with_the_time_left(tmp_path: Path) -> None:
    stages: list[str] = []
    told: list[tuple[int, float, float]] = []
    run(
        make_job(tmp_path),
        report=stages.append,
        epoch_ended=lambda epoch, rate, left: told.append((epoch.epoch, rate, left)),
    )
    assert told == [(1, 8.0, 4.0), (2, 8.0, 2.0), (3, 8.0, 0.0)]
    assert "epoch 1, step 1 of 2" in stages
    assert stages[-1] == "testing"

"""A training on several ranks that is killed (-9) resumes bit for bit; ranks are real processes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import pool_forked
from rank_tasks import KilledTask, train_or_die, train_or_stop

from perfsuite.measure.device_pool import DevicePlace, TaskEnded, TaskTold, run_in_pool
from perfsuite.measure.training_job import kept_in
from perfsuite.records.reading import read_record
from perfsuite.records.training import TrainingRecord


def train_on(world_size: int, task: KilledTask) -> tuple[TaskEnded, list[Any]]:
    """Return how the training ended, and what its processes told."""
    place = DevicePlace(devices=tuple(f"cpu:{rank}" for rank in range(world_size)))
    told: list[Any] = []
    with pool_forked(), contextlib.closing(run_in_pool({"task": task}, [place], train_or_die)) as events:
        for event in events:
            told += [event.content] if isinstance(event, TaskTold) else []
            if isinstance(event, TaskEnded):
                ended = event
    for what, pid in told:
        assert what != "pid" or not is_running(pid)
    return ended, told


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    return False


def records_of(ended: TaskEnded) -> tuple[TrainingRecord, TrainingRecord]:
    """Return what came of a training, and of the same once more."""
    assert ended.error is None, f"{ended.error}\n{ended.details}"
    record, again = read_record(ended.result["record"]), read_record(ended.result["again"])
    assert isinstance(record, TrainingRecord)
    assert isinstance(again, TrainingRecord)
    return record, again


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainingRecord:
    """A training on three ranks that was left alone."""
    return records_of(train_on(3, KilledTask(folder=tmp_path_factory.mktemp("whole")))[0])[0]


def test_a_training_of_which_ranks_are_killed_ends_bit_for_bit_as_one_left_alone(
    whole: TrainingRecord, tmp_path: Path
) -> None:
    for rank, step in ((0, 3), (2, 5)):
        killed, _ = train_on(3, KilledTask(folder=tmp_path, killed_rank=rank, after_step=step))
        expected = f"the process on cpu:{rank} was killed by SIGKILL (out of memory, or killed from outside)"
        assert str(killed.error) == expected
        (folder,) = kept_in(tmp_path).unfinished
        assert (folder / "checkpoint.pt").is_file()
    resumed, again = records_of(train_on(3, KilledTask(folder=tmp_path))[0])
    assert resumed.num_resumes == 2
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.test_predictions == whole.test_predictions
    kept = ("epoch", "train_loss", "validation_loss", "validation_accuracy")
    for one, left_alone in zip(resumed.history, whole.history, strict=True):
        assert [getattr(one, name) for name in kept] == [getattr(left_alone, name) for name in kept]
    assert again.replayed
    assert again.weights_sha256 == whole.weights_sha256


def test_a_network_that_draws_random_numbers_resumes_bit_for_bit_whatever_was_drawn_before(tmp_path: Path) -> None:
    whole = train_or_stop(KilledTask(folder=tmp_path / "whole"))["record"]
    with pytest.raises(KeyboardInterrupt):
        train_or_stop(KilledTask(folder=tmp_path / "stopped", killed_rank=0, after_step=3))
    torch.rand(7)
    resumed = train_or_stop(KilledTask(folder=tmp_path / "stopped"))["record"]
    assert resumed["num_resumes"] == 1
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    assert train_or_stop(KilledTask(folder=tmp_path / "again"))["record"]["weights_sha256"] == whole["weights_sha256"]


def test_the_record_says_how_the_batch_was_shared(whole: TrainingRecord) -> None:
    assert whole.world_size == 3
    assert whole.settings["shared_batch"] == "6 images, 2 on each of 3 ranks; gradients averaged by DDP"
    for name in ("shared_batch", "batch_norm_statistics", "evaluation_ranks", "gradient_buckets"):
        assert whole.reasons[name]
    assert whole.settings["gradient_buckets"] == "as built"
    assert whole.telemetry is not None
    assert whole.telemetry.background_cpu_ratio is None  # that is the other ranks
    assert not any("background load" in finding for finding in whole.findings)
    assert whole.process.pid != os.getpid()

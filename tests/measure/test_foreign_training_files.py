"""Files in a training's folder that are not its own, or not what they were: never used, never a wrong result."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import test_train
import torch
from cuda_stand_in import forget_dry_runs, use_tiny_networks
from test_train import CPU, Stopped, interrupted, run

from perfsuite.measure import train as train_module
from perfsuite.measure.training_job import FINISHED, FIRST_WITH_DIGEST, Job
from perfsuite.workloads import checkpoint
from perfsuite.workloads.checkpoint import BEFORE, NAME, load_checkpoint, save_checkpoint
from perfsuite.workloads.training import Training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perfsuite.records.training import EpochRecord

RECIPE = dataclasses.replace(test_train.RECIPE, epochs=3, num_train=4, num_validation=4, num_test=4)


@pytest.fixture(scope="module", autouse=True)
def tiny_networks() -> Iterator[None]:
    """Build tiny networks in the trainings that these tests share, too."""
    with pytest.MonkeyPatch.context() as patch:
        use_tiny_networks(patch)
        forget_dry_runs()
        yield
    forget_dry_runs()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes longer than these trainings: the proof of the precision and a dry run."""
    monkeypatch.setattr(train_module, "verify", lambda *_: ())
    monkeypatch.setattr(train_module, "evaluation_batch_size", lambda _step: 4)


def make_job(folder: Path, **changes: Any) -> Job:
    return test_train.make_job(folder, **{"recipe": RECIPE, **changes})


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training that was interrupted after two of its three epochs; not to be changed."""
    folder = tmp_path_factory.mktemp("cut")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "verify", lambda *_: ())
        patch.setattr(train_module, "evaluation_batch_size", lambda _step: 4)
        interrupted(make_job(folder), after=2)
    return folder


@pytest.fixture(scope="module")
def finished(cut: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training that is finished; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(cut, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "verify", lambda *_: ())
        patch.setattr(train_module, "evaluation_batch_size", lambda _step: 4)
        run(make_job(folder))
    return folder


def first_epoch(job: Job, warn: Callable[[str], None]) -> int:
    """Train one epoch more, and return which it is."""
    begun: list[int] = []

    def stop(epoch: EpochRecord, _rate: float, _left: float) -> None:
        begun.append(epoch.epoch)
        raise Stopped

    with pytest.raises(Stopped):
        run(job, warn=warn, epoch_ended=stop)
    return begun[0]


def only_folder(path: Path) -> Path:
    (folder,) = path.iterdir()
    return folder


# ------------------------------------------------------------------------------------------------------------- results


@pytest.mark.parametrize("changes", [{"seed": 1}, {"deterministic": False}, {"precision": "amp-bf16"}])
def test_the_result_of_another_training_is_never_returned(
    finished: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    job = make_job(tmp_path, **changes)
    interrupted(job, after=1)
    shutil.copy(only_folder(finished) / FINISHED, only_folder(tmp_path) / FINISHED)
    warnings: list[str] = []
    assert first_epoch(job, warnings.append) == 2
    assert len(warnings) == 1
    assert warnings[0].startswith("the result of another training: other recipe, seed, data or versions (")


def copied_result(finished: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Copy a finished training, and return where its result is and what it says."""
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    path = only_folder(folder) / FINISHED
    content: dict[str, Any] = json.loads(path.read_text())
    return path, content


@pytest.mark.parametrize("without_digest", [False, True])
def test_a_result_that_was_changed_is_trained_again(finished: Path, tmp_path: Path, without_digest: bool) -> None:
    path, content = copied_result(finished, tmp_path)
    content["metrics"]["training_time_s"] /= 2
    if without_digest:
        del content["sha256"]
    path.write_text(json.dumps(content))
    warnings: list[str] = []
    assert first_epoch(make_job(tmp_path), warnings.append) == 1
    assert warnings[0].startswith("damaged: its digest is not that of its content (")


@pytest.mark.parametrize("is_own", [True, False])
def test_a_result_of_an_older_version_is_checked_by_its_fields(finished: Path, tmp_path: Path, is_own: bool) -> None:
    path, content = copied_result(finished, tmp_path)
    del content["sha256"]
    content["schema_version"] = FIRST_WITH_DIGEST - 1
    if not is_own:
        content["recipe"]["learning_rate"] *= 2
    path.write_text(json.dumps(content))
    again, _ = run(make_job(tmp_path))
    assert again.replayed == is_own


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"\xff", b"1", b'""']
)
def test_a_result_of_any_content_is_one_warning(finished: Path, tmp_path: Path, content: bytes) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    (only_folder(tmp_path) / FINISHED).write_bytes(content)
    warnings: list[str] = []
    assert first_epoch(make_job(tmp_path), warnings.append) == 1
    assert len(warnings) == 1
    assert "\n" not in warnings[0]


def test_pipes_in_a_training_folder_are_never_waited_for(cut: Path, tmp_path: Path) -> None:
    shutil.copytree(cut, tmp_path, dirs_exist_ok=True)
    folder = only_folder(tmp_path)
    for name in (FINISHED, NAME, BEFORE, "time-stamps.txt"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    warnings: list[str] = []
    record, _ = run(make_job(tmp_path), warn=warnings.append)
    assert len(warnings) == 3
    assert all("not a regular file" in text for text in warnings)
    assert record.metrics["lost_time_s"] is None


# ---------------------------------------------------------------------------------------------------------- checkpoints


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the newest checkpoint, and write it as perfsuite does, its digest included; there is none before it."""
    state = load_checkpoint(folder, device=CPU, check=lambda _state: None, warn=pytest.fail)
    assert state is not None
    change(state)
    save_checkpoint(folder, state)
    (folder / BEFORE).unlink()


def at(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        part: Any = state
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value(part[keys[-1]]) if callable(value) else value

    return change


WEIGHT = "conv1.weight"


@pytest.mark.parametrize(
    "change",
    [
        at("training", "epoch", value=1),
        at("training", "epoch", value=3),
        at("training", "epoch", value=2**70),
        at("training", "epoch", value=-1),
        at("training", "epoch", value="2"),
        at("training", "epoch", value=True),
        at("training", "step", value=1),
        at("training", "step", value=-1),
        at("training", "step", value=None),
        at("training", value=None),
        at("training", "model", value={}),
        at("training", "model", WEIGHT, value=lambda tensor: tensor[:1]),
        at("training", "model", WEIGHT, value=lambda tensor: tensor.double()),
        at("training", "model", WEIGHT, value=lambda tensor: tensor.to_sparse()),
        at("training", "optimizer", value=None),
        at("training", "optimizer", "state", value={}),
        at("training", "optimizer", "state", 0, "momentum_buffer", value=lambda tensor: tensor[:1]),
        at("training", "optimizer", "param_groups", value=[]),
        at("training", "optimizer", "param_groups", 0, "momentum", value=0.5),
        at("training", "optimizer", "param_groups", 0, "weight_decay", value=torch.zeros(2)),
        at("training", "scaler", value={"scale": 1.0}),
        at("training", "num_skipped", value=torch.zeros(3)),
        at("training", "rng", value=torch.zeros(3)),
        at("training", "rng", value=lambda state: torch.full_like(state, 255)),
        at("progress", value=None),
        at("progress", "history", value=[]),
        at("progress", "history", 0, value={}),
        at("progress", "history", 1, "epoch", value=7),
        at("progress", "num_resumes", value="1"),
        at("progress", "active_s", value=float("nan")),
    ],
)
def test_a_state_of_another_epoch_or_form_is_never_resumed(
    cut: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    shutil.copytree(cut, tmp_path / "cut")
    edited(only_folder(tmp_path / "cut"), change)
    warnings: list[str] = []
    assert first_epoch(make_job(tmp_path / "cut"), warnings.append) == 1
    assert len(warnings) == 1
    assert "resuming from the previous one, or from the start" in warnings[0]


def test_a_state_that_was_written_again_as_it_is_is_resumed(cut: Path, tmp_path: Path) -> None:
    shutil.copytree(cut, tmp_path / "cut")
    edited(only_folder(tmp_path / "cut"), lambda _state: None)
    assert first_epoch(make_job(tmp_path / "cut"), pytest.fail) == 3


def test_nothing_of_a_state_that_was_passed_over_is_in_the_weights(cut: Path, tmp_path: Path) -> None:
    whole, _ = run(make_job(tmp_path / "whole"))
    shutil.copytree(cut, tmp_path / "cut")
    edited(only_folder(tmp_path / "cut"), at("training", "epoch", value=1))
    record, _ = run(make_job(tmp_path / "cut"))
    assert record.num_resumes == 0
    assert record.weights_sha256 == whole.weights_sha256
    assert record.history == whole.history


@pytest.mark.parametrize(("step", "is_resumed"), [(1, True), (0, False), (2, False)])
def test_a_state_of_another_step_of_its_epoch_is_never_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, is_resumed: bool
) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1, num_train=16)  # four steps
    whole, _ = run(make_job(tmp_path / "whole", recipe=recipe))
    job = make_job(tmp_path / "cut", recipe=recipe, checkpoint_every_s=0.0)
    original = Training.train_batch
    with monkeypatch.context() as patch:

        def killed(training: Training, *batch: Any) -> Any:
            if training.step == 1:
                raise Stopped
            return original(training, *batch)

        patch.setattr(Training, "train_batch", killed)
        with pytest.raises(Stopped):
            run(job)
    state = load_checkpoint(only_folder(tmp_path / "cut"), device=CPU, check=lambda _state: None, warn=pytest.fail)
    assert state is not None
    save_checkpoint(only_folder(tmp_path / "cut"), {**state, "training": {**state["training"], "step": step}})
    (only_folder(tmp_path / "cut") / BEFORE).unlink()
    record, _ = run(job)
    assert record.weights_sha256 == whole.weights_sha256
    assert record.num_resumes == is_resumed


def test_a_checkpoint_whose_parts_are_larger_than_itself_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, {"tensor": torch.zeros(2**20)})
    content = (tmp_path / NAME).read_bytes()[len(checkpoint.MAGIC) + 65 :]
    (tmp_path / "plain.zip").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "plain.zip") as plain:
        parts = {name: plain.read(name) for name in plain.namelist()}
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, part in parts.items():
            packed.writestr(name, part)
    monkeypatch.setattr(torch, "save", lambda _state, stream: stream.write((tmp_path / "packed.zip").read_bytes()))
    save_checkpoint(tmp_path, {})
    (tmp_path / BEFORE).unlink()
    monkeypatch.setattr(torch, "load", pytest.fail)
    warnings: list[str] = []
    assert load_checkpoint(tmp_path, device=CPU, check=lambda _state: None, warn=warnings.append) is None
    assert "damaged" in warnings[0]


# ----------------------------------------------------------------------------------------------------------- leftovers


def test_an_interrupted_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, {"identity": "a"})
    assert list(tmp_path.iterdir()) == []

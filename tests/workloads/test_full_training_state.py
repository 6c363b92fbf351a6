from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from builders import make_workload
from generated_images import generated_parts, generated_set

from perfsuite.errors import DataError, MeasurementError, RecordError
from perfsuite.recipes import SMOKE, THESIS
from perfsuite.workloads.checkpoint import BEFORE, NAME, load_checkpoint, save_checkpoint
from perfsuite.workloads.device_images import DeviceImages
from perfsuite.workloads.images import make_image_set, split_images
from perfsuite.workloads.training import Training, deterministic
from perfsuite.workloads.training_state import check_state

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.workloads.images import ImageSet

pytestmark = pytest.mark.usefixtures("tiny_networks")

CPU = torch.device("cpu")
IMAGES = generated_set()
RECIPE = dataclasses.replace(SMOKE, epochs=2, batch_size=4, learning_rate=0.01, decay_factor=0.5, decay_every_epochs=2)


def make_training(
    precision: str = "fp32",
    seed: int = 0,
    num_train: int = 8,
    batch_size: int = 4,
    evaluation_batch: int | None = None,
    images: ImageSet = IMAGES,
    **changes: Any,
) -> Training:
    workload = make_workload(
        precision=precision, phase="full_training", batch_size=batch_size, device_type="cpu", **changes
    )
    split = split_images(images, seed=seed, num_train=num_train, num_validation=4, num_test=20)
    recipe = dataclasses.replace(RECIPE, batch_size=batch_size)
    return Training(workload, recipe, images, split, device=CPU, seed=seed, evaluation_batch=evaluation_batch)


@pytest.mark.usefixtures("real_networks")
def test_a_learnable_set_is_learnt() -> None:
    parts = {name: (images[:, :, ::2, ::2], labels) for name, (images, labels) in generated_parts().items()}
    training = make_training(
        num_train=40, batch_size=10, images=make_image_set(parts, source="generated"), image_size=16
    )
    before = training.evaluate("test")
    losses = [training.train_epoch()[0] for _ in range(6)]
    after = training.evaluate("test")
    assert losses[-1] < 0.5 * losses[0]
    assert after.accuracy > max(before.accuracy, 0.4)
    assert len(after.outcomes) == 20
    assert sum(int(outcome) in range(0, 100, 11) for outcome in after.outcomes) == round(20 * after.accuracy)


@pytest.mark.parametrize("precision", ["fp32", "amp-bf16", "amp-fp16", "bf16", "bf16-sr"])
def test_the_same_seed_gives_the_same_weights_and_another_one_others(precision: str) -> None:
    digests = []
    for seed in (0, 0, 1):
        with deterministic(on=True):
            training = make_training(precision, seed)
            training.train_epoch()
        digests.append(training.weights_sha256())
    assert digests[0] == digests[1] != digests[2]


def test_the_learning_rate_follows_the_recipe() -> None:
    recipe = dataclasses.replace(THESIS, learning_rate=0.1, decay_factor=0.5, decay_every_epochs=20)
    assert [recipe.learning_rate_at(epoch) for epoch in (0, 19, 20, 39, 40)] == [0.1, 0.1, 0.05, 0.05, 0.025]


def test_the_first_decay_is_counted_from_the_end_of_the_warm_up() -> None:
    recipe = dataclasses.replace(
        THESIS, learning_rate=0.1, decay_factor=0.5, decay_every_epochs=2, warmup_epochs=2, warmup_factor=0.2
    )
    assert [recipe.learning_rate_at(epoch) for epoch in range(6)] == pytest.approx([0.02, 0.02, 0.1, 0.1, 0.05, 0.05])


def test_every_image_is_seen_once_an_epoch_in_an_order_of_its_own() -> None:
    scale, shift = torch.ones(1, 3, 1, 1), torch.zeros(1, 3, 1, 1)
    pixels = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 32, 32), np.uint8)
    images = DeviceImages(
        pixels, np.arange(10, dtype=np.uint8), device=CPU, memory_format="channels_last", scale=scale, shift=shift
    )
    order = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    batches = list(images.batches(4, order))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert torch.cat([labels for _, labels in batches]).tolist() == order.tolist()
    assert torch.equal(torch.cat([pixel for pixel, _ in batches])[:, 0, 0, 0], order.float())
    assert batches[0][0].is_contiguous(memory_format=torch.channels_last)


def test_gradients_are_freed_before_an_evaluation_unless_the_workload_keeps_them() -> None:
    for gradients in ("freed", "kept"):
        training = make_training(gradients=gradients)
        training.train_epoch()
        training.evaluate("validation")
        kept = [parameter.grad is not None for parameter in training.model.parameters()]
        assert all(kept) if gradients == "kept" else not any(kept)


def test_images_are_normalised_by_the_training_images() -> None:
    training = make_training()
    pixels = torch.cat([images for images, _ in training._images["train"].batches(16)])
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(pixels.std((0, 2, 3)), torch.ones(3), atol=1e-2, rtol=0)


@pytest.mark.parametrize("precision", ["amp-fp16", "bf16", "bf16-sr"])
def test_a_state_goes_on_bit_for_bit(precision: str) -> None:
    with deterministic(on=True):
        whole = make_training(precision)
        for _ in range(2):
            whole.train_epoch()
        first = make_training(precision)
        first.train_epoch()
        state = first.state()
        second = make_training(precision)
        second.load_state(state)
        assert second.epoch == 1
        assert second.loss_scale == first.loss_scale
        second.train_epoch()
    assert second.weights_sha256() == whole.weights_sha256()


@pytest.mark.parametrize("precision", ["bf16", "bf16-sr"])
def test_a_state_within_an_epoch_goes_on_bit_for_bit_from_its_file(precision: str, tmp_path: Path) -> None:
    """The random bits of stochastic rounding are those of an uninterrupted training."""
    with deterministic(on=True):
        whole = make_training(precision)

        def save(step: int) -> None:
            if step == 0:
                save_checkpoint(tmp_path, {"identity": "a", "training": whole.state()})

        whole.train_epoch(report_step=save)
        resumed = make_training(precision)
        saved = read(tmp_path)
        assert saved is not None
        check_state(saved["training"], resumed.state(), CPU)
        resumed.load_state(saved["training"])
        assert resumed.step == 1
        resumed.train_epoch()
    assert resumed.weights_sha256() == whole.weights_sha256()


def test_a_state_without_the_random_bits_of_its_rounding_is_refused() -> None:
    training = make_training("bf16-sr")
    state = training.state()
    check_state(state, training.state(), CPU)
    broken = dict(state)
    del broken["rounding_rng"]
    with pytest.raises(RecordError, match="the state has no rounding_rng"):
        check_state(broken, training.state(), CPU)
    with pytest.raises(RecordError, match="rounding_rng"):
        check_state({**state, "rounding_rng": torch.zeros_like(state["rounding_rng"])}, training.state(), CPU)
    assert "rounding_rng" not in make_training("bf16").state()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_digest_is_of_names_types_shapes_and_bytes(precision: str) -> None:
    """Of FP32 as it always was, by NumPy; of BF16, which NumPy has not, the bytes of its bits as integers."""
    model = make_training(precision).model
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        plain = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
        digest.update(plain.numpy().tobytes())
    assert make_training(precision).weights_sha256() == digest.hexdigest()


def test_a_loss_that_is_no_number_is_told() -> None:
    training = make_training()
    with torch.no_grad():
        next(training.model.parameters()).fill_(float("nan"))
    with pytest.raises(MeasurementError, match="diverged: the training loss of epoch 1 is nan"):
        training.train_epoch()


def test_evaluation_takes_smaller_batches_where_a_large_one_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    training = make_training(evaluation_batch=500)
    sizes: list[int] = []
    original = Training._evaluate

    def evaluate(self: Training, images: Any, batch_size: int) -> Any:
        sizes.append(batch_size)
        if batch_size > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, images, batch_size)

    monkeypatch.setattr(Training, "_evaluate", evaluate)
    training.evaluate("test")
    assert sizes == [500, 250, 125, 62]


# ------------------------------------------------------------------------------------------------------- checkpoints


def read(folder: Path, warnings: list[str] | None = None) -> dict[str, Any] | None:
    told = [] if warnings is None else warnings

    def check(state: dict[str, Any]) -> None:
        if state["identity"] != "a":
            raise RecordError("of another training")

    return load_checkpoint(folder, device=CPU, check=check, warn=told.append)


def state_of(number: int) -> dict[str, Any]:
    return {"identity": "a", "number": number, "tensor": torch.arange(1000.0) + number}


def test_the_newest_checkpoint_is_taken_and_the_one_before_kept(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    for number in range(3):
        save_checkpoint(tmp_path / "cell", state_of(number))
    found = read(tmp_path / "cell")
    assert found is not None
    assert found["number"] == 2
    assert sorted(path.name for path in (tmp_path / "cell").iterdir()) == [BEFORE, NAME]


@pytest.mark.parametrize("cut", [0, 1, 30, 100, 1000, 5000])
def test_a_checkpoint_cut_anywhere_falls_back_to_the_one_before_with_a_warning(tmp_path: Path, cut: int) -> None:
    for number in range(2):
        save_checkpoint(tmp_path, state_of(number))
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:cut])
    warnings: list[str] = []
    found = read(tmp_path, warnings)
    assert found is not None
    assert found["number"] == 0
    assert len(warnings) == 1
    assert "damaged" in warnings[0]


@pytest.mark.parametrize("place", [5, 40, 200, 2000, -50])
def test_one_changed_bit_is_damage(tmp_path: Path, place: int) -> None:
    save_checkpoint(tmp_path, state_of(0))
    content = bytearray((tmp_path / NAME).read_bytes())
    content[place] ^= 4
    (tmp_path / NAME).write_bytes(bytes(content))
    warnings: list[str] = []
    assert read(tmp_path, warnings) is None
    assert len(warnings) == 1


def test_a_checkpoint_of_another_training_is_passed_over(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {**state_of(0), "identity": "b"})
    warnings: list[str] = []
    assert read(tmp_path, warnings) is None
    assert "of another training" in warnings[0]


def test_nothing_in_a_checkpoint_is_ever_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    save_checkpoint(tmp_path, {"identity": "a", "bomb": Bomb()})
    assert read(tmp_path) is None
    assert not (tmp_path / "exploded").exists()


def test_a_full_disk_leaves_what_stood_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, state_of(0))

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"checkpoint\.pt: the checkpoint cannot be written: No space left"):
        save_checkpoint(tmp_path, state_of(1))
    monkeypatch.undo()
    found = read(tmp_path)
    assert found is not None
    assert found["number"] == 0
    assert [path.name for path in tmp_path.iterdir()] == [NAME]

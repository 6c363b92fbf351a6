from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import make_workload

from perfsuite.errors import InvalidChoiceError, MeasurementError
from perfsuite.workloads import step as module
from perfsuite.workloads.built_network import make_batch
from perfsuite.workloads.models import MODELS
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Iterator

CPU = torch.device("cpu")


@pytest.fixture
def small_step() -> Iterator[TrainingStep]:
    step = build("train_step")
    yield step
    step.close()


def build(phase: str, precision: str = "fp32", **changes: Any) -> TrainingStep:
    return TrainingStep(
        make_workload(phase=phase, precision=precision, batch_size=2, device_type="cpu", **changes), device=CPU
    )


def gradients_are_none(step: TrainingStep) -> bool:
    return all(parameter.grad is None for parameter in step.model.parameters())


def test_forward_gives_a_loss_with_its_graph() -> None:
    loss = build("forward").forward()
    assert loss.shape == ()
    assert loss.grad_fn is not None


@pytest.mark.parametrize("precision", ["fp32", "amp-bf16"])
def test_backward_can_walk_its_graph_again_and_again(precision: str) -> None:
    step = build("backward", precision, image_size=8)
    step.retain_graph()
    step.backward()
    first = step.gradients()
    step.backward()
    assert all(torch.equal(a, b) for a, b in zip(first, step.gradients(), strict=True))  # and nothing was added up


def test_kept_gradients_stay_where_they_are_in_a_backward_pass() -> None:
    step = build("backward", gradients="kept")
    step.retain_graph()
    step.backward()
    gradient = next(step.model.parameters()).grad
    assert gradient is not None
    first = gradient.clone()
    step.backward()
    assert next(step.model.parameters()).grad is gradient
    assert torch.equal(gradient, first)


def test_backward_without_a_graph_is_refused() -> None:
    with pytest.raises(MeasurementError, match="without a retained graph"):
        build("backward").backward()


@pytest.mark.parametrize("precision", ["fp32", "amp-bf16"])
def test_a_retained_graph_gives_the_gradients_of_a_fresh_one(precision: str) -> None:
    assert build("backward", precision, image_size=8).check_retained_backward() < 1e-6


def test_a_retained_graph_that_is_not_the_same_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    step = build("backward")

    def on_other_images() -> None:
        images = step.inputs
        step.inputs = -images
        step._retained = step.forward()
        step.inputs = images

    monkeypatch.setattr(step, "retain_graph", on_other_images)
    with pytest.raises(MeasurementError, match="differs from a fresh one"):
        step.check_retained_backward()


def test_a_train_step_moves_the_weights_as_plain_sgd_with_momentum_does(small_step: TrainingStep) -> None:
    parameter = next(small_step.model.parameters())
    momentum = torch.zeros_like(parameter)
    for _ in range(2):
        before = parameter.detach().clone()
        small_step.train_step()
        assert parameter.grad is not None
        momentum = module.MOMENTUM * momentum + parameter.grad
        assert torch.allclose(parameter, before - module.LEARNING_RATE * momentum, rtol=1e-6, atol=0)
    assert small_step.num_iterations == 2


@pytest.mark.usefixtures("tiny_networks")
def test_a_first_step_that_overflows_leaves_weights_and_momentum_as_they_were() -> None:
    """Fused SGD would take its momentum from memory that nobody has written."""
    step = build("train_step", "amp-fp16")
    before = [parameter.detach().clone() for parameter in step.model.parameters()]
    with torch.no_grad():
        step.inputs[0, 0, 0, 0] = float("inf")
    step.train_step()
    assert all(torch.equal(a, b) for a, b in zip(before, step.model.parameters(), strict=True))
    assert all(not state["momentum_buffer"].any() for state in step.optimizer.state.values())


def test_gradients_are_freed_or_kept_as_the_workload_says() -> None:
    for kept in ("freed", "kept"):
        step = build("train_step", gradients=kept)
        step.train_step()
        step.zero_gradients()
        assert gradients_are_none(step) == (kept == "freed")


@pytest.mark.usefixtures("tiny_networks")
def test_a_step_whose_gradients_overflow_is_counted_on_the_device() -> None:
    step = build("train_step", "amp-fp16")
    step.train_step()
    assert step.scale_is_dynamic()
    assert float(step.num_skipped) == 0
    scale = step.scaler.get_scale()
    with torch.no_grad():
        step.inputs[0, 0, 0, 0] = float("inf")
    step.train_step()
    assert float(step.num_skipped) == 1
    assert step.scaler.get_scale() == scale / 2


@pytest.mark.usefixtures("tiny_networks")
def test_settling_ends_when_the_loss_scale_has_found_its_level() -> None:
    """A scale that is far too large overflows until it has been halved often enough."""
    step = build("backward", "amp-fp16")
    step.scaler.load_state_dict({**step.scaler.state_dict(), "scale": 2.0**24})
    step.settle()
    assert step.scaler.get_scale() < 2.0**24
    assert float(step.num_skipped) >= 1
    assert step.check_retained_backward() < 1e-2


@pytest.mark.usefixtures("tiny_networks")
def test_settling_gives_up_where_every_step_overflows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SETTLING_STEPS", 3)
    step = build("train_step", "amp-fp16")
    with torch.no_grad():
        step.inputs[0, 0, 0, 0] = float("inf")
    with pytest.raises(MeasurementError, match="3 training steps in a row overflowed in amp-fp16"):
        step.settle()


def test_resident_tensors_are_weights_buffers_momentum_batch_and_counter(small_step: TrainingStep) -> None:
    num_parameters = len(list(small_step.model.parameters()))
    num_buffers = len(list(small_step.model.buffers()))
    assert len(small_step.resident_tensors()) == 2 * num_parameters + num_buffers + 3
    small_step.train_step()
    assert len(small_step.resident_tensors()) == 3 * num_parameters + num_buffers + 3


def test_settings_say_what_is_pinned() -> None:
    settings = build("train_step", "amp-fp16").settings
    assert settings["optimizer_implementation"] == "fused"
    assert settings["momentum"] == module.MOMENTUM
    assert settings["loss_scaling"] == "dynamic"


def test_an_unknown_phase_is_refused_by_name() -> None:
    with pytest.raises(InvalidChoiceError, match="unknown phase 'sideways'; choose from forward, backward, train_step"):
        build("sideways")


def test_synthetic_batches_are_seeded_and_shaped_like_cifar() -> None:
    workload, spec = make_workload(batch_size=4), MODELS["resnet18"]
    batch = make_batch(spec, make_workload(batch_size=4, memory_format="channels_last"), device=CPU)
    images, labels = batch.inputs, batch.targets
    assert (images.shape, images.dtype, labels.shape, labels.dtype) == (
        (4, 3, 32, 32),
        torch.float32,
        (4,),
        torch.int64,
    )
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, make_batch(spec, workload, device=CPU).inputs)
    assert not torch.equal(images, make_batch(spec, workload, device=CPU, seed=1).inputs)

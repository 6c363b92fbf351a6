"""Weights and momentum in BF16: what is cast, how an update is rounded, what that does to a training."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from builders import make_workload
from generated_images import generated_set
from torch import nn

from perfsuite.errors import PrecisionNotActiveError
from perfsuite.measure.cell_setup import build_step
from perfsuite.precisions import POLICIES
from perfsuite.recipes import SMOKE, THESIS, recipe_for
from perfsuite.workloads import models
from perfsuite.workloads import precision_proof as module
from perfsuite.workloads import step as step_module
from perfsuite.workloads.bare_step import bare_step
from perfsuite.workloads.call import Call
from perfsuite.workloads.images import split_images
from perfsuite.workloads.inference import Inference
from perfsuite.workloads.model_spec import InputSizes, ModelSpec
from perfsuite.workloads.models import build_model_of
from perfsuite.workloads.network_check import HostTransfers
from perfsuite.workloads.optimizer import StochasticallyRoundedSGD, make_sgd
from perfsuite.workloads.precision import cast_outputs, cast_weights
from perfsuite.workloads.precision_proof import check_model, check_optimizer, verify
from perfsuite.workloads.step import TrainingStep
from perfsuite.workloads.training import Training

CPU = torch.device("cpu")
NEAREST, STOCHASTIC = POLICIES["bf16"], POLICIES["bf16-sr"]
BOTH = ("bf16", "bf16-sr")


def build(phase: str, precision: str, **changes: Any) -> TrainingStep:
    return TrainingStep(
        make_workload(phase=phase, precision=precision, batch_size=2, device_type="cpu", **changes), device=CPU
    )


# --------------------------------------------------------------------------------------------------- what is cast


@pytest.mark.usefixtures("tiny_networks")
def test_all_but_batch_normalisations_are_cast_and_the_seed_gives_the_same_network_rounded() -> None:
    networks = {name: build_model_of(make_workload(precision=name, device_type="cpu"), device=CPU) for name in POLICIES}
    exact = networks["fp32"].state_dict()
    for name in BOTH:
        for key, tensor in networks[name].state_dict().items():
            is_kept = key.startswith("bn1")
            assert tensor.dtype == (exact[key].dtype if is_kept else torch.bfloat16), key
            assert torch.equal(tensor, exact[key].to(tensor.dtype))
    assert all(torch.equal(tensor, exact[key]) for key, tensor in networks["amp-bf16"].state_dict().items())


def test_a_weight_that_two_layers_share_stays_one_in_its_memory_format() -> None:
    first = nn.Conv2d(4, 4, kernel_size=3)
    second = nn.Conv2d(4, 4, kernel_size=3)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    first.weight.data = first.weight.data.to(memory_format=torch.channels_last)
    cast_weights(model, NEAREST)
    assert second.weight is first.weight
    assert first.weight.dtype == torch.bfloat16
    assert first.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("tiny_networks")
@pytest.mark.parametrize("precision", BOTH)
def test_gradients_and_momentum_are_of_the_type_of_their_weights_and_the_loss_is_fp32(precision: str) -> None:
    step = build("train_step", precision)
    assert step.forward().dtype == torch.float32
    step.train_step()
    for name, parameter in step.model.named_parameters():
        wanted = torch.float32 if name.startswith("bn1") else torch.bfloat16
        found = parameter.grad, step.optimizer.state[parameter]["momentum_buffer"]
        assert parameter.dtype == wanted
        assert [tensor.dtype for tensor in found if tensor is not None] == [wanted, wanted]
    assert step.inputs.dtype == torch.float32  # the batch itself, which is cast in every step


def test_outputs_of_a_class_of_their_own_reach_the_loss_as_they_are() -> None:
    class Output(dict[str, torch.Tensor]):
        pass

    logits = torch.ones(2, dtype=torch.bfloat16)
    own = Output(logits=logits)
    assert cast_outputs(NEAREST, own) is own
    assert cast_outputs(NEAREST, (logits, torch.ones(1, dtype=torch.int64)))[0].dtype == torch.float32
    assert cast_outputs(POLICIES["amp-bf16"], logits) is logits


@pytest.mark.usefixtures("tiny_networks")
def test_inference_answers_in_bf16() -> None:
    workload = make_workload(phase="inference", precision="bf16", batch_size=2, device_type="cpu")
    outputs: Any = Inference(workload, device=CPU).infer()
    assert outputs.dtype == torch.bfloat16


def test_a_callable_is_given_a_bf16_batch_and_a_module_of_other_weights_is_refused() -> None:
    workload = make_workload(phase="call", precision="bf16", device_type="cpu")
    seen: list[torch.dtype] = []
    Call(workload, device=CPU, run=lambda batch: seen.append(batch.dtype), batch=torch.ones(2)).call()
    assert seen == [torch.bfloat16]
    layer = nn.Linear(2, 2)
    with pytest.raises(PrecisionNotActiveError, match=r"parameters are float32 \(Linear.weight\), not bfloat16"):
        Call(workload, device=CPU, run=layer, batch=torch.ones(2))
    Call(workload, device=CPU, run=layer.to(torch.bfloat16), batch=torch.ones(2)).call()


# ----------------------------------------------------------------------------------------------- an update, rounded


def bf16_bits(values: Any) -> Any:
    """Return the upper 16 bits of float32, rounded to nearest, ties to even."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint32)


def from_bits(bits: Any) -> Any:
    return (np.asarray(bits, np.uint32) << 16).view(np.float32)


def rounded(values: Any) -> Any:
    return from_bits(bf16_bits(values))


def as_numbers(tensor: torch.Tensor) -> Any:
    return tensor.detach().float().numpy()


def random_bf16(generator: np.random.Generator, num: int) -> Any:
    return rounded(generator.standard_normal(num))


def make_layer(weights: Any, policy_name: str, **values: float) -> tuple[nn.Linear, torch.optim.SGD]:
    layer = nn.Linear(len(weights), 1, bias=False)
    layer.weight.data = torch.from_numpy(np.array(weights, np.float32))[None]
    cast_weights(layer, POLICIES[policy_name])
    return layer, make_sgd(layer, POLICIES[policy_name], device_type="cpu", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("weight_decay", [0.0, 2.0**-11])
def test_rounded_to_nearest_an_update_is_that_of_a_second_implementation_bit_for_bit(weight_decay: float) -> None:
    """In NumPy, by the bits of numbers. Learning rate and decay are powers of two: a fused multiply-add is no other.

    On a CPU each operation is rounded.
    """
    generator = np.random.default_rng(0)
    learning_rate, num = np.float32(2.0**-7), 1003  # not a multiple of any vector
    weights, momentum = random_bf16(generator, num), np.zeros(num, np.float32)
    layer, optimizer = make_layer(
        weights, "bf16", learning_rate=float(learning_rate), momentum=0.9, weight_decay=weight_decay
    )
    for _ in range(5):
        gradient = random_bf16(generator, num)
        layer.weight.grad = torch.from_numpy(gradient)[None].to(torch.bfloat16)
        optimizer.step()
        gradient = rounded(gradient + np.float32(weight_decay) * weights)
        momentum = rounded(rounded(np.float32(0.9) * momentum) + gradient)
        weights = rounded(weights - learning_rate * momentum)
        assert np.array_equal(as_numbers(layer.weight)[0], weights)
        assert np.array_equal(as_numbers(optimizer.state[layer.weight]["momentum_buffer"])[0], momentum)


def test_rounded_stochastically_each_weight_is_one_of_its_neighbours_and_right_on_average() -> None:
    """Forty weights, each 4,000 times, with momentum of their own; compared in distribution with float64."""
    generator = np.random.default_rng(1)
    num, times = 40, 4000
    weights, momentum, gradient = (np.tile(random_bf16(generator, num), times) for _ in range(3))
    learning_rate, decay = 1e-3, 5e-4
    layer, optimizer = make_layer(weights, "bf16-sr", learning_rate=learning_rate, momentum=0.9, weight_decay=decay)
    buffer = optimizer.state[layer.weight]["momentum_buffer"]
    buffer.copy_(torch.from_numpy(momentum)[None])
    layer.weight.grad = torch.from_numpy(gradient)[None].to(torch.bfloat16)
    optimizer.step()
    average = 0.9 * momentum.astype(np.float64) + gradient + decay * weights
    for found, exact in ((layer.weight, weights - learning_rate * average), (buffer, average)):
        toward_zero = from_bits(np.abs(exact).astype(np.float32).view(np.uint32) >> 16)
        away = from_bits(bf16_bits(toward_zero) + 1)
        rounded = np.abs(as_numbers(found)[0])
        assert np.all((rounded == toward_zero) | (rounded == away))
        expected = (np.abs(exact) - toward_zero) / (away - toward_zero)
        shares = (rounded == away).reshape(times, num).mean(axis=0)
        deviation = np.sqrt(np.maximum(expected[:num] * (1 - expected[:num]), 1e-4) / times)
        assert np.all(np.abs(shares - expected[:num]) < 5 * deviation + 1e-3)


def test_random_bits_are_those_of_the_seed_and_others_in_every_step() -> None:
    def moved(seed: int) -> list[Any]:
        layer, _ = make_layer(np.ones(500), "bf16-sr", learning_rate=0.0, momentum=0.0)
        optimizer = make_sgd(layer, STOCHASTIC, device_type="cpu", learning_rate=1e-3, momentum=0.0, seed=seed)
        found = []
        for _ in range(2):
            before = as_numbers(layer.weight)
            layer.weight.grad = torch.ones_like(layer.weight)
            optimizer.step()
            found.append(as_numbers(layer.weight) != before)
        return found

    first, again, other = moved(3), moved(3), moved(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[1])


@pytest.mark.usefixtures("tiny_networks")
@pytest.mark.parametrize("precision", BOTH)
def test_a_bare_loop_trains_as_the_reported_step_does(precision: str) -> None:
    reported, other = build("train_step", precision), build("train_step", precision)
    bare = bare_step(other)
    for _ in range(2):
        reported.train_step()
        bare()
    pairs = zip(reported.model.parameters(), other.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.usefixtures("tiny_networks")
@pytest.mark.parametrize("precision", BOTH)
def test_nothing_of_a_step_is_read_on_the_host(precision: str) -> None:
    step = build("train_step", precision)
    step.train_step()
    transfers = HostTransfers(step.model)
    with transfers:
        step.train_step()
    assert transfers.in_words() == []


def test_a_closure_is_refused() -> None:
    _, optimizer = make_layer(np.ones(3), "bf16-sr", learning_rate=1.0, momentum=0.0)
    with pytest.raises(ValueError, match="no closure"):
        optimizer.step(lambda: 0.0)


# ------------------------------------------------------------------------------------------------------- the proof


@pytest.mark.parametrize("name", BOTH)
def test_an_update_is_looked_at_besides_products(name: str) -> None:
    before = torch.get_rng_state()
    readings = {reading.probe: reading for reading in verify(POLICIES[name], CPU)}
    assert torch.equal(torch.get_rng_state(), before)
    assert len(readings) == 8
    assert readings["weight update"].relative_error == 0.0
    small = readings["small weight update"]
    assert small.dtype == "bfloat16"
    assert small.relative_error < 0.05 if name == "bf16-sr" else small.relative_error == 1.0


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("bf16", {"stochastic_rounding": True}, r"bf16 is not active: small weight update is off by \d.*e-0[23] from"),
        ("bf16-sr", {"stochastic_rounding": False}, r"bf16-sr is not active: small weight update is off by 1.0e\+00"),
        ("bf16", {"weights": "float32"}, "bf16 is not active: weight update gave float32, not bfloat16"),
    ],
)
def test_the_proof_catches_another_rounding_than_the_one_asked_for(
    name: str, change: dict[str, Any], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(POLICIES[name], **change)
    original, cast = make_sgd, cast_weights
    monkeypatch.setattr(module, "make_sgd", lambda layer, _policy, **values: original(layer, other, **values))
    monkeypatch.setattr(module, "cast_weights", lambda layer, _policy: cast(layer, other))
    with pytest.raises(PrecisionNotActiveError, match=complaint):
        verify(POLICIES[name], CPU)


def test_the_proof_catches_an_optimizer_that_skips_bf16_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch's fused SGD does on a CPU: https://github.com/pytorch/pytorch/issues/191763."""
    monkeypatch.setattr(StochasticallyRoundedSGD, "_update_rounded", lambda *_: None)
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *_: None)
    for name in BOTH:
        with pytest.raises(PrecisionNotActiveError, match=r" weight update is off by 1.0e\+00 from what was asked for"):
            verify(POLICIES[name], CPU)


@pytest.mark.usefixtures("tiny_networks")
def test_a_network_whose_weights_or_momentum_are_not_bf16_is_refused() -> None:
    step = build("train_step", "bf16")
    check_model(step.policy, step.model, step.inputs)
    check_optimizer(step.policy, step.optimizer)
    with pytest.raises(PrecisionNotActiveError, match="bf16-sr is not active: updates are rounded to nearest"):
        check_optimizer(STOCHASTIC, step.optimizer)
    with pytest.raises(PrecisionNotActiveError, match="bf16 is not active: updates are rounded stochastically"):
        check_optimizer(NEAREST, build("train_step", "bf16-sr").optimizer)
    weight = step.model.get_parameter("conv1.weight")
    step.optimizer.state[weight]["momentum_buffer"] = torch.zeros(weight.shape)
    with pytest.raises(PrecisionNotActiveError, match="momentum is float32 where weights are bfloat16"):
        check_optimizer(step.policy, step.optimizer)
    with pytest.raises(PrecisionNotActiveError, match=r"parameters are bfloat16 \(Conv2d.weight\), not float32"):
        check_model(POLICIES["amp-bf16"], step.model, step.inputs)
    step.model.bfloat16()
    with pytest.raises(PrecisionNotActiveError, match=r"parameters are bfloat16 \(BatchNorm2d.weight\), not float32"):
        check_model(step.policy, step.model, step.inputs)


@pytest.mark.usefixtures("tiny_networks")
def test_a_cell_whose_optimizer_rounds_otherwise_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = make_workload(precision="bf16-sr", batch_size=2, device_type="cpu")
    build_step(workload, device=CPU, report_stage=lambda _stage: None).step.close()
    monkeypatch.setattr(step_module, "make_sgd", lambda model, _policy, **values: make_sgd(model, NEAREST, **values))
    with pytest.raises(PrecisionNotActiveError, match="bf16-sr is not active: updates are rounded to nearest"):
        build_step(workload, device=CPU, report_stage=lambda _stage: None)


def test_a_forward_pass_in_another_type_is_refused() -> None:
    class Wider(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", dtype=torch.float16):
                return self.fc(batch)  # type: ignore[no-any-return]

    model = Wider()
    cast_weights(model, NEAREST)
    with pytest.raises(PrecisionNotActiveError, match="layer fc computed in float16, not bfloat16"):
        check_model(NEAREST, model, torch.ones(1, 2))


# ------------------------------------------------------------------------------------------------------ a training


@pytest.mark.parametrize("precision", BOTH)
def test_a_training_with_bf16_weights_has_no_target_of_the_thesis(precision: str) -> None:
    assert POLICIES[precision].thesis is None
    assert recipe_for(THESIS, "resnet18", "amp-bf16").target_accuracy is not None
    recipe = recipe_for(THESIS, "resnet18", precision)
    assert recipe.target_accuracy is None
    assert recipe.epochs == 50
    assert recipe_for(SMOKE, "resnet18", precision) == SMOKE  # whose target is that anything is learnt


def test_at_a_small_learning_rate_bf16_stays_behind_fp32_and_stochastic_rounding_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """480 steps at 1e-4: most updates are less than half of the spacing of BF16 at their weight, and are lost."""

    def build_network(sizes: InputSizes) -> nn.Module:
        layers = nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, sizes.num_classes)
        return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), *layers)

    monkeypatch.setitem(models.MODELS, "perceptron", ModelSpec(build=build_network, name="perceptron"))
    images = generated_set()
    split = split_images(images, seed=0, num_train=80, num_validation=4, num_test=20)
    recipe = dataclasses.replace(
        SMOKE, epochs=60, batch_size=10, learning_rate=1e-4, decay_every_epochs=1000, warmup_epochs=0
    )
    learnt = {}
    for precision in ("fp32", *BOTH):
        workload = make_workload(
            model="perceptron", precision=precision, phase="full_training", batch_size=10, device_type="cpu"
        )
        training = Training(workload, recipe, images, split, device=CPU, seed=0)
        losses = [training.train_epoch()[0] for _ in range(recipe.epochs)]
        learnt[precision] = losses[0] - losses[-1]
    assert learnt["fp32"] > 0.3
    assert learnt["bf16"] < 0.2 * learnt["fp32"]
    assert learnt["bf16-sr"] == pytest.approx(learnt["fp32"], rel=0.1)

"""The operators of a step, counted by hand; their roofline, and what a cell keeps of it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from builders import make_workload
from torch import nn

from perfsuite.errors import NotSupportedError, RecordError
from perfsuite.measure.dry_run import predict_memory
from perfsuite.measure.flops import count_work
from perfsuite.measure.operator_recorder import OperatorRecorder
from perfsuite.measure.operators import count_operators
from perfsuite.records.operators import Operator, OperatorCost
from perfsuite.roofline import memory_bound_s, num_calls, operator_costs, roofline_s

N, C, K, SIZE = 4, 8, 16, 10


def test_a_convolution_a_normalisation_and_a_relu_are_counted_as_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(C, K, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(K), nn.ReLU(inplace=True)
    )
    images = torch.ones(N, C, SIZE, SIZE)
    with OperatorRecorder() as recorder:
        network(images)
    found = {one.name: one for one in recorder.operators()}
    inputs, outputs, weights = 4 * N * C * SIZE**2, 4 * N * K * SIZE**2, 4 * K * C * 9
    convolution = found["convolution"]
    assert (convolution.kind, convolution.num_calls) == ("convolution", 1)
    assert convolution.flops == 2 * N * SIZE**2 * K * C * 9
    assert convolution.num_bytes == inputs + weights + outputs
    normalisation = found["native_batch_norm"]
    assert normalisation.kind == "normalisation"
    per_channel = 4 * K
    # Reads the input, scale, shift and running statistics; writes the output, saved and running statistics.
    assert normalisation.num_bytes == pytest.approx(2 * outputs + 8 * per_channel, abs=2 * per_channel)
    relu = found["relu_"]
    assert (relu.kind, relu.flops, relu.num_bytes) == ("activation", 0, 2 * outputs)


def test_views_are_no_operators_and_a_tensor_that_is_read_twice_counts_once() -> None:
    values = torch.ones(6, 4)
    with OperatorRecorder() as recorder:
        _ = values.t().reshape(2, 12).view(24)[3:]
        _ = values * values
    names = [one.name for one in recorder.operators()]
    assert "mul" in names
    assert not {"t", "view", "slice", "detach"} & set(names)
    product = next(one for one in recorder.operators() if one.name == "mul")
    assert product.num_bytes == 2 * values.numel() * 4


@pytest.mark.parametrize("precision", ["fp32", "amp-bf16"])
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_phases_add_up_to_the_step_and_the_arithmetic_to_its_work(precision: str, memory_format: str) -> None:
    workload = make_workload(precision=precision, memory_format=memory_format, batch_size=2, device_type="cpu")

    def operators(phase: str) -> tuple[Operator, ...]:
        return count_operators(dataclasses.replace(workload, phase=phase))

    whole = operators("train_step")
    parts = (*operators("forward"), *operators("backward"))
    update = [one for one in whole if one.kind == "optimizer"]
    assert num_calls(whole) == num_calls(parts) + num_calls(update)
    assert sum(one.num_calls * one.flops for one in whole) == count_work(workload).flops
    weights = predict_memory(workload).parameters_bytes
    moved = sum(one.num_calls * one.num_bytes for one in update)
    assert 5 * weights <= moved <= 9 * weights  # weights, gradients and momentum read; weights and momentum written


@pytest.mark.usefixtures("tiny_networks")
def test_on_a_gpu_bf16_weights_are_updated_by_one_kernel_and_stochastically_one_by_one() -> None:
    """A weight that is rounded moves some 16 times over: casts, arithmetic in FP32, random bits."""
    updates = {}
    for precision in ("fp32", "bf16", "bf16-sr"):
        found = count_operators(make_workload(precision=precision, batch_size=2, device_type="cuda"))
        updates[precision] = [one for one in found if one.kind == "optimizer"]
    assert num_calls(updates["fp32"]) == 1
    assert num_calls(updates["bf16"]) == 2  # of weights, and of batch normalisations
    num_weights = len(["conv1.weight", "conv1.bias", "fc.weight", "fc.bias"])
    assert 15 * num_weights < num_calls(updates["bf16-sr"]) < 40 * num_weights
    moved = {name: sum(one.num_calls * one.num_bytes for one in ones) for name, ones in updates.items()}
    assert moved["bf16"] == pytest.approx(moved["fp32"] / 2, rel=0.1)  # batch normalisations stay
    assert moved["bf16-sr"] > 5 * moved["bf16"]


def test_what_is_called_has_no_operators_before_it_runs() -> None:
    with pytest.raises(NotSupportedError):
        count_operators(make_workload(phase="call", device_type="cpu"))


ALIKE = (
    Operator(name="convolution", kind="convolution", dtype="float32", num_calls=2, flops=800, num_bytes=10),
    Operator(name="convolution", kind="convolution", dtype="float32", num_calls=1, flops=100, num_bytes=60),
    Operator(name="relu_", kind="activation", dtype="float32", num_calls=3, flops=0, num_bytes=20),
)


def test_the_roofline_takes_of_each_call_what_takes_longer() -> None:
    """At 100 operations and 10 bytes a second: 2 x 8 s by arithmetic; 6 s and 3 x 2 s by bytes."""
    rates = {"flops_per_second": 100.0, "bytes_per_second": 10.0}
    assert roofline_s(ALIKE, **rates) == pytest.approx(16 + 6 + 6)
    assert memory_bound_s(ALIKE, **rates) == pytest.approx(6 + 6)
    assert num_calls(ALIKE) == 6
    first, second = operator_costs(ALIKE, **rates)
    assert first.name == "relu_"
    assert [first.roofline_s, first.lost_s] == pytest.approx([6, 6])
    assert (second.name, second.num_calls, second.flops, second.num_bytes) == ("convolution", 3, 1700, 80)
    assert [second.roofline_s, second.lost_s] == pytest.approx([22, 5])


@pytest.mark.parametrize("field", ["num_calls", "flops", "num_bytes", "roofline_s", "lost_s"])
def test_nothing_of_an_operator_is_below_zero(field: str) -> None:
    (cost, _) = operator_costs(ALIKE, flops_per_second=100.0, bytes_per_second=10.0)
    values = {**dataclasses.asdict(cost), field: -1}
    with pytest.raises(RecordError, match=field):
        OperatorCost(**values)

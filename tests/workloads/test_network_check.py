from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from builders import make_workload

from perfsuite.cli import main
from perfsuite.errors import ModelError, NotSupportedError
from perfsuite.measure.cell_setup import build_step
from perfsuite.measure.dry_run import predict_memory
from perfsuite.workloads.build import build_workload
from perfsuite.workloads.model_sources import load_model
from perfsuite.workloads.network_check import check_network
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from perfsuite.workloads.built_network import BuiltNetwork

CPU = torch.device("cpu")


def built(name: str, precision: str = "fp32", phase: str = "train_step") -> BuiltNetwork:
    spec = load_model(f"own_networks:{name}")
    workload = make_workload(model=spec.name, phase=phase, precision=precision, batch_size=3, device_type="cpu")
    return build_workload(workload, CPU)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("raises", "own_networks:raises: build raised ValueError: no weights here$"),
        ("returns_nothing", "build returned None; a torch.nn.Module is needed"),
        ("batch_is_a_tensor", r"batch returned no Batch\(inputs=..., targets=...\)"),
        ("batch_raises", "batch raised OSError: no such data set"),
        ("forward_raises", "forward raised KeyError: 'weights'"),
        ("returns_no_tensor", "forward returned no tensor, nor a tuple or dictionary of such"),
        ("loss_raises", "loss raised RuntimeError: shapes do not fit"),
        ("loss_is_a_number", "loss returned an object of type float; a scalar tensor is needed"),
        ("loss_of_each_sample", r"loss returned a tensor of shape \[3\] and type float32; a scalar"),
        ("nothing_to_train", "no parameter of it is trained"),
    ],
)
def test_what_goes_wrong_in_a_network_is_one_line_that_names_it(name: str, complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        check_network(built(name))


def test_inference_asks_for_no_loss() -> None:
    assert check_network(built("loss_raises", phase="inference")) == []


def test_a_type_without_a_kernel_is_not_supported_and_says_which() -> None:
    assert check_network(built("has_no_kernel_in_16_bits")) == []
    half = built("has_no_kernel_in_16_bits")
    half.model.half()
    half.inputs = half.inputs.half()
    with pytest.raises(NotSupportedError, match=r"forward raised \w+: \"cdist\" not implemented for 'Half'"):
        check_network(half)


def test_data_that_is_moved_to_the_host_is_found_and_the_module_is_named() -> None:
    (finding,) = check_network(built("asks_the_host"))
    assert finding == "forward moves data to the host in gate (item()): the host waits for the device there"


def test_a_look_leaves_the_network_as_it_was() -> None:
    load_model("torchvision:mobilenet_v3_small")
    workload = make_workload(
        model="torchvision:mobilenet_v3_small", batch_size=2, image_size=64, num_classes=4, device_type="cpu"
    )
    step = build_workload(workload, CPU)
    before = {name: tensor.clone() for name, tensor in step.model.state_dict().items()}
    check_network(step)
    assert all(torch.equal(tensor, before[name]) for name, tensor in step.model.state_dict().items())
    assert all(parameter.grad is None for parameter in step.model.parameters())


def test_control_flow_that_fake_tensors_cannot_follow_is_left_out_with_the_reason() -> None:
    spec = load_model("own_networks:asks_the_host")
    with pytest.raises(NotSupportedError, match="a dry run cannot follow own_networks:asks_the_host: DataDependent"):
        predict_memory(make_workload(model=spec.name, batch_size=2, device_type="cpu"))


def test_the_command_then_says_what_measures_the_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "--model", "own_networks:asks_the_host", "--batch-size", "2"]) == 2
    error = capsys.readouterr().err
    assert "a dry run cannot follow own_networks:asks_the_host: DataDependent" in error
    assert error.endswith("; `pytest benchmarks -m step` measures its memory\n")


def test_dropout_draws_the_same_mask_for_the_retained_graph_and_the_fresh_one() -> None:
    step = built("drops_out", phase="backward")
    assert isinstance(step, TrainingStep)
    state = torch.get_rng_state()
    assert step.check_retained_backward() < 1e-6
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("phase", ["train_step", "inference"])
def test_inputs_may_be_a_tuple_and_targets_a_dictionary(phase: str) -> None:
    spec = load_model("own_networks:two_inputs")
    workload = make_workload(model=spec.name, phase=phase, batch_size=3, device_type="cpu")
    step = build_step(workload, device=CPU, report_stage=lambda _stage: None).step
    step.body()
    assert step.num_iterations == 2


def test_a_layer_that_keeps_another_type_is_told_and_all_of_them_are_refused() -> None:
    from perfsuite.errors import PrecisionNotActiveError
    from perfsuite.workloads.precision import policy_named
    from perfsuite.workloads.precision_proof import check_model

    class InFloat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            with torch.autocast("cpu", enabled=False):
                last: torch.Tensor = self.last(x.float())
            return last

    network, policy, inputs = InFloat(), policy_named("amp-bf16"), torch.randn(2, 4)
    assert check_model(policy, network, inputs, is_strict=False) == ["last in float32"]
    with pytest.raises(PrecisionNotActiveError, match="layer last computed in float32"):
        check_model(policy, network, inputs)
    network.first = torch.nn.Identity()  # type: ignore[assignment]
    with pytest.raises(PrecisionNotActiveError, match="layer last computed in float32"):
        check_model(policy, network, inputs, is_strict=False)

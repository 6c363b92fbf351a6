from __future__ import annotations

import os

import pytest
import torch
from builders import make_workload
from torch.utils.flop_counter import FlopCounterMode

from perfsuite.errors import InvalidChoiceError
from perfsuite.measure.dry_run import predict_memory
from perfsuite.workloads.models import MODELS, build_model

CPU = torch.device("cpu")
COSTS = {name: spec.cost for name, spec in MODELS.items() if spec.cost is not None}


@pytest.mark.parametrize("name", COSTS)
def test_networks_have_the_parameters_and_the_arithmetic_that_the_table_says(name: str) -> None:
    model = build_model(name, device=CPU)
    assert sum(parameter.numel() for parameter in model.parameters()) == COSTS[name].num_parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    assert counter.get_total_flops() / 2e9 == pytest.approx(COSTS[name].forward_gmacs, rel=2e-3)


IS_SLOW = pytest.mark.skipif("PERFSUITE_SLOW_TESTS" not in os.environ, reason="takes a minute; PERFSUITE_SLOW_TESTS=1")


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name == "resnet18" else IS_SLOW) for name in COSTS])
def test_what_a_network_keeps_for_the_backward_pass_is_what_the_table_says(name: str) -> None:
    few, many = (
        predict_memory(
            make_workload(model=name, precision="fp32", phase="forward", batch_size=size, device_type="cuda")
        )
        for size in (2, 6)
    )
    kept_bytes = (many.activations_bytes - few.activations_bytes) / 4  # of one image
    assert kept_bytes / 1e6 == pytest.approx(COSTS[name].kept_megabytes, rel=5e-3)


def test_the_network_is_in_cifar_form_and_in_training_mode() -> None:
    model = build_model("resnet18", device=CPU)
    assert model.training
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert isinstance(model.maxpool, torch.nn.Identity)
    stem = model.conv1
    assert isinstance(stem, torch.nn.Conv2d)
    assert (stem.kernel_size, stem.stride, stem.out_channels) == ((3, 3), (1, 1), 64)


PUBLISHED = {"resnet18": (11_689_512, 1.81), "resnet50": (25_557_032, 4.09)}
"""Parameters and 1e9 multiply-accumulates of one 3x224x224 image with 1,000 classes, as torchvision's documentation
lists them with its weights ("num_params", "_ops")."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_at_224_pixels_a_network_is_torchvision_s_own(name: str) -> None:
    model = build_model(name, device=CPU, image_size=224, num_classes=1000)
    num_parameters, gmacs = PUBLISHED[name]
    assert sum(parameter.numel() for parameter in model.parameters()) == num_parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert model(torch.zeros(2, 3, 224, 224)).shape == (2, 1000)
    assert counter.get_total_flops() / 4e9 == pytest.approx(gmacs, abs=0.006)


def test_the_stem_changes_at_64_pixels() -> None:
    for size, stride in ((16, (1, 1)), (63, (1, 1)), (64, (2, 2))):
        model = build_model("resnet18", device=CPU, image_size=size, num_classes=7)
        assert model.conv1.stride == stride
        assert isinstance(model.maxpool, torch.nn.Identity) == (size < 64)
        assert model(torch.zeros(1, 3, size, size)).shape == (1, 7)  # also of the smallest image alone


def test_the_seed_decides_the_weights_and_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (build_model("resnet18", device=CPU, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    weights = [next(model.parameters()) for model in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_channels_last_is_applied_to_the_weights() -> None:
    model = build_model("resnet18", device=CPU, memory_format="channels_last")
    assert model.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[index,union-attr]


def test_unknown_names_are_refused_by_name() -> None:
    with pytest.raises(InvalidChoiceError, match="unknown model 'vgg16'; choose from resnet101"):
        build_model("vgg16", device=CPU)
    with pytest.raises(InvalidChoiceError, match="unknown memory format 'nhwc'"):
        build_model("resnet18", device=CPU, memory_format="nhwc")

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from builders import make_workload
from torch import nn

import perfsuite.workloads
from perfsuite.measure.evaluation_batch import evaluation_batch_size
from perfsuite.precisions import POLICIES
from perfsuite.recipes import THESIS
from perfsuite.training_choices import choices_in_words, training_choices
from perfsuite.workloads.models import build_model
from perfsuite.workloads.optimizer import optimizer_in_words


def test_the_readme_shows_the_choices_as_they_are() -> None:
    workload = make_workload(phase="full_training")
    choices = training_choices(
        workload,
        THESIS,
        deterministic=False,
        evaluation_batch=evaluation_batch_size(workload),
    )
    readme = Path(perfsuite.workloads.__file__).with_name("README.md").read_text(encoding="utf-8")
    assert choices_in_words(choices) in readme


@pytest.mark.parametrize("device_type", ["cuda", "cpu"])
@pytest.mark.parametrize("precision", POLICIES)
def test_the_record_says_how_weights_are_updated(precision: str, device_type: str) -> None:
    workload = make_workload(phase="full_training", precision=precision, device_type=device_type)
    choices = training_choices(workload, THESIS, deterministic=False, evaluation_batch=1)
    (value,) = (one.value for one in choices if one.name == "optimizer_implementation")
    assert value == optimizer_in_words(POLICIES[precision], device_type)
    assert (value == "fused") == (not precision.startswith("bf16") or (precision, device_type) == ("bf16", "cuda"))


def test_the_network_is_initialised_as_the_choice_says() -> None:
    model = build_model("resnet18", device=torch.device("cpu"))
    stem = next(iter(model.children()))
    assert isinstance(stem, nn.Conv2d)
    bound = 1 / math.sqrt(3 * 9)  # uniform, He with a = sqrt(5): fan in is 3 channels of 3x3
    assert stem.weight.abs().max() <= bound
    assert abs(float(stem.weight.detach().std()) - bound / math.sqrt(3)) < 0.05 * bound
    others = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module is not stem]
    for convolution in others:
        fan_out = convolution.out_channels * convolution.kernel_size[0] ** 2
        deviation = math.sqrt(2 / fan_out)
        assert abs(float(convolution.weight.detach().std()) - deviation) < 0.05 * deviation
        assert convolution.weight.abs().max() > 2.5 * deviation  # normal: a uniform one ends at 1.73
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(bool((norm.weight == 1).all()) and bool((norm.bias == 0).all()) for norm in norms)

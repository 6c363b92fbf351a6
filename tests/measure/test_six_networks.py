"""Predicted and measured peak of a training step on the CPU, for networks of six kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from builders import make_workload

from perfsuite.measure.dry_run import predict_memory
from perfsuite.measure.sample_cost import sample_cost
from perfsuite.measure.step_memory import measure_step_memory
from perfsuite.workloads.build import build_workload
from perfsuite.workloads.model_sources import load_model

EXAMPLES = Path(__file__).parents[2] / "benchmarks" / "examples"


@pytest.mark.parametrize(
    ("text", "image_size"),
    [
        ("resnet18", 32),
        (f"{EXAMPLES}/transformer.py:block", 32),
        (f"{EXAMPLES}/transformer.py:language_model", 32),
        ("torchvision:mobilenet_v3_small", 64),
        ("torchvision:alexnet", 64),
        ("torchvision:squeezenet1_1", 64),
    ],
)
def test_the_predicted_peak_is_within_five_percent_of_the_measured_one(text: str, image_size: int) -> None:
    spec = load_model(text)
    workload = make_workload(
        model=spec.name, batch_size=4, image_size=image_size, num_classes=10, device_type="cpu", phase="train_step"
    )
    step = build_workload(workload, torch.device("cpu"))
    step.settle()
    measured = measure_step_memory(step).allocated_bytes
    step.close()
    assert predict_memory(workload).peak_bytes == pytest.approx(measured, rel=0.05)


def test_what_a_sample_costs_is_counted_where_no_table_knows_it() -> None:
    """Counts a network of two linear layers and a ReLU by hand: weights are kept by nobody, inputs and ReLU are."""
    spec = load_model("own_networks:sound")
    cost = sample_cost(spec.name, image_size=32, num_classes=10)
    assert cost.num_parameters == 3072 * 8 + 8 + 8 * 10 + 10
    assert cost.forward_gmacs * 1e9 == pytest.approx(3072 * 8 + 8 * 10)
    assert cost.kept_megabytes * 1e6 == pytest.approx(4 * (3072 + 8 + 10), rel=0.01)


def test_what_cannot_be_run_costs_nothing_and_its_benchmark_says_why() -> None:
    spec = load_model("own_networks:forward_raises")
    assert sample_cost(spec.name, image_size=32, num_classes=10).forward_gmacs == 0

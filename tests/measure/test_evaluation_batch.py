from __future__ import annotations

import pytest
import torch
from builders import make_workload

from perfsuite.errors import NotSupportedError
from perfsuite.measure import dry_run
from perfsuite.measure.dry_run import EvaluationDryRun, predict_memory
from perfsuite.measure.evaluation_batch import MAX_EVALUATION_BATCH, evaluation_batch_size
from perfsuite.measure.largest_batch import largest_batch_size
from perfsuite.measure.memory import measure_peak_memory
from perfsuite.workloads.precision import autocast
from perfsuite.workloads.step import TrainingStep


@pytest.mark.no_cover
@pytest.mark.parametrize("precision", ["fp32", "amp-fp16"])
@pytest.mark.parametrize("model", ["resnet18", "resnet34", "resnet50"])
def test_evaluation_on_a_gpu_is_predicted_to_peak_just_below_a_training_step(model: str, precision: str) -> None:
    workload = make_workload(model=model, precision=precision)
    step_peak_bytes = predict_memory(workload).peak_bytes
    evaluation = EvaluationDryRun(workload)
    found = evaluation_batch_size(workload)
    assert evaluation.peak_bytes(found) <= step_peak_bytes < evaluation.peak_bytes(found + 1)
    assert found >= workload.batch_size
    assert evaluation.peak_bytes(MAX_EVALUATION_BATCH["cuda"]) > 3 * step_peak_bytes


def test_on_a_cpu_the_predicted_peak_of_evaluation_agrees_with_the_measured_one() -> None:
    cpu = torch.device("cpu")
    workload = make_workload(batch_size=8, device_type="cpu")
    step = TrainingStep(workload, device=cpu)
    step.train_step()
    step.zero_gradients()
    step.model.eval()

    def evaluate() -> torch.Tensor:
        with torch.no_grad(), autocast(step.policy, "cpu"):
            output: torch.Tensor = step.model(step.inputs)
        return output

    measured = measure_peak_memory(
        prepare=lambda: None, run=evaluate, device=cpu, resident=step.resident_tensors
    ).allocated_bytes
    assert EvaluationDryRun(workload).peak_bytes(8) == pytest.approx(measured, rel=0.03)


def test_both_memory_formats_evaluate_the_same_number_of_images() -> None:
    sizes = {
        evaluation_batch_size(make_workload(batch_size=8, memory_format=name))
        for name in ("contiguous", "channels_last")
    }
    assert len(sizes) == 1


def test_where_no_dry_run_is_possible_as_many_images_are_evaluated_as_are_trained_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert evaluation_batch_size(make_workload(compile_mode="default", batch_size=100)) == 100

    def no_tracker() -> None:
        raise NotSupportedError("torch 1.6 has no memory tracker")

    monkeypatch.setattr(dry_run, "fake_tensors_and_tracker", no_tracker)
    assert evaluation_batch_size(make_workload(batch_size=101)) == 101


@pytest.mark.parametrize("capacity", [150_999, 151_000, 200_000])
def test_the_search_is_short_where_the_peak_has_a_bend(capacity: int) -> None:
    """The network's weights decide below the bend, the first layer's activations above it."""
    sizes: list[int] = []

    def peak(size: int) -> int:
        sizes.append(size)
        return max(150_000 + size, 100_000 + 500 * size)

    found = largest_batch_size(peak, capacity, start=8) or 0
    assert peak(found) <= capacity < peak(found + 1)
    assert len(sizes) < 30

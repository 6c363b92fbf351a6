from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
import torch
from builders import make_workload

from perfsuite import thesis
from perfsuite.errors import InvalidChoiceError, MeasurementError, NotSupportedError
from perfsuite.measure import dry_run, memory_account
from perfsuite.measure.dry_run import EvaluationDryRun, predict_memory
from perfsuite.measure.largest_batch import MAX_BATCH_SIZE, largest_batch_size
from perfsuite.measure.memory import measure_peak_memory
from perfsuite.parsing import parse_capacity
from perfsuite.workloads.models import NARROW
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024**2
GIB = 1024**3


@pytest.mark.no_cover
@pytest.mark.parametrize("result", thesis.RESULTS, ids=lambda result: f"{result.model}-{result.precision}")
def test_the_study_s_peaks_are_predicted_within_one_and_a_half_percent(result: thesis.ThesisResult) -> None:
    workload = make_workload(model=result.model, precision=result.precision, gradients="kept")
    prediction = predict_memory(workload)
    assert prediction.peak_bytes == pytest.approx(result.peak_allocated_bytes, rel=0.015)


def test_the_parts_add_up_and_are_what_they_are_called() -> None:
    prediction = predict_memory(make_workload(gradients="kept", batch_size=4))
    parts = dataclasses.asdict(prediction)
    assert sum(parts.values()) == 2 * parts.pop("peak_bytes")
    weights = 11_173_962 * 4
    assert prediction.parameters_bytes == prediction.gradients_bytes == prediction.optimizer_bytes
    assert prediction.parameters_bytes == pytest.approx(weights, rel=1e-4)


def test_only_activations_halve_under_amp() -> None:
    fp32, amp = (predict_memory(make_workload(precision=name, gradients="kept")) for name in ("fp32", "amp-fp16"))
    assert amp.parameters_bytes == fp32.parameters_bytes
    assert 0.5 < amp.activations_bytes / fp32.activations_bytes < 0.6


def test_freed_gradients_take_less_at_the_peak_than_kept_ones() -> None:
    freed, kept = (predict_memory(make_workload(gradients=state)).peak_bytes for state in ("freed", "kept"))
    assert freed < kept


@pytest.mark.no_cover
@pytest.mark.parametrize("precision", ["fp32", "amp-bf16", "amp-fp16"])
@pytest.mark.parametrize("model", ["resnet18", "resnet34", "resnet50"])
def test_on_a_cpu_prediction_and_measurement_agree_within_three_percent(model: str, precision: str) -> None:
    """The measurement is the profiler's: the two share nothing but the network."""
    is_emulated = precision == "amp-fp16"  # and slow; bfloat16 is where the CPU has no instructions for it
    cpu = torch.device("cpu")
    image_size = 8 if is_emulated else 32
    if precision == "amp-bf16" and model != "resnet18":
        image_size = 16
    for gradients in ("freed",) if is_emulated and model != "resnet18" else ("freed", "kept"):
        workload = make_workload(
            model=model,
            precision=precision,
            batch_size=8 if precision == "fp32" else 2,
            image_size=image_size,
            gradients=gradients,
            device_type="cpu",
        )
        step = TrainingStep(workload, device=cpu)
        images = step.inputs
        # What is allocated once, momentum and gradients that are kept, does not depend on the size of images; the peak
        # is that of the third step.
        inputs = iter((images[:, :, :8, :8], images[:, :, :8, :8], images))

        def train_step(step: TrainingStep = step, inputs: Iterator[torch.Tensor] = inputs) -> None:
            step.inputs = next(inputs)
            step.train_step()

        train_step()
        step.zero_gradients()
        measured = measure_peak_memory(prepare=lambda: None, run=train_step, device=cpu, resident=step.resident_tensors)
        assert step.inputs is images
        assert predict_memory(workload).peak_bytes == pytest.approx(measured.allocated_bytes, rel=0.03)


@pytest.mark.parametrize(("precision", "image_size"), [("bf16", 32), ("bf16-sr", 8)])
def test_with_bf16_weights_too_prediction_and_measurement_agree(precision: str, image_size: int) -> None:
    """Of ResNet-18 and two images, which a CPU that emulates BF16 takes seconds for.

    Rounded stochastically, the update is what peaks, else the backward pass: oneDNN takes a little more there.
    """
    workload = make_workload(precision=precision, batch_size=2, image_size=image_size, device_type="cpu")
    step = TrainingStep(workload, device=torch.device("cpu"))
    step.train_step()
    step.zero_gradients()
    measured = measure_peak_memory(
        prepare=lambda: None, run=step.train_step, device=step.device, resident=step.resident_tensors
    )
    tolerance = 0.001 if precision == "bf16-sr" else 0.03
    assert predict_memory(workload).peak_bytes == pytest.approx(measured.allocated_bytes, rel=tolerance)


def test_weights_gradients_and_momentum_halve_with_bf16_weights_and_stochastic_rounding_takes_memory_for_itself() -> (
    None
):
    amp, nearest, stochastic = (
        predict_memory(make_workload(precision=name, batch_size=1, gradients="kept"))
        for name in ("amp-bf16", "bf16", "bf16-sr")
    )
    for part in ("parameters_bytes", "gradients_bytes", "optimizer_bytes"):
        assert getattr(nearest, part) == pytest.approx(getattr(amp, part) / 2, rel=0.001)
        assert getattr(nearest, part) == getattr(stochastic, part)
    assert stochastic.temporary_bytes > 2 * nearest.temporary_bytes
    assert nearest.autocast_bytes == stochastic.autocast_bytes == 0
    largest_weight = 512 * 512 * 3 * 3
    assert 12 * largest_weight < stochastic.peak_bytes - nearest.peak_bytes < 20 * largest_weight


def test_phases_peak_in_their_order_and_a_gpu_has_no_scratch_of_onednn() -> None:
    def peak(phase: str, device_type: str) -> int:
        return predict_memory(make_workload(phase=phase, device_type=device_type, batch_size=8)).peak_bytes

    assert peak("forward", "cpu") < peak("backward", "cpu") <= peak("train_step", "cpu")
    assert 0 < peak("forward", "cpu") - peak("forward", "cuda") <= 512 * 512 * 3 * 3 * 4  # the largest weight


@pytest.mark.parametrize("gradients", ["freed", "kept"])
@pytest.mark.parametrize("precision", ["fp32", "amp-fp16", "bf16-sr"])
def test_the_state_after_a_first_step_is_the_same_as_where_that_step_was_run(
    precision: str, gradients: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = make_workload(model=NARROW, precision=precision, batch_size=2, gradients=gradients)
    found, evaluation = dry_run._run_step.__wrapped__(workload), EvaluationDryRun(workload).peak_bytes(3)

    def run_a_step(step: TrainingStep) -> None:
        step.train_step()
        step.zero_gradients()

    monkeypatch.setattr(dry_run, "_warm_up", run_a_step)
    assert dry_run._run_step.__wrapped__(workload) == found
    assert EvaluationDryRun(workload).peak_bytes(3) == evaluation


def test_a_compiled_network_cannot_be_predicted() -> None:
    with pytest.raises(NotSupportedError, match="a compiled network decides itself"):
        predict_memory(make_workload(compile_mode="default"))


def test_an_account_that_does_not_add_up_is_refused() -> None:
    parts = {"PARAM": 1, "GRAD": 1, "OPT": 1, "ACT": 1, "TEMP": 1, "BUFFER": 1, "OTH": 1, "TOTAL": 7}
    assert memory_account._prediction(parts).other_bytes == 2
    with pytest.raises(MeasurementError, match="does not add up"):
        memory_account._prediction({**parts, "NEW": 5})
    del parts["ACT"]
    with pytest.raises(MeasurementError, match="no account of 'ACT'"):
        memory_account._prediction(parts)


@pytest.mark.parametrize("capacity", [99, 100, 1_000, 1_003, 54_321, 1_000_000])
def test_the_largest_batch_fits_and_one_more_image_does_not(capacity: int) -> None:
    sizes: list[int] = []

    def peak(size: int) -> int:
        sizes.append(size)
        return 90 + 10 * size + size // 7

    found = largest_batch_size(peak, capacity) or 0
    assert found == 0 or peak(found) <= capacity
    assert peak(found + 1) > capacity
    assert len(sizes) < 20


def test_the_search_ends_where_nothing_fits_and_where_everything_does() -> None:
    assert largest_batch_size(lambda _size: 100, 50) is None
    assert largest_batch_size(lambda _size: 100, 100) == MAX_BATCH_SIZE
    steps = [10, 20, 1000]  # not a line
    assert largest_batch_size(lambda size: steps[min(size // 50, 2)], 500) == 99


@pytest.mark.no_cover
def test_the_largest_batch_of_a_real_network_is_the_largest() -> None:
    workload = make_workload(precision="amp-fp16")

    def peak(size: int) -> int:
        return predict_memory(dataclasses.replace(workload, batch_size=size)).peak_bytes

    found = largest_batch_size(peak, GIB)
    assert found is not None
    assert peak(found) <= GIB < peak(found + 1)


@pytest.mark.parametrize(
    ("text", "size"), [("15GiB", 15 * GIB), ("15360 MiB", 15 * GIB), ("16gb", 16 * 10**9), ("1.5 GiB", 3 * GIB // 2)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_capacity(text) == size


@pytest.mark.parametrize("text", ["", "15", "GiB", "15 potatoes", "-1GiB", "0MiB", "nanGiB", "infGiB", "1e30GiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidChoiceError, match=r"--capacity: .* is an invalid size; write 15GiB"):
        parse_capacity(text)

"""Studies of real steps: lost updates, gradients, loss scaling, and trainings with one thing changed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from tiny_studies import failed, tiny_context, tiny_images

from perfsuite.errors import MeasurementError
from perfsuite.measure.numerics import ablation, autocast_types, gradients, scales, scaling, updates, weights
from perfsuite.measure.numerics.real_steps import training_of
from perfsuite.measure.numerics.registry import run_study
from perfsuite.measure.operators import count_operators
from perfsuite.records.environment import Process
from perfsuite.records.numerics import STUDIES
from perfsuite.records.reading import read_record


def updates_of(num: int = 4000) -> list[updates.Update]:
    generator = torch.Generator().manual_seed(0)
    sizes = 10 ** (-6 * torch.rand(num, generator=generator))
    return [
        updates.Update(layer="a", weights=torch.randn(num, generator=generator), velocity=sizes),
        updates.Update(layer="b", weights=torch.randn(num, generator=generator), velocity=-sizes / 10),
    ]


def test_swallowed_updates_are_those_that_numpy_s_float16_does_not_see() -> None:
    given = updates_of()
    swallowed = total = 0
    for update in given:
        kept = update.weights.numpy().astype(np.float16)
        after = (kept.astype(np.float64) - 0.01 * update.velocity.numpy().astype(np.float64)).astype(np.float16)
        swallowed += int((after == kept).sum())
        total += len(kept)
    share = updates.share_swallowed(given, torch.float16, 0.01)
    assert share == pytest.approx(swallowed / total, abs=2 / total)
    assert 0.1 < share < 0.9
    assert updates.share_below_half_spacing(given, "fp16", 0.01) == pytest.approx(share, abs=0.005)


def test_the_spacing_is_numpy_s() -> None:
    values = np.array([1.0, 1.999, 2.0, 1e-3, 6e-5, 1e-7], dtype=np.float16)
    found = updates.spacing(values.astype(np.float64), 10, 2.0**-14)
    assert found.tolist() == np.spacing(values).astype(np.float64).tolist()


def test_updates_of_a_real_step_are_counted_layer_by_layer() -> None:
    result = updates.study_updates(tiny_context())
    assert not failed(result.claims)
    by_name = {curve.name: curve for curve in result.curves}
    # Five stages of convolutions, three of them with a shortcut's, and the linear layer.
    assert len(by_name["fp16"].labels) == len(by_name["bf16"].y) == 1 + 4 * 4 + 3 + 1
    assert by_name["bf16 by learning rate"].x[-1] == 0.01
    assert all(one <= other for one, other in zip(by_name["fp16"].y, by_name["bf16"].y, strict=True))


def test_the_next_update_is_the_one_that_the_optimizer_makes() -> None:
    context = tiny_context()
    training = training_of(context, context.network()[0])
    found = updates.next_updates(training, context)
    before = [parameter.detach().clone() for parameter in training.model.parameters()]
    training.optimizer.step()  # of the gradients that are there
    for update, then, now in zip(found, before, training.model.parameters(), strict=True):
        moved = (then - now.detach()).flatten()
        assert torch.allclose(moved, 0.01 * update.velocity, atol=1e-7, rtol=1e-3)


def test_without_rounding_the_claims_on_updates_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "rounded", lambda values, _dtype: values)
    names = failed(updates.study_updates(tiny_context()).claims)
    assert [name.partition(" ")[0] for name in names] == ["FP16", "BF16"]


def test_exponents_and_losses_of_a_tensor_are_those_of_numpy() -> None:
    generator = np.random.default_rng(0)
    values = (generator.standard_normal(50_000) * 2.0 ** generator.integers(-40, 8, 50_000)).astype(np.float32)
    values[:100] = 0.0
    seen = gradients._nothing()
    gradients.count(seen, torch.from_numpy(values))
    nonzero = values[values != 0]
    exponents = np.floor(np.log2(np.abs(nonzero.astype(np.float64)))).astype(int)
    counts, _ = np.histogram(exponents, bins=np.arange(gradients.MIN_EXPONENT, gradients.MAX_EXPONENT + 2))
    assert seen.counts.tolist() == counts.tolist()
    assert seen.num_zeros == 100
    with np.errstate(over="ignore"):
        for exponent in (0, 8, 24):
            halves = (nonzero * np.float32(2.0**exponent)).astype(np.float16)
            magnitudes = np.abs(halves)
            lost = [magnitudes == 0, (magnitudes > 0) & (magnitudes < 2.0**-14), np.isinf(halves)]
            assert seen.lost[exponent].tolist() == [int(one.sum()) for one in lost]
    assert seen.largest == float(np.abs(values).max())


def test_of_a_large_tensor_every_kth_value_is_counted_as_k(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "MAX_SAMPLES", 100)
    seen = gradients._nothing()
    gradients.count(seen, torch.ones(1000))
    assert int(seen.counts.sum()) == pytest.approx(1000, abs=11)
    columns = torch.zeros(64, 32)  # only the first of each row is not zero
    columns[:, 0] = 1.0
    seen = gradients._nothing()
    gradients.count(seen, columns)
    assert int(seen.counts.sum()) / 2048 == pytest.approx(1 / 32, rel=0.35)


def test_gradients_are_seen_early_and_late_in_every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "LATE_STEPS_CPU", 4)
    result = gradients.study_gradients(tiny_context())
    assert not failed(result.claims)
    assert {histogram.stage for histogram in result.histograms} == {"early", "late"}
    layers = {histogram.layer for histogram in result.histograms if histogram.tensors == "activation gradients"}
    assert {"0", "1", "3.conv1", "3.bn1", "3.relu", "10.conv2"} <= layers
    assert len(result.curves) == 2 * 2 * 3
    assert any("A static scale is safe" in note for note in result.notes)


def test_without_rounding_the_claims_on_gradients_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "LATE_STEPS_CPU", 2)
    monkeypatch.setattr(gradients, "to_fp16", torch.clone)
    names = failed(gradients.study_gradients(tiny_context()).claims)
    assert any("without overflow" in name for name in names)


def test_safe_scales_lie_between_what_is_lost_and_what_overflows() -> None:
    seen = gradients._nothing()
    # A tenth at 2**-30, the rest at 2**-10; 2**-30 is above half the smallest subnormal from a scale of 2**6 on.
    gradients.count(seen, torch.tensor([1.5 * 2.0**-30] * 100 + [1.5 * 2.0**-10] * 900))
    low, high = gradients.safe_scales(seen, seen.lost.double() / 1000)
    assert low == 5
    assert high == 24
    seen.largest = 3.0
    assert gradients.safe_scales(seen, seen.lost.double() / 1000)[1] == 14


def test_a_mean_has_student_s_interval_and_one_value_has_none() -> None:
    found = ablation.mean_of([1.0, 2.0, 4.0])
    error = np.std([1.0, 2.0, 4.0], ddof=1) / math.sqrt(3)
    assert found.value == pytest.approx(7 / 3)
    assert found.margin == pytest.approx(4.3027 * error, rel=1e-4)
    assert ablation.mean_of([1.5]) == ablation.Mean(value=1.5, margin=0.0)


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "FINAL_STEPS", 8)
    monkeypatch.setattr(weights, "NUM_STEPS", 40)
    monkeypatch.setattr(scales, "NUM_STEPS", 40)


@pytest.mark.usefixtures("few_steps")
def test_weights_in_16_bits_stay_behind_and_stochastic_rounding_wins_it_back() -> None:
    result = weights.study_weights(tiny_context(seeds=(0,)))
    # FP16 loses too little in so few steps for its claims.
    assert not [name for name in failed(result.claims) if name.startswith("BF16")]
    assert {curve.name for curve in result.curves} == {
        *(arm.name for arm in weights.ARMS[1:]),
        "final loss",
        "accuracy",
    }


@pytest.mark.usefixtures("few_steps")
def test_without_rounding_the_claims_on_weights_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "rounded", lambda values, _dtype: values)
    result = weights.study_weights(tiny_context(seeds=(0,)))
    assert len(failed(result.claims)) == len(result.claims)
    assert "n = 1 seed, without an interval" in result.notes[0]


@pytest.mark.usefixtures("few_steps")
def test_loss_scales_too_low_and_too_high_fail_and_the_right_one_does_not() -> None:
    result = scales.study_scales(tiny_context(seeds=(0,)))
    # In so few steps on so easy images, losses of arms that are as good still scatter: those are compared below.
    assert not [name for name in failed(result.claims) if "too" in name]
    final = next(curve for curve in result.curves if curve.name == "final loss")
    losses = dict(zip(final.labels, final.y, strict=True))
    assert f"2^{scales.TOO_HIGH}" not in losses  # it has none
    too_low = losses.pop(f"2^{scales.TOO_LOW}")
    assert too_low > max(losses.values()) + 0.2


@pytest.mark.usefixtures("few_steps")
def test_without_rounding_the_claims_on_scales_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scales, "to_fp16", torch.clone)
    names = failed(scales.study_scales(tiny_context(seeds=(0,))).claims)
    assert any("too low" in name for name in names)
    assert any("too high" in name for name in names)


def test_a_dynamic_scale_halves_at_every_skipped_step_which_leaves_the_weights() -> None:
    context = tiny_context()
    result = scaling.study_scaling(context)
    assert not failed(result.claims)
    scale, skipped = (curve.y for curve in result.curves)
    assert scale[0] == scaling.START_EXPONENT
    for number in range(len(scale) - 1):
        assert scale[number + 1] == scale[number] - skipped[number]
    assert sum(skipped) >= 3


def test_a_scaler_that_does_not_skip_fails_its_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    step = scaling.TracedStep(scale=2.0**20, scale_after=2.0**20, is_skipped=True, moved=0.1, seconds=0.01)
    taken = dataclasses.replace(step, scale=2.0**16, is_skipped=False)
    monkeypatch.setattr(scaling, "trace", lambda _training, _context: [step, step, taken])
    names = failed(scaling.study_scaling(tiny_context()).claims)
    assert any("leaves the weights" in name for name in names)
    assert any("was halved" in name for name in names)


@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_convolutions_run_in_16_bits_and_loss_and_optimizer_in_32(device_type: str) -> None:
    given = tiny_context()
    workload = dataclasses.replace(given.network()[0], device_type=device_type)
    result = autocast_types.study_types(dataclasses.replace(given, workload=workload, device=torch.device(device_type)))
    assert not failed(result.claims)
    narrow = "float16" if device_type == "cuda" else "bfloat16"
    assert {one.dtype for one in result.operators if one.kind == "convolution"} == {narrow}
    assert {one.dtype for one in result.operators if one.kind == "optimizer"} == {"float32"}


def test_a_convolution_left_in_fp32_fails_its_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    count = count_operators

    def one_in_fp32(workload: object) -> object:
        found = list(count(workload))  # type: ignore[arg-type]
        first = next(number for number, one in enumerate(found) if one.kind == "convolution")
        found[first] = dataclasses.replace(found[first], dtype="float32")
        return tuple(found)

    monkeypatch.setattr(autocast_types, "count_operators", one_in_fp32)
    assert len(failed(autocast_types.study_types(tiny_context()).claims)) == 1


def test_too_few_images_are_one_line() -> None:
    context = tiny_context(images=tiny_images(520))
    with pytest.raises(MeasurementError, match="has 520 images to train on; 528 are needed"):
        updates.study_updates(context)
    with pytest.raises(MeasurementError, match="needs a network and images"):
        updates.study_updates(tiny_context(workload=None))


def test_a_study_becomes_a_record_that_can_be_read_again() -> None:
    process = Process(run_id="run", pid=1, started="2026-01-05T10:00:00+00:00")
    record = run_study("formats", tiny_context(workload=None, images=None), process)
    assert record.subject == ""
    assert read_record(record.to_json()) == record
    with pytest.raises(Exception, match="unknown study of mixed precision"):
        run_study("fp8", tiny_context(), process)  # type: ignore[arg-type]
    assert record.study in STUDIES

"""The prediction for GPUs one does not have, against what others published."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from builders import make_workload
from prediction_scores import Row, fit, left_out, margin, median_error, read_rows, table

from perfsuite.gpus import GPUS
from perfsuite.offline import prediction
from perfsuite.records.operators import Operator

MAX_MEDIAN_ERROR = 0.30


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return read_rows()


@pytest.fixture(scope="module")
def fitted(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.is_fitted]


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_kernels_of_bf16_weights_are_taken_for_those_of_amp(memory_format: str) -> None:
    for gpu in (GPUS["a100-40gb"], GPUS["p100-pcie"]):
        kinds = {
            prediction.class_of(make_workload(precision=name, memory_format=memory_format), gpu)
            for name in ("amp-fp16", "amp-bf16", "bf16", "bf16-sr")
        }
        half = "half_channels_last" if memory_format == "channels_last" else "half"
        assert kinds == {"fp32" if gpu.architecture == "pascal" else half}


@pytest.mark.no_cover
def test_the_constants_are_those_that_the_published_rows_give(fitted: list[Row]) -> None:
    constants = fit(fitted)
    assert constants.overhead == pytest.approx(prediction.OVERHEAD, rel=0.01)
    assert constants.speed_loss == pytest.approx(prediction.SPEED_LOSS, abs=0.005)
    assert constants.host_s == pytest.approx(prediction.HOST_S, rel=0.02)


def test_predictions_of_sources_that_were_left_out_hold_what_their_interval_says(fitted: list[Row]) -> None:
    errors = left_out(fitted)
    assert margin(fitted, errors) == pytest.approx(prediction.LOG_MARGIN, rel=0.02)
    assert 0.75 <= np.mean(np.abs(errors) <= prediction.LOG_MARGIN) <= 0.88
    assert median_error(errors) <= MAX_MEDIAN_ERROR


def test_no_row_is_above_the_bound_but_those_whose_precision_is_not_what_was_published(rows: list[Row]) -> None:
    """TF32 published as fp32 is faster than FP32 can be: the bound says so."""
    assert all(row.bound_s <= row.measured_s for row in rows)
    impossible = set()
    for row in rows:
        if (row.published, row.precision) == ("fp32", "tf32"):
            slower = GPUS[row.gpu].peak_flops["tf32"] / GPUS[row.gpu].peak_flops["fp32"]
            if row.bound_s * slower > row.measured_s:
                impossible.add(row.gpu)
    assert impossible == {"a100-80gb", "a100-pcie-80gb"}


def test_the_best_runs_come_near_the_roofline_and_far_from_the_bound(fitted: list[Row]) -> None:
    best = max((row for row in fitted if row.kind == "half_channels_last"), key=lambda row: row.share)
    assert 0.8 <= best.share <= 1.0
    assert best.bound_s / best.measured_s < best.share - 0.2


def test_every_row_is_in_the_table(rows: list[Row]) -> None:
    text = "\n".join(table(rows))
    assert text.count("% ") >= len(rows)
    assert all(f" {row.gpu} " in text for row in rows)


OPERATORS = (
    Operator(name="convolution", kind="convolution", dtype="float16", num_calls=10, flops=10**12, num_bytes=10**8),
    Operator(name="relu_", kind="activation", dtype="float16", num_calls=30, flops=0, num_bytes=10**9),
)


@pytest.mark.parametrize(
    ("precision", "memory_format", "gpu", "kind"),
    [
        ("fp32", "channels_last", "a100-40gb", "fp32"),
        ("tf32", "contiguous", "a100-40gb", "tf32"),
        ("amp-fp16", "contiguous", "a100-40gb", "half"),
        ("amp-bf16", "channels_last", "a100-40gb", "half_channels_last"),
        ("amp-fp16", "channels_last", "p100-pcie", "fp32"),
    ],
)
def test_a_prediction_by_hand(precision: str, memory_format: str, gpu: str, kind: str) -> None:
    """In a few lines of its own: each operator by arithmetic or bytes, then the four constants."""
    sheet = GPUS[gpu]
    workload = make_workload(precision=precision, memory_format=memory_format, batch_size=64, device_type="cuda")
    assert prediction.class_of(workload, sheet) == kind
    peak = sheet.peak_flops[{"fp32": "fp32", "tf32": "tf32", "amp-fp16": "fp16", "amp-bf16": "bf16"}[precision]]
    roofline = 10 * max(1e12 / peak, 1e8 / sheet.bytes_per_second) + 30 * 1e9 / sheet.bytes_per_second
    slower = prediction.OVERHEAD[kind] / (roofline / 64 * 1000) ** prediction.SPEED_LOSS
    expected = roofline * slower + 40 * prediction.HOST_S
    found = prediction.predict_step(OPERATORS, workload, sheet)
    assert found.seconds == pytest.approx(expected)
    assert math.log(found.high_s / found.seconds) == pytest.approx(prediction.LOG_MARGIN)
    assert math.log(found.seconds / found.low_s) == pytest.approx(prediction.LOG_MARGIN)
    faster = dataclasses.replace(sheet, bytes_per_second=2 * sheet.bytes_per_second)
    assert prediction.predict_step(OPERATORS, workload, faster).seconds < found.seconds


@pytest.mark.parametrize("name", [name for name, gpu in GPUS.items() if gpu.peak_flops.get("fp16", 0.0) > 3e13])
def test_tensor_cores_are_never_predicted_to_be_slower_than_fp32(name: str) -> None:
    """Small images are far from the published ones: 0.02 to 1 ms an image, half the bytes under AMP."""
    for num_bytes in (10**8, 10**9, 10**10):
        whole = Operator(
            name="convolution", kind="convolution", dtype="", num_calls=9, flops=10**10, num_bytes=num_bytes
        )
        half = dataclasses.replace(whole, num_bytes=num_bytes // 2)
        seconds = {
            precision: prediction.predict_step(
                (operator,), make_workload(precision=precision, batch_size=128, device_type="cuda"), GPUS[name]
            ).seconds
            for precision, operator in (("fp32", whole), ("amp-fp16", half))
        }
        assert seconds["amp-fp16"] <= seconds["fp32"]

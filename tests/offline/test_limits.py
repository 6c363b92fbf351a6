"""`perfsuite limits` and `memory` for several GPUs: what they give a reader, and what they refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from perfsuite.cli import main
from perfsuite.gpus import GPUS

if TYPE_CHECKING:
    from collections.abc import Callable

CELL = ("--model", "resnet18", "--precision", "amp-fp16")
PROMISED = (
    *("gpu", "model", "precision", "batch_size", "image_size", "bound_images_per_second"),
    *("roofline_images_per_second", "predicted_images_per_second", "predicted_low", "predicted_high"),
)


@pytest.fixture
def rows(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[dict[str, Any]]]:
    def run(*arguments: str, command: str = "limits") -> list[dict[str, Any]]:
        assert main([command, *arguments, "--format", "json"]) == 0
        found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return found

    return run


pytestmark = pytest.mark.usefixtures("tiny_networks")


def test_json_has_what_is_promised_and_every_number_in_its_place(rows: Callable[..., list[dict[str, Any]]]) -> None:
    found = rows("--gpu", "t4,NVIDIA A100 80GB PCIe,rtx-4090", *CELL, "--batch-size", "8,64", "--image-size", "64")
    assert len(found) == 6
    for row in found:
        assert set(PROMISED) <= set(row)
        assert row["predicted_low"] < row["predicted_images_per_second"] < row["predicted_high"]
        assert row["roofline_images_per_second"] <= row["bound_images_per_second"] * (1 + 1e-9)
        assert 0 < row["memory_bound_ratio"] <= 1
        hours = row["num_epochs"] * row["num_images"] / row["predicted_images_per_second"] / 3600
        assert row["training_s"] / 3600 == pytest.approx(hours)
        assert row["training_joules"] == pytest.approx(row["training_s"] * GPUS[row["gpu"]].power_watts)
    assert {row["gpu"] for row in found} == {"t4", "a100-pcie-80gb", "rtx-4090"}


def test_all_are_those_of_the_catalogue_that_have_the_precision(rows: Callable[..., list[dict[str, Any]]]) -> None:
    found = {row["gpu"] for row in rows("--gpu", "all", *CELL)}
    assert found == {name for name, gpu in GPUS.items() if "fp16" in gpu.peak_flops}


def test_the_largest_batch_is_that_of_the_prediction_of_memory(rows: Callable[..., list[dict[str, Any]]]) -> None:
    gpus = "t4,rtx-4090,h200"
    predicted = {row["gpu"]: row["largest_batch_size"] for row in rows("--gpu", gpus, *CELL, command="memory")}
    computed = {row["gpu"]: row["largest_batch_size"] for row in rows("--gpu", gpus, *CELL)}
    assert computed == predicted
    assert computed.keys() == set(gpus.split(","))


def test_prices_and_lengths_are_the_user_s(rows: Callable[..., list[dict[str, Any]]]) -> None:
    options = ("--gpu", "t4,l4", *CELL, "--images", "1000", "--epochs", "3", "--price", "t4=0.36,NVIDIA L4=0.72")
    found = {row["gpu"]: row for row in rows(*options)}
    for name, price in (("t4", 0.36), ("l4", 0.72)):
        row = found[name]
        assert (row["num_images"], row["num_epochs"], row["price_per_hour"]) == (1000, 3, price)
        assert row["training_price"] == pytest.approx(price * row["training_s"] / 3600)


def test_the_table_answers_which_is_fastest_and_which_is_cheapest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", "--gpu", "t4,h100,mi300x,p100-pcie", *CELL, "--price", "t4=0.35,h100=3"]) == 0
    text = capsys.readouterr().out
    assert "Predicted training by GPU, batch 128" in text
    lines = [line for line in text.splitlines() if line.split(" ")[0] in GPUS]
    predicted = [float(line.split("(")[0].split()[-1].replace(",", "")) for line in lines]
    assert predicted == sorted(predicted, reverse=True)
    assert "fastest: " in text
    assert "cheapest of those with a price: t4" in text
    assert "none of the published throughputs is of an AMD GPU" in text
    assert "images of other sizes than 224 pixels" in text


def test_the_layout_is_one_of_two_and_changes_the_prediction_alone(rows: Callable[..., list[dict[str, Any]]]) -> None:
    (before,), (after,) = (rows(*CELL, "--memory-format", name) for name in ("contiguous", "channels_last"))
    assert after["predicted_images_per_second"] > before["predicted_images_per_second"]
    same = ("bound_images_per_second", "roofline_images_per_second", "largest_batch_size")
    assert [before[key] for key in same] == [after[key] for key in same]


def test_bf16_weights_have_the_peak_of_bf16_and_their_update_its_time(
    rows: Callable[..., list[dict[str, Any]]],
) -> None:
    cells = (*CELL[:2], "--precision", "bf16,bf16-sr")
    found = {row["precision"]: row for row in rows("--gpu", "a100-40gb", *cells)}
    for row in found.values():
        assert row["arithmetic_s"] == pytest.approx(row["step_flops"] / GPUS["a100-40gb"].peak_flops["bf16"])
    assert found["bf16"]["roofline_s"] < found["bf16-sr"]["roofline_s"]


def test_a_network_of_others_is_predicted_and_that_it_extrapolates_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    cell = ["--model", "own_networks:sound", "--precision", "fp32", "--image-size", "224"]
    assert main(["limits", "--gpu", "t4", *cell]) == 0
    text = capsys.readouterr().out
    assert "networks other than ResNets: the prediction extrapolates" in text
    assert "images of other sizes" not in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--gpu", "t4,gtx"], "--gpu: unknown GPU 'gtx'; choose from gtx-1080-ti"),
        (["--gpu", ","], "--gpu: ',' names no GPU; choose from all"),
        (["--gpu", "t4,v100", "--precision", "tf32"], "--precision: the data sheet of a t4, v100 has no tf32"),
        (["--precision", "bf16"], "--precision: the data sheet of a t4 has no bf16; it has fp32, amp-fp16"),
        (["--memory-format", "nhwc"], "--memory-format: unknown memory format 'nhwc'; choose from contiguous"),
        (["--images", "0"], "--images: '0' is not a number of images; whole numbers from 1"),
        (["--epochs", "many"], "--epochs: 'many' is not a number of epochs; whole numbers from 1"),
        (["--price", "l4=1"], "--price: l4 is none of the GPUs asked for: t4"),
        (["--price", "t4=1,T4=2"], "--price: t4 has two prices, 1 and 2"),
        (["--price", "t4"], "--price: 't4' is not NAME=PRICE"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["limits", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip().startswith(f"perfsuite: error: {complaint}")
    assert captured.err.count("\n") == 1

"""The predicted peak at any batch size, against a dry run of that size."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_workload

from perfsuite.measure.dry_run import predict_memory, step_dry_run
from perfsuite.measure.peak_by_batch import peak_by_batch
from perfsuite.workloads.model_sources import load_model

if TYPE_CHECKING:
    from perfsuite.records.workload import Workload


def peak_of_a_dry_run(workload: Workload, batch_size: int) -> int:
    return predict_memory(dataclasses.replace(workload, batch_size=batch_size)).peak_bytes


@pytest.mark.parametrize(
    ("model", "precision", "gradients", "image_size"),
    [
        ("resnet18", "fp32", "kept", 32),
        ("resnet18", "bf16-sr", "freed", 32),
        ("resnet34", "amp-fp16", "freed", 64),
        ("resnet50", "amp-bf16", "kept", 32),
    ],
)
def test_it_is_that_of_a_dry_run_of_each_size(model: str, precision: str, gradients: str, image_size: int) -> None:
    workload = make_workload(
        model=model, precision=precision, gradients=gradients, image_size=image_size, batch_size=32
    )
    peak_bytes = peak_by_batch(workload)
    for batch_size in (1, 777, 20_000):
        assert peak_bytes(batch_size) == peak_of_a_dry_run(workload, batch_size)


@pytest.mark.usefixtures("tiny_networks")
def test_three_dry_runs_are_enough_for_all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def noted(workload: Workload) -> Any:
        sizes.append(workload.batch_size)
        return step_dry_run(workload)

    monkeypatch.setattr("perfsuite.measure.peak_by_batch.step_dry_run", noted)
    peak_bytes = peak_by_batch(make_workload(batch_size=8))
    assert peak_bytes(100) < peak_bytes(1000)
    assert sizes == [8, 16, 32]


def test_a_network_that_compares_the_images_of_a_batch_is_dry_run_at_each_size() -> None:
    own = load_model("own_networks:compares_all_images")
    workload = make_workload(model=own.name, precision="fp32", batch_size=64)
    peak_bytes = peak_by_batch(workload)
    assert peak_bytes(4096) == peak_of_a_dry_run(workload, 4096) > 20 * peak_bytes(512)

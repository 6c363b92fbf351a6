"""What a timed pass says of a CPU: seconds by clocks that are given, and never an error."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from builders import make_workload
from torch import nn

from perfsuite.measure import timed_pass
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHED = (timed_pass._sample_s, timed_pass.cpu_slowdown)

pytestmark = pytest.mark.usefixtures("tiny_networks")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    for cached in CACHED:
        cached.cache_clear()


@pytest.mark.parametrize(("first_s", "second_s", "expected_s"), [(0.9, 0.2, 0.2), (0.2, 0.9, 0.2), (5.0, 0.2, 5.0)])
def test_a_short_pass_is_repeated_and_the_shorter_counts(first_s: float, second_s: float, expected_s: float) -> None:
    readings = iter([10.0, 10.0 + first_s, 20.0, 20.0 + second_s])
    calls: list[int] = []
    assert timed_pass._timed(lambda: calls.append(1), now=lambda: next(readings)) == pytest.approx(expected_s)
    assert len(calls) == (1 if first_s > 1 else 2)


def test_an_iteration_takes_its_share_of_a_step_times_its_batch_in_its_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """AMP takes 0.6 s a sample where it is timed; 0.3 s x 50 where that would take too long, as a convolution tells."""
    slowdowns = {"fp32": 1.0, "amp-bf16": 5.0, "amp-fp16": 50.0}
    monkeypatch.setattr(timed_pass, "_sample_s", lambda *arguments: 0.3 if arguments[-1] == "fp32" else 0.6)
    monkeypatch.setattr(timed_pass, "cpu_slowdown", slowdowns.__getitem__)

    def seconds(phase: str, precision: str, batch_size: int) -> float | None:
        workload = make_workload(phase=phase, precision=precision, batch_size=batch_size, device_type="cpu")
        return timed_pass.cpu_iteration_s(workload)

    assert seconds("train_step", "fp32", 8) == pytest.approx(2.4)
    assert seconds("forward", "fp32", 8) == pytest.approx(0.8)
    assert seconds("backward", "amp-bf16", 1) == pytest.approx(0.4)
    assert seconds("train_step", "amp-fp16", 2) == pytest.approx(30.0)


def test_more_work_takes_longer() -> None:
    """Real passes of real sizes: four times the pixels of a network take longer, by any clock that runs."""
    seconds = [timed_pass._sample_s("resnet18", size, 10, 2, "fp32") for size in (32, 256)]
    assert all(one is not None and one > 0 for one in seconds)
    assert all(first < second for first, second in pairwise(one or 0.0 for one in seconds))


def test_a_network_that_cannot_be_run_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_step: TrainingStep) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(TrainingStep, "train_step", fail)
    assert timed_pass.cpu_iteration_s(make_workload(device_type="cpu")) is None


@pytest.mark.parametrize("precision", ["fp32", "amp-bf16", "amp-fp16", "bf16", "bf16-sr"])
def test_every_precision_is_compared_with_fp32(precision: str) -> None:
    slowdown = timed_pass.cpu_slowdown(precision)
    assert slowdown == 1.0 if precision == "fp32" else slowdown > 0.05


@pytest.mark.parametrize("precision", ["amp-bf16", "bf16"])
def test_a_convolution_is_timed_in_the_type_of_the_precision(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    original = nn.Conv2d.forward

    def forward(layer: nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = original(layer, images)
        seen.append(outputs.dtype)
        return outputs

    monkeypatch.setattr(nn.Conv2d, "forward", forward)
    timed_pass.cpu_slowdown.cache_clear()
    timed_pass.cpu_slowdown(precision)
    assert set(seen) == {torch.bfloat16, torch.float32}
    assert seen[0] == torch.bfloat16

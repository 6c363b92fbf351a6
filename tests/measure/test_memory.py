from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import make_workload
from torch import nn

from perfsuite.errors import MeasurementError
from perfsuite.measure.memory import (
    MemoryEvent,
    PeakMemory,
    cuda_peak,
    left_behind_bytes,
    measure_peak_memory,
    peak_of_events,
    release_cached_memory,
    resident_bytes,
)
from perfsuite.workloads.model_spec import ModelSpec
from perfsuite.workloads.models import MODELS
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.workloads.model_spec import InputSizes

CPU = torch.device("cpu")
MIB = 1024**2


def peak(run: Callable[[], object], prepare: Callable[[], object] = lambda: None, resident: Any = ()) -> int:
    return measure_peak_memory(prepare=prepare, run=run, device=CPU, resident=lambda: resident).allocated_bytes


def floats(mebibytes: int) -> torch.Tensor:
    return torch.ones(mebibytes * MIB // 4)


def test_a_temporary_counts_though_it_is_gone_at_the_end() -> None:
    def run() -> None:
        kept = floats(4)
        temporary = floats(8)
        del temporary
        kept.add_(1)

    assert peak(run) == pytest.approx(12 * MIB, rel=0.01)


def test_resident_tensors_and_what_was_prepared_count() -> None:
    resident = floats(3)
    prepared: list[torch.Tensor] = []

    def prepare() -> None:
        prepared[:] = [floats(5)]

    assert peak(lambda: floats(2), prepare, [resident, resident[:10]]) == pytest.approx(10 * MIB, rel=0.01)


def test_a_leak_in_a_pass_raises_its_peak() -> None:
    leaked: list[torch.Tensor] = []

    def run() -> None:
        leaked.append(floats(6))

    assert peak(run) == pytest.approx(12 * MIB, rel=0.01)  # of both passes


def test_a_cpu_reserves_nothing_and_says_why() -> None:
    result = measure_peak_memory(prepare=lambda: None, run=lambda: floats(1), device=CPU, resident=list)
    assert result.reserved_bytes is None
    assert result.absent


def test_the_peak_is_looked_for_in_the_window_only() -> None:
    def event(time_ns: int, num_bytes: int, *, inside: bool) -> MemoryEvent:
        return MemoryEvent(time_ns=time_ns, num_bytes=num_bytes, in_window=inside)

    events = [
        event(5, -3, inside=True),
        event(1, 100, inside=False),
        event(2, -90, inside=False),
        event(3, 7, inside=True),
        event(6, 50, inside=False),
    ]
    assert peak_of_events(events) == 17
    assert peak_of_events([event(1, 100, inside=False), event(2, -40, inside=True)]) == 100  # as it begins
    with pytest.raises(MeasurementError, match="saw no allocation"):
        peak_of_events(events[1:3])


def test_a_storage_that_is_shared_counts_once() -> None:
    tensor = floats(2)
    assert resident_bytes([tensor, tensor.view(2, -1), tensor[5:]]) == 2 * MIB


def test_a_step_in_half_precision_holds_fewer_activations_than_one_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network of small layers: a ResNet in BF16 takes a minute where a CPU must emulate it."""

    def build(sizes: InputSizes) -> nn.Module:
        pairs = [(nn.Conv2d(3 if index == 0 else 16, 16, 3, padding=1), nn.ReLU()) for index in range(16)]
        layers = itertools.chain.from_iterable(pairs)
        return nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(1024, sizes.num_classes))

    monkeypatch.setitem(MODELS, "small", ModelSpec(build=build, name="small"))
    peaks = {}
    for precision in ("fp32", "amp-bf16"):
        workload = make_workload(model="small", precision=precision, batch_size=8, device_type="cpu")
        step = TrainingStep(workload, device=CPU)
        step.train_step()
        step.zero_gradients()
        peaks[precision] = peak(step.train_step, resident=step.resident_tensors())
        types = {tensor.dtype for tensor in (*step.resident_tensors(), *step.gradients())}
        assert types == {torch.float32, torch.int64}  # parameters, gradients, momentum; and labels
        step.close()
    assert peaks["amp-bf16"] < 0.8 * peaks["fp32"]


class FakeCuda:
    """The calls of torch.cuda that memory is measured through, in the order in which they come."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {
            "synchronize": None,
            "empty_cache": None,
            "reset_peak_memory_stats": None,
            "memory_stats": {
                "allocated_bytes.all.peak": 123,
                "requested_bytes.all.peak": 120,
                "reserved_bytes.all.peak": 456,
            },
            "mem_get_info": (300, 1000),
            "memory_reserved": 400,
            "memory_allocated": 7,
        }.items():
            monkeypatch.setattr(torch.cuda, name, self._call(name, value))
        monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", self._call("clear", None), raising=False)

    def _call(self, name: str, value: object) -> Callable[..., object]:
        def call(*_arguments: object) -> object:
            self.calls.append(name)
            return value

        return call


def test_on_cuda_the_peak_is_reset_after_a_first_pass_and_read_after_the_device_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeCuda()
    fake.install(monkeypatch)
    device = torch.device("cuda", 0)
    result = measure_peak_memory(
        prepare=lambda: fake.calls.append("prepare"),
        run=lambda: fake.calls.append("run"),
        device=device,
        resident=list,
    )
    assert result == PeakMemory(
        allocated_bytes=123,
        reserved_bytes=456,
        rounding_bytes=3,
        cublas_workspace_bytes=0,
        outside_torch_bytes=1000 - 300 - 400,
    )
    assert fake.calls == [
        *("synchronize", "memory_allocated", "clear", "memory_allocated"),
        *("empty_cache", "prepare", "run", "prepare"),
        *("synchronize", "reset_peak_memory_stats", "run", "synchronize"),
        *("memory_stats", "mem_get_info", "memory_reserved"),
        *("synchronize", "memory_allocated", "clear", "memory_allocated"),
    ]
    assert left_behind_bytes(device) == 7
    assert left_behind_bytes(CPU) == 0
    release_cached_memory(CPU)


@pytest.mark.parametrize("requested", [{"requested_bytes.all.peak": 0}, {}])
def test_an_allocator_that_does_not_count_what_is_requested_leaves_the_rounding_absent(
    requested: dict[str, int],
) -> None:
    """`cudaMallocAsync` leaves the counter at 0, which would make all of the peak rounding."""
    stats = {"allocated_bytes.all.peak": 123, "reserved_bytes.all.peak": 456, **requested}
    peak = cuda_peak(stats, used_bytes=0, held_bytes=0, cublas_workspace_bytes=0)
    assert peak.rounding_bytes is None
    assert peak.absent == "this allocator does not report what was requested of it"

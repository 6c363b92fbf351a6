"""Stands in for `torch.cuda` where there is no GPU: records the calls, and fails where a test wants it to.

Code that is given the device `cuda` runs as it is; its tensors live on the CPU. What is recorded, in order, is every
call of `torch.cuda` that matters for measuring, work given to the device, reads of its results on the host (which wait
for it), and marks that a test sets.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from perfsuite.measure import dry_run, evaluation_batch
from perfsuite.measure import flops as work
from perfsuite.measure import microbenchmarks as probes
from perfsuite.measure.budget import BUDGETS
from perfsuite.workloads import models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

CUDA = torch.device("cuda", 0)
MIB = 1024**2

WORK = {"conv2d", "linear", "mm", "backward", "grad", "_fused_sgd_", "index_select", "addcmul", "copy_"}
"""Functions of torch that give the device something to do, by name; one of them is in everything that is timed."""

READS = {"item", "__float__", "__int__", "__bool__", "tolist", "cpu"}
"""Methods of a tensor in which the host waits for the device."""

ANSWERED_BY_A_LOST_DEVICE = {"memory_allocated", "max_memory_allocated", "memory_reserved", "memory_stats"} | {
    "reset_peak_memory_stats"
}
"""Calls that torch's allocator answers on the host."""


def illegal_access() -> RuntimeError:
    """Return the error that every call gives once a kernel has read where it must not."""
    error = getattr(torch, "AcceleratorError", RuntimeError)  # from torch 2.8 on
    return error(
        "CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress' in "
        "https://docs.nvidia.com/\nCUDA kernel errors might be asynchronously reported at some other API call"
    )


def out_of_memory_errors() -> dict[str, Exception]:
    """Return every form in which torch tells that memory ran out on a GPU, by a name for the test."""
    driver = getattr(torch, "AcceleratorError", RuntimeError)
    return {
        "allocator": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1 MiB free"),
        "cuda-alias": torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        "driver": driver("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in https://docs"),
        "driver-before-2.8": RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"),
        "mapping": RuntimeError("CUDA driver error: out of memory"),
        "cudnn-find": RuntimeError("FIND was unable to find an engine to execute this computation"),
        "cudnn-get": RuntimeError("GET was unable to find an engine to execute this computation"),
        "cudnn-quantised": RuntimeError("Unable to find an engine to execute this computation"),
        "cudnn-legacy": RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
        "cudnn-status": RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    }


@dataclass(slots=True, kw_only=True)
class Fault:
    """What goes wrong, and when.

    Attributes:
        error: What is raised.
        call: In which recorded call, `work` for instance.
        stage: Only in stages that begin so.
        skip: How many such calls succeed before.
        is_sticky: Whether every call after it fails too, as with a lost CUDA context.
    """

    error: BaseException
    call: str = "work"
    stage: str = ""
    skip: int = 0
    is_sticky: bool = False


@dataclass(slots=True)
class _Event:
    """As `torch.cuda.Event`."""

    stand_in: CudaStandIn

    def record(self, _stream: object = None) -> None:
        self.stand_in.note("event.record")

    def synchronize(self) -> None:
        self.stand_in.note("event.synchronize")

    def elapsed_time(self, _end: object) -> float:
        return 1.0


@dataclass
class CudaStandIn(TorchFunctionMode):
    """The stand-in; entered as a context manager once `install` has replaced `torch.cuda`."""

    log: list[str] = field(default_factory=list)
    stage: str = ""
    fault: Fault | None = None
    lost: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def mark(self, text: str) -> None:
        """Write a line of the test's own into the record."""
        self.log.append(text)

    def begin_stage(self, stage: str) -> None:
        """Note what is being done now, as the harness tells it."""
        self.stage = stage
        self.mark(f"stage {stage}")

    def note(self, call: str) -> None:
        """Record a call, and fail where that is wanted; work that follows work is one line."""
        if not (call == "work" and self.log and self.log[-1] == "work"):
            self.log.append(call)
        if self.lost is not None and call not in ANSWERED_BY_A_LOST_DEVICE:
            raise self.lost
        fault = self.fault
        if fault is None or call != fault.call or not self.stage.startswith(fault.stage):
            return
        fault.skip -= 1
        if fault.skip < 0:
            self.fault = None
            self.lost = fault.error if fault.is_sticky else None
            raise fault.error

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Put on the CPU what belongs on the GPU, and record work and waits."""
        del types
        name = getattr(func, "__name__", "")
        if name in WORK and torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE) is None:
            self.note("work")
        elif name == "to" and any(_on_cpu(value) is not value for value in (*args, *(kwargs or {}).values())):
            self.note("place")
        elif name in READS:
            self.note("read")
        if func is torch.device:  # what the code under test calls the device
            return func(*args, **(kwargs or {}))
        placed = {key: _on_cpu(value) for key, value in (kwargs or {}).items()}
        return func(*map(_on_cpu, args), **placed)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace what is used of `torch.cuda`, as a Tesla T4 would answer."""

        def noted(name: str, result: Any = None) -> Callable[..., Any]:
            def call(*_arguments: object, **_options: object) -> Any:
                self.note(name)
                return result

            return call

        peaks = {"allocated_bytes.all.peak": 300 * MIB, "reserved_bytes.all.peak": 400 * MIB}
        peaks["requested_bytes.all.peak"] = 299 * MIB
        properties = SimpleNamespace(name="Tesla T4", total_memory=14_909 * MIB, major=7, minor=5, uuid="0-0")
        answers: dict[str, Any] = {
            "synchronize": noted("synchronize"),
            "empty_cache": noted("empty_cache"),
            "reset_peak_memory_stats": noted("reset_peak_memory_stats"),
            "max_memory_allocated": noted("max_memory_allocated", 300 * MIB),
            "memory_allocated": noted("memory_allocated", 0),
            "memory_reserved": noted("memory_reserved", 400 * MIB),
            "memory_stats": noted("memory_stats", peaks),
            "mem_get_info": noted("mem_get_info", (14_000 * MIB, 14_909 * MIB)),
            "set_rng_state": noted("set_rng_state"),
            "is_available": lambda: True,
            "set_device": noted("set_device"),
            "current_device": lambda: 0,
            "device_count": lambda: 1,
            "get_arch_list": lambda: ["sm_75"],
            "get_device_capability": lambda *_: (7, 5),
            "get_device_name": lambda *_: "Tesla T4",
            "get_device_properties": lambda *_: properties,
            "current_stream": lambda *_: None,
            "Event": lambda **_: _Event(self),
        }
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, answer)
        # Recorded, and not done: with all of torch's objects it takes longer than a tiny network's cell.
        monkeypatch.setattr(gc, "collect", lambda: self.mark("collect garbage"))

        def get_rng_state(*_arguments: object) -> torch.Tensor:
            self.note("get_rng_state")
            return torch.zeros(16, dtype=torch.uint8)

        monkeypatch.setattr(torch.cuda, "get_rng_state", get_rng_state)
        clear = noted("clear_cublas_workspaces")
        monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", clear, raising=False)
        autocast, load = torch.autocast, torch.load

        def autocast_on_cpu(device_type: str, **options: Any) -> Any:
            return autocast(_on_cpu(device_type), **options)

        def load_on_cpu(file: Any, *, map_location: torch.device, **options: Any) -> Any:
            return load(file, map_location=_on_cpu(map_location), **options)

        monkeypatch.setattr(torch, "autocast", autocast_on_cpu)
        monkeypatch.setattr(torch, "load", load_on_cpu)


def _on_cpu(value: Any) -> Any:
    if isinstance(value, torch.device) and value.type == "cuda":
        return torch.device("cpu")
    return "cpu" if isinstance(value, str) and value.startswith("cuda") else value


class _TinyNetwork(nn.Module):
    """A network with the parts of a ResNet that are replaced for CIFAR, and little to compute."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool: nn.Module = nn.MaxPool2d(2)
        self.fc = nn.Linear(64, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = nn.functional.avg_pool2d(images, 4)  # a CPU computes convolutions in FP16 one number after the other
        features = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        logits: torch.Tensor = self.fc(features.mean(dim=(2, 3)))
        return logits


def use_tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build a tiny network in place of every ResNet."""

    def build(*, weights: None, num_classes: int) -> nn.Module:
        del weights
        return _TinyNetwork(num_classes)

    torchvision = SimpleNamespace(models=SimpleNamespace(**dict.fromkeys(models.MODELS, build)))
    monkeypatch.setattr(models, "import_torchvision", lambda: torchvision)
    keep_dry_runs_apart(monkeypatch)


RUNS_OF_REAL_NETWORKS = {name: getattr(dry_run, name) for name in ("_run_step", "_run_inference")}
"""What was computed of them once is kept for all tests of a worker: they take most of the time of many."""


def keep_dry_runs_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give networks that stand for others under their names dry runs of their own."""
    for name, cached in RUNS_OF_REAL_NETWORKS.items():
        monkeypatch.setattr(dry_run, name, functools.lru_cache(maxsize=64)(cached.__wrapped__))


def forget_dry_runs() -> None:
    """Empty the caches of what was computed of other networks under the same name."""
    for module in (dry_run, evaluation_batch, work):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


@contextlib.contextmanager
def small_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[CudaStandIn]:
    """Put a GPU there on which everything is small and quick: networks, probes, warm-up."""
    stand_in = CudaStandIn()
    stand_in.install(monkeypatch)
    use_tiny_networks(monkeypatch)
    forget_dry_runs()
    no_warm_up = {"min_warm_up_s": 0.0, "max_warm_up_s": 0.01, "min_first_warm_up_s": 0.0, "max_first_warm_up_s": 0.01}
    changes: dict[str, Any] = {"min_rounds": 2, "max_time_s": 0.01, **no_warm_up}
    budget = dataclasses.replace(BUDGETS["cuda"], **changes)
    monkeypatch.setitem(BUDGETS, "cuda", budget)
    monkeypatch.setitem(probes.SIZES, "cuda", probes.Sizes(matrix=32, images=1, copy_bytes=4096, min_seconds=1e-4))
    try:
        with stand_in:
            yield stand_in
    finally:
        forget_dry_runs()

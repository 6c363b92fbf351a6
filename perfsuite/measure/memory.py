"""Peak memory of one stable iteration of a phase."""

from __future__ import annotations

import gc
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from perfsuite.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_WINDOW = "perfsuite memory window"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakMemory:
    """Peak memory of one iteration.

    Attributes:
        allocated_bytes: Peak of what tensors held, resident ones included.
        reserved_bytes: Peak of what the allocator held from the device.
        rounding_bytes: How much of the peak is the allocator's rounding up (to 512 bytes, large blocks unsplit).
        cublas_workspace_bytes: How much cuBLAS holds as its workspace, from its first call on.
        outside_torch_bytes: What is in use on the GPU and not held by torch's allocator: the CUDA context, its
            kernels, other processes.
        absent: The reason for everything that is None.
    """

    allocated_bytes: int
    reserved_bytes: int | None = None
    rounding_bytes: int | None = None
    cublas_workspace_bytes: int | None = None
    outside_torch_bytes: int | None = None
    absent: str | None = None


class MemoryMeter(Protocol):
    """Reads the peak of what is allocated on a device."""

    def reset(self) -> None:
        """Forget the peak so far."""

    def peak_bytes(self) -> int | None:
        """Return the peak since the last reset; None where nothing keeps that account."""


@dataclass(frozen=True, slots=True)
class CudaMemoryMeter:
    """Reads the peak from torch's allocator on a GPU."""

    device: torch.device

    def reset(self) -> None:
        """Forget the peak so far."""
        torch.cuda.reset_peak_memory_stats(self.device)

    def peak_bytes(self) -> int | None:
        """Return the peak since the last reset."""
        return torch.cuda.max_memory_allocated(self.device)


class NoMemoryMeter:
    """Stands for the CPU's allocator, which keeps no account."""

    def reset(self) -> None:
        """Do nothing."""

    def peak_bytes(self) -> int | None:
        """Return None."""
        return None


def memory_meter(device: torch.device) -> MemoryMeter:
    """Return what reads the peak memory of a device."""
    return CudaMemoryMeter(device) if device.type == "cuda" else NoMemoryMeter()


def release_cached_memory(device: torch.device) -> None:
    """Collect garbage and hand cached device memory back, so that one cell's memory never leaks into the next."""
    gc.collect()
    if device.type == "cuda":
        _release_cublas_workspace(device)
        torch.cuda.empty_cache()


def _release_cublas_workspace(device: torch.device) -> int:
    """Return how many bytes of the device it held."""
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    clear_workspaces = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)  # noqa: SLF001 - has no public name
    if clear_workspaces is not None:
        clear_workspaces()
    return before - torch.cuda.memory_allocated(device)


def left_behind_bytes(device: torch.device) -> int:
    """Return what is still allocated on a CUDA device; on a CPU nobody keeps that account, and the answer is 0."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def measure_peak_memory(
    *,
    prepare: Callable[[], object],
    run: Callable[[], object],
    device: torch.device,
    resident: Callable[[], Iterable[torch.Tensor]],
    is_allocating: bool = True,
) -> PeakMemory:
    """Return the peak of one iteration, measured on the second of two iterations.

    The first one brings allocator and libraries into their steady state. `prepare` runs before each iteration and
    outside the window; what it allocates and what stays resident count, as they do on a GPU in training.

    Args:
        prepare: Makes the state in which the iteration begins.
        run: The iteration; its result is held until it ends.
        device: Where it runs.
        resident: Every tensor that is alive before `prepare`; asked for on a CPU only, where no allocator knows.
        is_allocating: Whether the iteration surely allocates something.

    Raises:
        MeasurementError: It does, and the profiler saw nothing of it.
    """
    release_cached_memory(device)
    if device.type == "cuda":
        return _peak_on_cuda(prepare, run, device)
    return _peak_on_cpu(prepare, run, resident(), is_allocating=is_allocating)


def _peak_on_cuda(prepare: Callable[[], object], run: Callable[[], object], device: torch.device) -> PeakMemory:
    prepare()
    run()
    prepare()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    stats = torch.cuda.memory_stats(device)
    free, total = torch.cuda.mem_get_info(device)
    return cuda_peak(
        stats,
        used_bytes=total - free,
        held_bytes=torch.cuda.memory_reserved(device),
        cublas_workspace_bytes=_release_cublas_workspace(device),
    )


def cuda_peak(stats: Mapping[str, int], *, used_bytes: int, held_bytes: int, cublas_workspace_bytes: int) -> PeakMemory:
    """Read the allocator's account of an iteration.

    Args:
        stats: `torch.cuda.memory_stats` after the iteration, its peaks reset before it.
        used_bytes: What is in use on the GPU, by whomever.
        held_bytes: What torch's allocator holds now.
        cublas_workspace_bytes: What of it is cuBLAS's.
    """
    allocated = stats["allocated_bytes.all.peak"]
    # What was asked for has its peak where what was given has it, or a block or so away. Not every allocator keeps
    # it: `cudaMallocAsync` leaves it at 0 (source: c10/cuda/CUDAMallocAsyncAllocator.cpp, getDeviceStats).
    requested = stats.get("requested_bytes.all.peak") or None
    return PeakMemory(
        allocated_bytes=allocated,
        reserved_bytes=stats["reserved_bytes.all.peak"],
        rounding_bytes=None if requested is None else allocated - requested,
        cublas_workspace_bytes=cublas_workspace_bytes,
        outside_torch_bytes=max(used_bytes - held_bytes, 0),
        absent=None if requested is not None else "this allocator does not report what was requested of it",
    )


def _peak_on_cpu(
    prepare: Callable[[], object],
    run: Callable[[], object],
    resident: Iterable[torch.Tensor],
    *,
    is_allocating: bool,
) -> PeakMemory:
    """Peak of live tensor bytes, the counterpart of CUDA's `max_memory_allocated`.

    The profiler reports every allocation and release of the CPU allocator, temporaries inside operators included, but
    no release of what was allocated before it started. So it starts where nothing is alive that will be released, and
    the bytes alive then are counted from the resident tensors.
    """
    before = resident_bytes(resident)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        prepare()
        run()
        prepare()
        with record_function(_WINDOW):
            run()
    return PeakMemory(
        allocated_bytes=before + peak_of_events(_memory_events(profiler), is_allocating=is_allocating),
        absent="torch's CPU allocator holds no memory in reserve",
    )


def resident_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Return the bytes of the storages of these tensors, a shared storage counted once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEvent:
    """An allocation (positive bytes) or release (negative), and whether it lay in the window."""

    time_ns: int
    num_bytes: int
    in_window: bool


def peak_of_events(events: list[MemoryEvent], *, is_allocating: bool = True) -> int:
    """Return the highest running sum of bytes within the window, the sum at its start included.

    An iteration that allocates nothing has its peak at its start, where all that was prepared is alive.

    Raises:
        MeasurementError: No event lies in the window of an iteration that allocates.
    """
    ordered = sorted(events, key=lambda event: event.time_ns)
    inside = [index for index, event in enumerate(ordered) if event.in_window]
    if not inside and not is_allocating:
        return 0
    if not inside:
        raise MeasurementError("the profiler saw no allocation in the measured iteration; peak memory is unknown")
    running = [0, *itertools.accumulate(event.num_bytes for event in ordered)]
    return max(running[inside[0] : inside[-1] + 2])


def _memory_events(profiler: Any) -> list[MemoryEvent]:
    events = list(profiler.profiler.kineto_results.events())
    windows = [event for event in events if event.name() == _WINDOW]
    if not windows:
        raise MeasurementError("the profiler lost the mark of the measured iteration; peak memory is unknown")
    begin = windows[0].start_ns()
    end = begin + windows[0].duration_ns()
    return [
        MemoryEvent(time_ns=event.start_ns(), num_bytes=event.nbytes(), in_window=begin <= event.start_ns() <= end)
        for event in events
        if event.name() == "[memory]"
    ]

"""Reads the condition of a machine: everything that `doctor` judges, as plain facts; what cannot be read is None."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from perfsuite.errors import PerfsuiteError
from perfsuite.formatting import first_line
from perfsuite.measure.cpu_load import load_since, own_cores, read_cpu
from perfsuite.measure.device import choose_device
from perfsuite.measure.nvml import read_nvml
from perfsuite.measure.nvml_library import NvmlUnavailableError
from perfsuite.measure.readings import THROTTLE_REASONS
from perfsuite.measure.telemetry import NvmlInstrument, make_instrument
from perfsuite.precisions import POLICIES
from perfsuite.workloads.memory_budget import read_free_memory
from perfsuite.workloads.precision import applied, require_support
from perfsuite.workloads.precision_proof import verify
from perfsuite.workloads.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.nvml import NvmlReading

VARIABLES = ("CUDA_LAUNCH_BLOCKING", "NVIDIA_TF32_OVERRIDE", "PYTORCH_NO_CUDA_MEMORY_CACHING")
"""Environment variables under which nothing that is measured means what it seems to."""

WINDOW_S = 0.5
"""Over which the work of others is looked at."""
SHORT_WINDOW_S = 0.2
"""The same before a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCondition:
    """How the GPU is that would be measured.

    Attributes:
        name: Product name.
        power_limit_watts: The enforced power limit.
        default_power_limit_watts: The one that it was sold with.
        persistence: Whether the driver stays loaded between processes.
        is_mig: Whether it is divided.
        num_other_processes: Other processes on it.
        other_processes_bytes: What they hold.
        free_bytes: Of its memory.
        total_bytes: Of its memory.
        temperature_celsius: Now.
        max_sm_clock_mhz: The highest clock of its SMs.
        application_clock_mhz: The application clock that is set.
        default_application_clock_mhz: The one that the GPU starts with.
        throttle_reasons: What holds the clocks down now, without the power cap of a GPU at work.
        num_ecc_errors: Uncorrectable memory errors since the driver was loaded.
    """

    name: str
    power_limit_watts: float | None = None
    default_power_limit_watts: float | None = None
    persistence: bool | None = None
    is_mig: bool | None = None
    num_other_processes: int | None = None
    other_processes_bytes: int | None = None
    free_bytes: int | None = None
    total_bytes: int | None = None
    temperature_celsius: float | None = None
    max_sm_clock_mhz: float | None = None
    application_clock_mhz: float | None = None
    default_application_clock_mhz: float | None = None
    throttle_reasons: tuple[str, ...] = ()
    num_ecc_errors: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How the machine is.

    Attributes:
        torch: Version of torch.
        torch_cuda: CUDA that it is built for, or None for a build without.
        driver: Version of the driver, or None.
        device_type: What would be measured, or None.
        device_error: Why nothing can be.
        no_gpu_reason: Why no GPU is measured, where none is.
        gpu: The GPU, if one is measured.
        torchvision_error: Why torchvision does not import, or None.
        torchvision_operators: Whether its compiled operators load.
        num_cpus: Cores that this process may use.
        num_threads: Threads that torch uses.
        cpu_quota: Cores' worth of time that a container may use, or None without such a limit.
        busy_ratio: Share of the cores' time that other processes took, over half a second in which this one slept.
        steal_ratio: Share that other virtual machines of the same host took while it was read.
        governors: What steers the cores' clocks, by name; None where the system does not show it.
        free_memory_bytes: Memory that can be had without swapping.
        results: Folder in which results would be kept.
        results_error: Why nothing can be written there, or None.
        free_disk_bytes: Room there.
        timer_step_s: The smallest step seen of the clock that times rounds.
        variables: Those of `VARIABLES` that are set.
        precisions: Why a precision is not active, by its name; None for one that is verified; those that this hardware
            lacks are left out.
    """

    torch: str
    torch_cuda: str | None
    driver: str | None
    device_type: str | None
    device_error: str | None
    no_gpu_reason: str | None
    gpu: GpuCondition | None
    torchvision_error: str | None
    torchvision_operators: bool | None
    num_cpus: int
    num_threads: int
    cpu_quota: float | None
    busy_ratio: float | None
    steal_ratio: float | None
    governors: tuple[str, ...] | None
    free_memory_bytes: int | None
    results: str
    results_error: str | None
    free_disk_bytes: int | None
    timer_step_s: float
    variables: dict[str, str] = field(default_factory=dict)
    precisions: dict[str, str | None] = field(default_factory=dict)


def read_condition(
    device_name: str, *, results: Path, short: bool = False, nvml: NvmlReading | None = None
) -> Condition:
    """Read everything; changes nothing on the machine.

    Args:
        device_name: `auto`, `cuda`, `cuda:1` or `cpu`.
        results: Folder in which results would be kept.
        short: Leave out the probes and torchvision, and look at the work of others for a shorter time.
        nvml: What NVML sees; read from the machine if not given.
    """
    seen = read_nvml() if nvml is None else nvml
    device, device_error = _device(device_name, seen)
    if short:
        torchvision_error, torchvision_operators = None, None
        window_s = SHORT_WINDOW_S
    else:
        torchvision_error, torchvision_operators = _torchvision()
        window_s = WINDOW_S
    busy_ratio, steal_ratio = _shares(window_s)
    results_error, free_disk_bytes = _disk(results)
    gpu, no_gpu_reason = None, None
    if device is not None and device.type == "cuda":
        gpu = _gpu(device)
    elif device is not None:
        no_gpu_reason = seen.reason or "the CPU was asked for"
    return Condition(
        torch=torch.__version__,
        torch_cuda=torch.version.cuda,
        driver=seen.driver,
        device_type=None if device is None else device.type,
        device_error=device_error,
        no_gpu_reason=no_gpu_reason,
        gpu=gpu,
        torchvision_error=torchvision_error,
        torchvision_operators=torchvision_operators,
        num_cpus=len(own_cores()),
        num_threads=torch.get_num_threads(),
        cpu_quota=read_cpu_quota(Path("/sys/fs/cgroup")),
        busy_ratio=busy_ratio,
        steal_ratio=steal_ratio,
        governors=read_governors(Path("/sys/devices/system/cpu")),
        free_memory_bytes=read_free_memory(),
        results=str(results),
        results_error=results_error,
        free_disk_bytes=free_disk_bytes,
        timer_step_s=smallest_step(time.perf_counter),
        variables={name: os.environ[name] for name in VARIABLES if os.environ.get(name)},
        precisions={} if short or device is None else _precisions(device),
    )


def _device(name: str, nvml: NvmlReading) -> tuple[torch.device | None, str | None]:
    """Return what would be measured, or why nothing can be."""
    try:
        return choose_device(name, nvml=nvml), None
    except (PerfsuiteError, RuntimeError) as error:  # torch's own: the GPU is full, or held by one process alone
        return None, first_line(error).replace("--perf-device", "--device")


def _gpu(device: torch.device) -> GpuCondition:
    name = torch.cuda.get_device_name(device)
    try:
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError:  # so full that not even a context fits
        free, total = 0, int(torch.cuda.get_device_properties(device).total_memory)
    instrument = make_instrument(device)
    if not isinstance(instrument, NvmlInstrument):
        return GpuCondition(name=name, free_bytes=free, total_bytes=total)
    return read_gpu(instrument, name=name, free_bytes=free, total_bytes=total)


def read_gpu(instrument: NvmlInstrument, *, name: str, free_bytes: int, total_bytes: int) -> GpuCondition:
    """Read a GPU's condition through NVML; where that hangs, what torch knows."""
    sample, around = instrument.read_sample(), instrument.read_surroundings()
    device = instrument.device

    def read() -> GpuCondition:
        return GpuCondition(
            name=name,
            power_limit_watts=device.power_limit_watts(),
            default_power_limit_watts=device.default_power_limit_watts(),
            persistence=device.persistence(),
            is_mig=around.is_mig,
            num_other_processes=around.num_other_processes,
            other_processes_bytes=around.other_processes_bytes,
            free_bytes=free_bytes,
            total_bytes=total_bytes,
            temperature_celsius=sample.temperature_celsius,
            max_sm_clock_mhz=device.max_sm_clock_mhz(),
            application_clock_mhz=device.application_clock_mhz(),
            default_application_clock_mhz=device.default_application_clock_mhz(),
            throttle_reasons=tuple(name for bit, name in THROTTLE_REASONS.items() if (sample.reasons or 0) & bit),
            num_ecc_errors=around.num_ecc_errors,
        )

    try:
        return device.nvml.calls.call(read)
    except NvmlUnavailableError:
        return GpuCondition(name=name, free_bytes=free_bytes, total_bytes=total_bytes)


def _torchvision() -> tuple[str | None, bool | None]:
    try:
        import_torchvision()
    except PerfsuiteError as error:
        return str(error), None
    try:
        extension: Any = __import__("torchvision.extension", fromlist=["_has_ops"])
        return None, bool(extension._has_ops())  # noqa: SLF001 - the only one who knows
    except (ImportError, AttributeError, RuntimeError):
        return None, None


def _precisions(device: torch.device) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for policy in POLICIES.values():
        try:
            require_support(policy, device)
        except PerfsuiteError:
            continue
        try:
            with applied(policy):
                verify(policy, device)
            found[policy.name] = None
        except (PerfsuiteError, RuntimeError) as error:
            found[policy.name] = first_line(error)
    return found


def smallest_step(now: Callable[[], float], readings: int = 200) -> float:
    """Return the smallest difference above zero between two readings of a clock, in seconds."""
    steps = []
    last = now()
    for _ in range(100 * readings):
        reading = now()
        if reading > last:
            steps.append(reading - last)
            last = reading
        if len(steps) == readings:
            break
    return min(steps, default=float("inf"))


def read_cpu_quota(folder: Path) -> float | None:
    """Return how many cores' worth of time a container may use, or None. Source: kernel documentation, cgroup v2."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        quota_us = int((folder / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period_us = int((folder / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return None if quota_us < 0 else quota_us / period_us
    return None


def read_governors(folder: Path) -> tuple[str, ...] | None:
    """Return the names of what steers the cores' clocks, or None where the system does not show it."""
    found = set()
    for path in folder.glob("cpu[0-9]*/cpufreq/scaling_governor"):
        with contextlib.suppress(OSError):
            found.add(path.read_text(encoding="ascii").strip())
    return tuple(sorted(found)) or None


def _shares(seconds: float) -> tuple[float | None, float | None]:
    """Return the shares of the cores' time that other processes and other virtual machines take just now."""
    before = read_cpu()
    time.sleep(seconds)
    load = load_since(before)
    return (None, None) if load is None else (load.background_ratio, load.steal_ratio)


def _disk(folder: Path) -> tuple[str | None, int | None]:
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
        return None, shutil.disk_usage(existing).free
    except OSError as error:
        return error.strerror or str(error), None

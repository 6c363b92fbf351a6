"""Is this machine fit to measure? Judges its condition, line by line: fine, or what is wrong and how to fix it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perfsuite.formatting import GIB_BYTES, MIB_BYTES, duration, plural
from perfsuite.records.telemetry import BACKGROUND_LIMIT_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfsuite.measure.machine_state import Condition, GpuCondition

Status = Literal["fine", "notable", "unfit"]

STEAL_LIMIT_RATIO = 0.01
"""Share of the cores' time taken by other virtual machines from which on it stands in the numbers."""

MIN_MEMORY_BYTES = 2 * GIB_BYTES
"""A step of ResNet-50 at batch 8 with torch itself takes a little more than 1 GiB."""

MIN_GPU_MEMORY_BYTES = 4 * GIB_BYTES
"""The thesis's largest cell, ResNet-50 in FP32 at batch 128, takes 3.4 GiB with the CUDA context."""

MIN_DISK_BYTES = GIB_BYTES
"""Results are small; checkpoints of six trainings, two of each, take 900 MiB."""

COARSE_TIMER_S = 1e-6
"""A clock with coarser steps shows in rounds of a millisecond."""

GRAVE_REASONS = {"hardware slowdown", "power brake"}
"""Of throttling, besides those that are thermal: the hardware protects itself."""

HOT_CELSIUS = 75.0
"""An idle GPU that is as hot as this has just worked, or is not cooled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCheck:
    """One line of the report.

    Attributes:
        name: What was looked at.
        status: `fine`; `notable`: numbers can be taken, with this in mind; `unfit`: they would mislead.
        found: What was found, in words.
        fix: How to fix it, as a command or an action, or None.
    """

    name: str
    status: Status
    found: str
    fix: str | None = None


def diagnose(condition: Condition) -> list[MachineCheck]:
    """Judge a machine's condition."""
    checks = [*_device(condition)]
    if condition.gpu is not None:
        checks += _gpu(condition.gpu)
    checks += [*_variables(condition), *_precisions(condition), *_torchvision(condition)]
    checks += [*_processor(condition), *_room(condition), _timer(condition)]
    return checks


def _device(condition: Condition) -> Iterator[MachineCheck]:
    if condition.device_error is not None:
        yield MachineCheck(
            name="device",
            status="unfit",
            found=condition.device_error,
            fix="choose a device that torch has: --device cpu, cuda or cuda:N",
        )
    elif condition.device_type == "cuda" and condition.gpu is not None:
        yield MachineCheck(
            name="device",
            status="fine",
            found=f"{condition.gpu.name}, driver {condition.driver or 'unknown'}, torch {condition.torch} for CUDA "
            f"{condition.torch_cuda}",
        )
    else:
        yield MachineCheck(
            name="device",
            status="notable",
            found=f"the CPU is measured ({condition.no_gpu_reason}); its numbers say nothing about a GPU",
            fix="to measure a GPU, run on a machine that has one, with a CUDA build of torch",
        )


def _gpu(gpu: GpuCondition) -> Iterator[MachineCheck]:
    yield _others(gpu)
    if gpu.free_bytes is not None and gpu.total_bytes is not None:
        yield _free_memory(gpu.free_bytes, gpu.total_bytes)
    if gpu.power_limit_watts is not None and gpu.default_power_limit_watts is not None:
        yield _power_limit(gpu.power_limit_watts, gpu.default_power_limit_watts)
    yield from _clocks(gpu)
    if gpu.persistence is not None:
        yield _persistence(is_on=gpu.persistence)
    if gpu.is_mig:
        yield MachineCheck(
            name="MIG",
            status="notable",
            found="the GPU is divided: a slice is measured, and its neighbours share the power limit",
            fix="sudo nvidia-smi -mig 0",
        )
    if gpu.num_ecc_errors:
        yield MachineCheck(
            name="memory errors",
            status="unfit",
            found=f"{gpu.num_ecc_errors} uncorrectable since the driver was loaded",
            fix="nvidia-smi -q -d ECC; if they come again, the GPU is failing",
        )


def _others(gpu: GpuCondition) -> MachineCheck:
    if gpu.num_other_processes is None:
        return MachineCheck(
            name="others on the GPU",
            status="notable",
            found="not reported by NVML (containers and WSL hide processes)",
            fix="run nvidia-smi on the host",
        )
    if not gpu.num_other_processes:
        return MachineCheck(name="others on the GPU", status="fine", found="no other GPU processes")
    held = "" if gpu.other_processes_bytes is None else f", holding {gpu.other_processes_bytes / MIB_BYTES:,.0f} MiB"
    return MachineCheck(
        name="others on the GPU",
        status="unfit",
        found=f"{plural(gpu.num_other_processes, 'other process')}{held}",
        fix="nvidia-smi lists them; stop them, or wait",
    )


def _free_memory(free_bytes: int, total_bytes: int) -> MachineCheck:
    is_enough = free_bytes >= MIN_GPU_MEMORY_BYTES
    return MachineCheck(
        name="GPU memory",
        status="fine" if is_enough else "unfit",
        found=f"{free_bytes / GIB_BYTES:.1f} of {total_bytes / GIB_BYTES:.1f} GiB free",
        fix=None if is_enough else "stop the process that uses it (nvidia-smi), or measure a smaller --perf-batch-size",
    )


def _power_limit(limit_watts: float, default_watts: float) -> MachineCheck:
    is_lowered = limit_watts < 0.99 * default_watts
    return MachineCheck(
        name="power limit",
        status="notable" if is_lowered else "fine",
        found=f"{limit_watts:.0f} W of {default_watts:.0f} W by default",
        fix=f"sudo nvidia-smi -pl {default_watts:.0f}" if is_lowered else None,
    )


def _persistence(*, is_on: bool) -> MachineCheck:
    if is_on:
        return MachineCheck(name="persistence mode", status="fine", found="on", fix=None)
    return MachineCheck(
        name="persistence mode",
        status="notable",
        found="off: the driver is unloaded between processes, so the first seconds differ",
        fix="sudo nvidia-smi -pm 1",
    )


def _clocks(gpu: GpuCondition) -> Iterator[MachineCheck]:
    grave = [reason for reason in gpu.throttle_reasons if "thermal" in reason or reason in GRAVE_REASONS]
    if grave:
        yield MachineCheck(
            name="throttling",
            status="unfit",
            found=f"clocks are throttled now by {', '.join(grave)}",
            fix="nvidia-smi -q -d PERFORMANCE; look at cooling and power supply",
        )
    hottest = gpu.temperature_celsius
    if hottest is not None:
        hot = hottest >= HOT_CELSIUS
        yield MachineCheck(
            name="temperature",
            status="notable" if hot else "fine",
            found=f"{hottest:.0f} degrees Celsius{' before anything was measured' if hot else ''}",
            fix="let it cool down, check the fans" if hot else None,
        )
    if gpu.application_clock_mhz is not None and gpu.max_sm_clock_mhz is not None:
        yield _application_clock(gpu, gpu.application_clock_mhz, gpu.max_sm_clock_mhz)


def _application_clock(gpu: GpuCondition, clock_mhz: float, max_mhz: float) -> MachineCheck:
    """Judge the application clock against its default, which on a T4 is 585 of the 1,590 MHz that it reaches."""
    limits = {"sync boost", "display clocks"} & set(gpu.throttle_reasons)
    default_mhz = gpu.default_application_clock_mhz
    if default_mhz is None:  # then only what limits the clocks now shows that somebody has lowered them
        limits |= {"application clocks"} & set(gpu.throttle_reasons)
        lowered = clock_mhz < max_mhz and bool(limits)
    else:
        lowered = clock_mhz < default_mhz or bool(limits)
    words = "" if default_mhz is None else f", {default_mhz:,.0f} MHz by default"
    if clock_mhz == default_mhz:
        words = ", the default"
    limited = f"; limited now by {', '.join(sorted(limits))}" if limits else ""
    return MachineCheck(
        name="clocks",
        status="notable" if lowered else "fine",
        found=f"application clock {clock_mhz:,.0f} MHz{words}; at most {max_mhz:,.0f} MHz{limited}",
        fix="sudo nvidia-smi -rac; sudo nvidia-smi -rgc" if lowered else None,
    )


def _variables(condition: Condition) -> Iterator[MachineCheck]:
    if condition.variables:
        words = ", ".join(f"{name}={value[:40]}" for name, value in condition.variables.items())
        yield MachineCheck(
            name="environment",
            status="unfit",
            found=f"{words}: changes what is measured",
            fix=f"unset {' '.join(condition.variables)}",
        )


def _precisions(condition: Condition) -> Iterator[MachineCheck]:
    broken = {name: reason for name, reason in condition.precisions.items() if reason is not None}
    for name, reason in broken.items():
        yield MachineCheck(
            name=f"precision {name}", status="unfit", found=reason, fix="its cells will fail with this line"
        )
    proved = [name for name in condition.precisions if name not in broken]
    if proved:
        yield MachineCheck(name="precision", status="fine", found=f"verified by probes: {', '.join(proved)}")


def _torchvision(condition: Condition) -> Iterator[MachineCheck]:
    if condition.torchvision_error is not None:
        yield MachineCheck(
            name="torchvision",
            status="unfit",
            found=condition.torchvision_error,
            fix=f"pip install the torchvision that belongs to torch {condition.torch}",
        )
    elif condition.torchvision_operators is not None:
        loads = condition.torchvision_operators
        yield MachineCheck(
            name="torchvision",
            status="fine",
            found="imports"
            if loads
            else "can be imported; its compiled operators do not load, but none is needed here",
        )


def _load(condition: Condition) -> Iterator[MachineCheck]:
    """Check what others take of the cores; a measured GPU bears it better than a measured CPU."""
    status: Status = "fine"
    if condition.busy_ratio is not None:
        busy = condition.busy_ratio > BACKGROUND_LIMIT_RATIO
        if busy:
            status = "notable" if condition.device_type == "cuda" else "unfit"
        yield MachineCheck(
            name="other work",
            status=status,
            found=f"other processes took {condition.busy_ratio:.0%} of the {condition.num_cpus} cores' time just now",
            fix="stop other processes (top lists them), or wait" if busy else None,
        )
    if condition.steal_ratio is not None:
        shared = condition.steal_ratio > STEAL_LIMIT_RATIO
        yield MachineCheck(
            name="steal time",
            status="notable" if shared else "fine",
            found=f"{condition.steal_ratio:.1%} of the cores' time went to other virtual machines just now",
            fix="use a dedicated machine, or many interleaved processes: perfsuite ab" if shared else None,
        )


def _processor(condition: Condition) -> Iterator[MachineCheck]:
    yield from _load(condition)
    if condition.cpu_quota is not None and condition.cpu_quota < condition.num_cpus:
        yield MachineCheck(
            name="CPU quota",
            status="unfit" if condition.num_threads > condition.cpu_quota else "notable",
            found=f"{condition.cpu_quota:.1f} cores' worth of time for {condition.num_threads} threads on "
            f"{condition.num_cpus} cores: threads are paused when it is used up",
            fix=f"OMP_NUM_THREADS={max(int(condition.cpu_quota), 1)}, or a larger quota",
        )
    if condition.governors is None:
        yield MachineCheck(
            name="CPU clock", status="fine", found="not shown to this machine (a virtual one, or a container)"
        )
    else:
        stable = set(condition.governors) <= {"performance"}
        yield MachineCheck(
            name="CPU clock",
            status="fine" if stable else "notable",
            found=f"governor: {', '.join(condition.governors)}",
            fix=None if stable else "sudo cpupower frequency-set -g performance",
        )


def _room(condition: Condition) -> Iterator[MachineCheck]:
    if condition.free_memory_bytes is not None:
        enough = condition.free_memory_bytes >= MIN_MEMORY_BYTES
        yield MachineCheck(
            name="memory",
            status="fine" if enough else "unfit",
            found=f"{condition.free_memory_bytes / GIB_BYTES:.1f} GiB free",
            fix=None if enough else f"{MIN_MEMORY_BYTES / GIB_BYTES:.0f} GiB are needed: stop other processes",
        )
    if condition.results_error is not None:
        yield MachineCheck(
            name="disk",
            status="unfit",
            found=f"nothing can be written to {condition.results}: {condition.results_error}",
            fix="name a file elsewhere with --benchmark-json",
        )
    elif condition.free_disk_bytes is not None:
        enough = condition.free_disk_bytes >= MIN_DISK_BYTES
        yield MachineCheck(
            name="disk",
            status="fine" if enough else "unfit",
            found=f"{condition.free_disk_bytes / GIB_BYTES:.1f} GiB free for {condition.results}",
            fix=None if enough else "free disk space: a full disk stops an overnight training",
        )


def _timer(condition: Condition) -> MachineCheck:
    coarse = condition.timer_step_s > COARSE_TIMER_S
    return MachineCheck(
        name="timer",
        status="unfit" if coarse else "fine",
        found=f"resolution {duration(condition.timer_step_s)}"
        if math.isfinite(condition.timer_step_s)
        else "stands still",
        fix="a virtual machine with a better clock source (cat /sys/devices/system/clocksource/*/current_clocksource)"
        if coarse
        else None,
    )

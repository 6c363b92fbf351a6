"""What machine and which versions this is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import perfsuite
from perfsuite.measure.board import board_digest
from perfsuite.measure.nvml import NvmlGpu, NvmlReading, read_nvml
from perfsuite.measure.nvml_library import NOT_REPORTED
from perfsuite.records.environment import Environment

_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "CUDA_LAUNCH_BLOCKING",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_CUDNN_V8_API_DISABLED",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDNN_LOGINFO_DBG",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "KMP_AFFINITY",
    "ONEDNN_MAX_CPU_ISA",
    "LD_PRELOAD",
)
"""Environment variables that change what is measured; recorded where set."""

_OF_A_GPU = (
    "gpu",
    "gpu_memory_bytes",
    "compute_capability",
    "driver",
    "cuda",
    "cudnn",
    "power_limit_watts",
    "max_sm_clock_mhz",
    "max_memory_clock_mhz",
    "board",
)
"""Fields of `Environment` that are None on a CPU."""


def read_environment(
    device: torch.device, *, folder: Path, nvml: NvmlReading | None = None, properties: Any = None
) -> Environment:
    """Return what stays the same for the whole run.

    Args:
        device: The device that is measured.
        folder: A folder of the checkout whose commit is recorded.
        nvml: What NVML sees; read from the machine if not given.
        properties: What torch tells of the GPU; asked of torch if not given. Ignored for the CPU.
    """
    absent: dict[str, str] = {}
    gpu = _gpu_fields(device, read_nvml() if nvml is None else nvml, properties, absent)
    commit, dirty = _commit(folder, absent)
    name = gpu["gpu"] or _cpu_name()
    return Environment(
        perfsuite=perfsuite.__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        torchvision=_version_of("torchvision", absent),
        device_type=device.type,
        device=name,
        cpu=_cpu_name(),
        num_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        num_threads=torch.get_num_threads(),
        memory_bytes=_memory_bytes(absent),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        commit=commit,
        commit_dirty=dirty,
        variables={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        absent=absent,
        **gpu,
    )


def _gpu_fields(device: torch.device, nvml: NvmlReading, properties: Any, absent: dict[str, str]) -> dict[str, Any]:
    """Return the fields of an environment that are of a GPU, and add the reasons for those that are None."""
    fields: dict[str, Any] = {"num_gpus": 0, **dict.fromkeys(_OF_A_GPU)}
    if device.type != "cuda":
        absent.update(dict.fromkeys(_OF_A_GPU, "the CPU is measured"))
        return fields
    if properties is None:
        properties = torch.cuda.get_device_properties(device)
    own_uuid = getattr(properties, "uuid", None)
    uuid = None if own_uuid is None else str(own_uuid)
    seen = _seen_by_nvml(nvml, uuid)
    cudnn = cudnn_version()
    board, no_board = board_digest(uuid, name=str(properties.name), seen=seen)
    fields.update(
        gpu=properties.name,
        gpu_memory_bytes=int(properties.total_memory),
        num_gpus=max(torch.cuda.device_count(), 1),
        compute_capability=f"{properties.major}.{properties.minor}",
        driver=nvml.driver,
        cuda=torch.version.cuda,
        cudnn=None if cudnn is None else str(cudnn),
        board=board,
    )
    if seen is None:
        reason = nvml.reason or "NVML has no GPU with torch's UUID"
    else:
        reason = nvml.reason or NOT_REPORTED
        fields.update(
            power_limit_watts=seen.power_limit_watts,
            max_sm_clock_mhz=seen.max_sm_clock_mhz,
            max_memory_clock_mhz=seen.max_memory_clock_mhz,
        )
    absent.update({key: reason for key, value in fields.items() if value is None})
    if no_board is not None:
        absent["board"] = no_board
    return fields


def _seen_by_nvml(nvml: NvmlReading, uuid: str | None) -> NvmlGpu | None:
    """Return what NVML says of the GPU with torch's UUID; of the only one there is, where that is not found."""
    seen = None if uuid is None else nvml.gpu_with_uuid(uuid)
    if seen is None and len(nvml.gpus) == 1:
        return nvml.gpus[0]
    return seen


def cudnn_version() -> int | None:
    """Return the version of cuDNN, or None where torch has none.

    With cuDNN 9.11 and newer the public function raises where any visible GPU is older than compute capability 7.5,
    also where another one is measured. Source: torch/backends/cudnn/__init__.py, _init.
    """
    try:
        version: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    except RuntimeError:
        library = getattr(torch._C, "_cudnn", None)  # noqa: SLF001 - has no other public name
        version = None if library is None else int(library.getVersionInt())
    return version


def _version_of(package: str, absent: dict[str, str]) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        absent[package] = "it carries no package metadata"
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.processor() or platform.machine()


def _memory_bytes(absent: dict[str, str]) -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        absent["memory_bytes"] = "not reported by this system"
        return None


def _commit(folder: Path, absent: dict[str, str]) -> tuple[str | None, bool | None]:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()  # noqa: S603 - fixed words and our own folder

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        absent["commit"] = absent["commit_dirty"] = "not a git checkout with a commit, or git is not installed"
        return None, None

"""Which device is measured: chosen by name, never silently another one than the user expects."""

from __future__ import annotations

import os

import torch

from perfsuite.errors import DeviceUnavailableError, InvalidChoiceError
from perfsuite.measure.nvml import NvmlReading, read_nvml

DEVICES = ("auto", "cuda", "cpu")


def choose_device(name: str, *, nvml: NvmlReading | None = None) -> torch.device:
    """Return the device to measure on.

    `auto` takes CUDA; without a usable GPU it takes the CPU, but only if the machine has no NVIDIA GPU: a table of CPU
    numbers from a GPU machine would be a silent mistake.

    Args:
        name: `auto`, `cuda` or `cpu`.
        nvml: What NVML sees; read from the machine if not given.

    Raises:
        InvalidChoiceError: Another name.
        DeviceUnavailableError: CUDA was asked for and torch cannot use it, or `auto` would hide a GPU.
    """
    if name not in DEVICES:
        raise InvalidChoiceError(f"unknown device {name!r}; choose from {', '.join(DEVICES)}")
    if name == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    seen = read_nvml() if nvml is None else nvml
    if seen.gpus:
        raise DeviceUnavailableError(why_cuda_fails(seen))
    if name == "cuda":
        raise DeviceUnavailableError(
            f"no CUDA device: torch {torch.__version__} sees none and neither does NVML ({seen.reason}); "
            "use --perf-device cpu"
        )
    return torch.device("cpu")


def why_cuda_fails(nvml: NvmlReading) -> str:
    """Say in one line why torch cannot use the GPU that NVML sees, and what would mend it."""
    gpu = nvml.gpus[0]
    head = f"NVML sees {gpu.name} (driver {nvml.driver}) but torch {torch.__version__} cannot use it: "
    if torch.version.cuda is None:
        return head + (
            "this torch is a build without CUDA; install a CUDA build of torch for this driver, "
            "or measure the CPU with --perf-device cpu"
        )
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in {"", "-1"}:
        return head + (f"CUDA_VISIBLE_DEVICES={hidden!r} hides it; unset it, or measure the CPU with --perf-device cpu")
    return head + (
        f"it is built for CUDA {torch.version.cuda}, the driver supports up to CUDA {nvml.cuda or 'unknown'}; "
        "install a newer driver or a torch built for an older CUDA, or measure the CPU with --perf-device cpu"
    )

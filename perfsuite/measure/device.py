"""Which device is measured: chosen by name, never silently another one than the user expects."""

from __future__ import annotations

import os
import warnings

import torch

from perfsuite.errors import DeviceUnavailableError
from perfsuite.measure.nvml import NvmlReading, read_nvml
from perfsuite.parsing import require_device_name


def choose_device(name: str, *, nvml: NvmlReading | None = None) -> torch.device:
    """Return the device to measure on.

    `auto` takes CUDA; without a usable GPU it takes the CPU, but only if the machine has no NVIDIA GPU: a table of CPU
    numbers from a GPU machine would be a silent mistake.

    Args:
        name: `auto`, `cuda`, `cuda:1` or `cpu`.
        nvml: What NVML sees; read from the machine if not given.

    Raises:
        InvalidChoiceError: Another name.
        DeviceUnavailableError: CUDA was asked for and torch cannot use it, or `auto` would hide a GPU.
    """
    require_device_name("--perf-device", name)
    kind, _, number = name.partition(":")
    if name == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        index = int(number) if number else _current_gpu()
        if number and index >= torch.cuda.device_count():
            raise DeviceUnavailableError(f"no device {name}: {_devices_in_words(torch.cuda.device_count())}")
        device = torch.device("cuda", index)
        capability, built_for = torch.cuda.get_device_capability(device), torch.cuda.get_arch_list()
        if not has_kernels_for(capability, built_for):
            raise DeviceUnavailableError(
                f"torch {torch.__version__} has no kernels for {torch.cuda.get_device_name(device)} (compute "
                f"capability {capability[0]}.{capability[1]}), only {', '.join(built_for)}; install a build that has, "
                "or measure the CPU with --perf-device cpu"
            )
        return device
    seen = read_nvml() if nvml is None else nvml
    if seen.gpus:
        raise DeviceUnavailableError(why_cuda_fails(seen))
    if seen.is_hung and name == "auto":
        raise DeviceUnavailableError(
            f"{seen.reason}, so whether this machine has a GPU is not known; restart its driver "
            "(nvidia-smi shows whether it answers), or measure the CPU with --perf-device cpu"
        )
    if kind == "cuda":
        raise DeviceUnavailableError(
            f"no CUDA device: torch {torch.__version__} sees none and neither does NVML ({seen.reason}); "
            "use --perf-device cpu"
        )
    return torch.device("cpu")


def choose_devices(names: tuple[str, ...]) -> torch.device:
    """Check the devices over which trainings are spread, and return the first.

    None is used: a process that only waits for others would hold memory on it, and count as another one there.

    Args:
        names: `cuda:1`, or `cpu:1` for a share of the CPU.

    Raises:
        DeviceUnavailableError: One cannot be used, or they are of several models: which of them trains a cell is left
            to chance.
    """
    chosen = [choose_device("cpu" if name.startswith("cpu") else name) for name in names]
    models = {torch.cuda.get_device_name(device): device for device in chosen if device.type == "cuda"}
    if len(models) > 1:
        listed = ", ".join(f"{device} is {model}" for model, device in models.items())
        raise DeviceUnavailableError(
            f"--perf-devices: {listed}: which one trains a cell is not determined; name devices of one model"
        )
    return chosen[0]


def _current_gpu() -> int:
    """Return torch's current GPU without the warnings of CUDA's start, which are about every visible GPU.

    Under `-W error` a second GPU that torch does not support would end the run; the one that is measured is checked.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.cuda.current_device()


def _devices_in_words(num_devices: int) -> str:
    last = f" to cuda:{num_devices - 1}" if num_devices > 1 else ""
    return f"torch sees {num_devices}, cuda:0{last}; CUDA_VISIBLE_DEVICES limits and orders them"


def use_device(device: torch.device) -> None:
    """Make the chosen GPU the current one: events, random numbers and libraries ask for that, not for a device."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def has_kernels_for(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Whether a torch built for these architectures runs on a GPU of this compute capability.

    Machine code (`sm_90`) runs on its own major version from its own minor version on, intermediate code
    (`compute_90`) on everything newer.
    Source: CUDA C++ Programming Guide, "Binary Compatibility" and "PTX Compatibility".
    """
    if not built_for:  # a build that does not say
        return True
    for name in built_for:
        kind, _, number = name.partition("_")
        digits = "".join(character for character in number if character.isdigit())
        if len(digits) < 2:  # noqa: PLR2004 - major and minor
            continue
        version = (int(digits[:-1]), int(digits[-1]))
        if version <= capability and (kind == "compute" or version[0] == capability[0]):
            return True
    return False


def why_cuda_fails(nvml: NvmlReading) -> str:
    """Say in one line why torch cannot use the GPU that NVML sees, and what would fix it."""
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

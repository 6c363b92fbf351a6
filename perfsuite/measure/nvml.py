"""What NVIDIA's management library tells about the GPUs; so far the static facts."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlGpu:
    """Static facts of one GPU; what NVML does not tell is None.

    Attributes:
        name: Product name.
        uuid: `GPU-...`, as torch reports it without the prefix.
        memory_bytes: All of its memory.
        power_limit_watts: The enforced power limit.
        max_sm_clock_mhz: Highest SM clock.
        max_memory_clock_mhz: Highest memory clock.
    """

    name: str
    uuid: str | None
    memory_bytes: int | None
    power_limit_watts: float | None
    max_sm_clock_mhz: int | None
    max_memory_clock_mhz: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlReading:
    """What NVML sees, or why it sees nothing.

    Attributes:
        gpus: All GPUs of the machine, in NVML's order, which `CUDA_VISIBLE_DEVICES` does not change.
        driver: Version of the driver.
        cuda: Newest CUDA version that the driver supports.
        reason: Why there is no GPU, if there is none.
    """

    gpus: tuple[NvmlGpu, ...]
    driver: str | None
    cuda: str | None
    reason: str | None

    def gpu_with_uuid(self, uuid: str) -> NvmlGpu | None:
        """Return the GPU that torch names by this UUID, with or without the prefix `GPU-`."""
        wanted = uuid.removeprefix("GPU-")
        matches = [gpu for gpu in self.gpus if gpu.uuid is not None and gpu.uuid.removeprefix("GPU-") == wanted]
        return matches[0] if matches else None


def read_nvml(library: Any = None) -> NvmlReading:
    """Ask NVML once for what does not change.

    Args:
        library: A module with the interface of `pynvml`; the real one if not given.
    """
    if library is None:
        try:
            import pynvml
        except ImportError:
            return _nothing("nvidia-ml-py is not installed")
        library = pynvml
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_session(library))
        except library.NVMLError as error:
            return _nothing(f"NVML does not start: {error}")
        driver = _ask(library, lambda: _text(library.nvmlSystemGetDriverVersion()))
        version = _ask(library, library.nvmlSystemGetCudaDriverVersion)
        gpus = tuple(_gpu(library, index) for index in range(_ask(library, library.nvmlDeviceGetCount) or 0))
        # Source of the encoding, 1000 * major + 10 * minor: NVML API reference, nvmlSystemGetCudaDriverVersion.
        cuda = None if version is None else f"{version // 1000}.{version % 1000 // 10}"
        return NvmlReading(gpus=gpus, driver=driver, cuda=cuda, reason=None if gpus else "NVML sees no GPU")


def read_energy_joules(device: torch.device, library: Any = None) -> float | None:
    """Return the GPU's energy counter, or None where there is none (a CPU, no NVML, a GPU older than Volta).

    Source: NVML API reference, nvmlDeviceGetTotalEnergyConsumption: millijoules since the driver was loaded.

    Args:
        device: A device of torch; matched to NVML's by its UUID, since both count differently.
        library: A module with the interface of `pynvml`; the real one if not given.
    """
    if device.type != "cuda":
        return None
    if library is None:
        try:
            import pynvml
        except ImportError:
            return None
        library = pynvml
    import torch  # only here: what the driver says is asked without it

    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    try:
        with _session(library):
            handle = library.nvmlDeviceGetHandleByUUID(uuid)
            return float(library.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
    except library.NVMLError:
        return None


def _nothing(reason: str) -> NvmlReading:
    return NvmlReading(gpus=(), driver=None, cuda=None, reason=reason)


@contextlib.contextmanager
def _session(library: Any) -> Iterator[None]:
    library.nvmlInit()
    try:
        yield
    finally:
        library.nvmlShutdown()


def _gpu(library: Any, index: int) -> NvmlGpu:
    handle = _ask(library, lambda: library.nvmlDeviceGetHandleByIndex(index))
    if handle is None:
        return NvmlGpu(
            name=f"GPU {index}",
            uuid=None,
            memory_bytes=None,
            power_limit_watts=None,
            max_sm_clock_mhz=None,
            max_memory_clock_mhz=None,
        )
    limit_milliwatts = _ask(library, lambda: library.nvmlDeviceGetEnforcedPowerLimit(handle))
    return NvmlGpu(
        name=_ask(library, lambda: _text(library.nvmlDeviceGetName(handle))) or f"GPU {index}",
        uuid=_ask(library, lambda: _text(library.nvmlDeviceGetUUID(handle))),
        memory_bytes=_ask(library, lambda: int(library.nvmlDeviceGetMemoryInfo(handle).total)),
        power_limit_watts=None if limit_milliwatts is None else limit_milliwatts / 1000,
        max_sm_clock_mhz=_ask(library, lambda: library.nvmlDeviceGetMaxClockInfo(handle, library.NVML_CLOCK_SM)),
        max_memory_clock_mhz=_ask(library, lambda: library.nvmlDeviceGetMaxClockInfo(handle, library.NVML_CLOCK_MEM)),
    )


def _ask(library: Any, question: Callable[[], T]) -> T | None:
    try:
        return question()
    except library.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value

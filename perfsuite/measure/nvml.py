"""What NVML reports of a GPU, or of a slice of a divided one (MIG), in base units; what it does not report is None."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.measure.nvml_library import NvmlUnavailableError, connect_nvml

if TYPE_CHECKING:
    from perfsuite.measure.nvml_library import BoundedCalls, Nvml

VIRTUAL_GPU = 2
"""Source: NVML API reference, nvmlGpuVirtualizationMode_t, NVML_GPU_VIRTUALIZATION_MODE_VGPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlGpu:
    """Static facts of one GPU; what NVML does not report is None.

    Attributes:
        name: Product name.
        uuid: `GPU-...`, as torch reports it without the prefix.
        memory_bytes: All of its memory.
        power_limit_watts: The enforced power limit.
        max_sm_clock_mhz: Highest SM clock.
        max_memory_clock_mhz: Highest memory clock.
        slice_uuids: `MIG-...`, of the slices of a divided GPU.
        is_virtual: Whether a hypervisor shares it (vGPU).
    """

    name: str
    uuid: str | None
    memory_bytes: int | None
    power_limit_watts: float | None
    max_sm_clock_mhz: int | None
    max_memory_clock_mhz: int | None
    slice_uuids: tuple[str, ...] = ()
    is_virtual: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlReading:
    """What NVML sees, or why it sees nothing.

    Attributes:
        gpus: All GPUs of the machine, in NVML's order, which `CUDA_VISIBLE_DEVICES` does not change.
        driver: Version of the driver.
        cuda: Newest CUDA version that the driver supports.
        reason: Why there is no GPU, if there is none.
        is_hung: Whether NVML did not answer: then there may be GPUs all the same.
    """

    gpus: tuple[NvmlGpu, ...]
    driver: str | None
    cuda: str | None
    reason: str | None
    is_hung: bool = False

    def gpu_with_uuid(self, uuid: str) -> NvmlGpu | None:
        """Return the GPU that torch names by this UUID, its own or that of a slice, with a prefix or without."""
        for gpu in self.gpus:
            known = (*([] if gpu.uuid is None else [gpu.uuid]), *gpu.slice_uuids)
            if plain_uuid(uuid) in {plain_uuid(one) for one in known}:
                return gpu
        return None


def read_nvml(library: Any = None, calls: BoundedCalls | None = None) -> NvmlReading:
    """Ask NVML once for what does not change.

    Args:
        library: A module with the interface of `pynvml`; the real one if not given.
        calls: Bounds its calls in time.
    """
    try:
        nvml = connect_nvml(library, calls)
        return nvml.calls.call(lambda: _read(nvml), nvml.calls.start_limit_s)
    except NvmlUnavailableError as error:
        return NvmlReading(gpus=(), driver=None, cuda=None, reason=str(error), is_hung=error.is_hung)


def _read(nvml: Nvml) -> NvmlReading:
    version = nvml.ask("nvmlSystemGetCudaDriverVersion")
    gpus = tuple(_gpu(nvml, index) for index in range(nvml.ask("nvmlDeviceGetCount") or 0))
    return NvmlReading(
        gpus=gpus,
        driver=_text(nvml.ask("nvmlSystemGetDriverVersion")),
        # Source of the encoding, 1000 * major + 10 * minor: NVML API reference, nvmlSystemGetCudaDriverVersion.
        cuda=None if version is None else f"{version // 1000}.{version % 1000 // 10}",
        reason=None if gpus else "NVML sees no GPU",
    )


def _gpu(nvml: Nvml, index: int) -> NvmlGpu:
    device = device_at(nvml, index)
    if device is None:
        return NvmlGpu(
            name=f"GPU {index}",
            uuid=None,
            memory_bytes=None,
            power_limit_watts=None,
            max_sm_clock_mhz=None,
            max_memory_clock_mhz=None,
        )
    return NvmlGpu(
        name=device.name() or f"GPU {index}",
        uuid=device.uuid(),
        memory_bytes=device.memory_bytes(),
        power_limit_watts=device.power_limit_watts(),
        max_sm_clock_mhz=device.max_sm_clock_mhz(),
        max_memory_clock_mhz=device.max_memory_clock_mhz(),
        slice_uuids=device.slice_uuids(),
        is_virtual=device.is_virtual(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlDevice:
    """A GPU, or a slice of a divided one (MIG); every answer is in base units, and None where NVML has none.

    Attributes:
        nvml: Where it was found.
        handle: NVML's handle of what is measured.
        board: NVML's handle of the whole GPU. All slices share its clocks, its temperature and its power.
        is_slice: Whether a slice is measured.
    """

    nvml: Nvml
    handle: Any
    board: Any
    is_slice: bool

    def name(self) -> str | None:
        """Return the product name."""
        return _text(self.nvml.ask("nvmlDeviceGetName", self.board))

    def uuid(self) -> str | None:
        """Return the UUID of the whole GPU, `GPU-...`."""
        return _text(self.nvml.ask("nvmlDeviceGetUUID", self.board))

    def slice_uuids(self) -> tuple[str, ...]:
        """Return the UUIDs of its slices, `MIG-...`."""
        if not self.is_slice:
            return ()
        number = self.nvml.ask("nvmlDeviceGetMaxMigDeviceCount", self.board) or 0
        slices = [self.nvml.ask("nvmlDeviceGetMigDeviceHandleByIndex", self.board, index) for index in range(number)]
        uuids = [_text(self.nvml.ask("nvmlDeviceGetUUID", one)) for one in slices if one is not None]
        return tuple(uuid for uuid in uuids if uuid is not None)

    def is_virtual(self) -> bool:
        """Return whether a hypervisor shares the GPU (vGPU): its UUID is then that of the virtual GPU."""
        return bool(self.nvml.ask("nvmlDeviceGetVirtualizationMode", self.board) == VIRTUAL_GPU)

    def is_divided(self) -> bool | None:
        """Return whether the GPU is divided into slices; None where it cannot be."""
        if self.is_slice:
            return True
        mode = self.nvml.ask("nvmlDeviceGetMigMode", self.board)
        return None if mode is None else bool(mode[0])

    def memory_bytes(self) -> int | None:
        """Return all of its memory."""
        memory = self.nvml.ask("nvmlDeviceGetMemoryInfo", self.handle)
        return None if memory is None else int(memory.total)

    def sm_clock_mhz(self) -> float | None:
        """Return the clock of the streaming multiprocessors."""
        return self._number("nvmlDeviceGetClockInfo", self.nvml.constant("NVML_CLOCK_SM", 1))

    def memory_clock_mhz(self) -> float | None:
        """Return the clock of the memory."""
        return self._number("nvmlDeviceGetClockInfo", self.nvml.constant("NVML_CLOCK_MEM", 2))

    def max_sm_clock_mhz(self) -> int | None:
        """Return the highest clock of the streaming multiprocessors."""
        return self._whole("nvmlDeviceGetMaxClockInfo", self.nvml.constant("NVML_CLOCK_SM", 1))

    def max_memory_clock_mhz(self) -> int | None:
        """Return the highest clock of the memory."""
        return self._whole("nvmlDeviceGetMaxClockInfo", self.nvml.constant("NVML_CLOCK_MEM", 2))

    def application_clock_mhz(self) -> float | None:
        """Return the application clock that is set; None on GeForce, and from driver R600 on."""
        return self._number("nvmlDeviceGetApplicationsClock", self.nvml.constant("NVML_CLOCK_GRAPHICS", 0))

    def default_application_clock_mhz(self) -> float | None:
        """Return the application clock that the GPU starts with: 585 MHz on a T4, which still reaches 1,590 MHz."""
        return self._number("nvmlDeviceGetDefaultApplicationsClock", self.nvml.constant("NVML_CLOCK_GRAPHICS", 0))

    def throttle_reasons(self) -> int | None:
        """Return the bits of what limits the clocks now."""
        reasons = self._whole("nvmlDeviceGetCurrentClocksEventReasons")
        if reasons is None:  # its name before driver 535
            reasons = self._whole("nvmlDeviceGetCurrentClocksThrottleReasons")
        return reasons

    def temperature_celsius(self) -> float | None:
        """Return the temperature of the core."""
        return self._number("nvmlDeviceGetTemperature", self.nvml.constant("NVML_TEMPERATURE_GPU", 0))

    def power_watts(self) -> float | None:
        """Return the power drawn; None for a slice, whose share of the whole is not known."""
        milliwatts = None if self.is_slice else self._number("nvmlDeviceGetPowerUsage")
        return None if milliwatts is None else milliwatts / 1e3

    def energy_joules(self) -> float | None:
        """Return the energy drawn since the driver was loaded; None before Volta, and for a slice.

        Source: NVML API reference, nvmlDeviceGetTotalEnergyConsumption.
        """
        millijoules = None if self.is_slice else self._number("nvmlDeviceGetTotalEnergyConsumption")
        return None if millijoules is None else millijoules / 1e3

    def power_limit_watts(self) -> float | None:
        """Return the enforced power limit."""
        milliwatts = self._number("nvmlDeviceGetEnforcedPowerLimit")
        return None if milliwatts is None else milliwatts / 1e3

    def default_power_limit_watts(self) -> float | None:
        """Return the power limit that the GPU starts with."""
        milliwatts = self._number("nvmlDeviceGetPowerManagementDefaultLimit")
        return None if milliwatts is None else milliwatts / 1e3

    def persistence(self) -> bool | None:
        """Return whether the driver stays loaded between processes."""
        mode = self._whole("nvmlDeviceGetPersistenceMode")
        return None if mode is None else bool(mode)

    def num_ecc_errors(self) -> int | None:
        """Return how many memory errors could not be corrected since the driver was loaded."""
        # Source of 1 and 0: NVML API reference, nvmlMemoryErrorType_t (uncorrected), nvmlEccCounterType_t (volatile).
        return self._whole("nvmlDeviceGetTotalEccErrors", 1, 0)

    def processes(self) -> dict[int, int | None] | None:
        """Return the memory of every process that computes on it, by process id; a desktop that only draws is none.

        `_v2` first: it has one layout in all drivers since R450. `_v3`, which the function without a version calls, is
        missing in R470, and has had two layouts under one name (github.com/XuehaiPan/nvitop/pull/89).
        """
        for question in ("nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetComputeRunningProcesses"):
            found = self.nvml.ask(question, self.handle)
            if found is not None:
                used = {int(process.pid): process.usedGpuMemory for process in found}
                return {pid: None if size is None else int(size) for pid, size in used.items()}
        return None

    def _number(self, question: str, *arguments: Any) -> float | None:
        value = self.nvml.ask(question, self.board, *arguments)
        return None if value is None else float(value)

    def _whole(self, question: str, *arguments: Any) -> int | None:
        value = self.nvml.ask(question, self.board, *arguments)
        return None if value is None else int(value)


def find_device(nvml: Nvml, uuid: str | None) -> NvmlDevice | None:
    """Return the GPU that torch names by this UUID, or the slice of one; the only GPU where none has it.

    Torch writes a UUID without the prefix that distinguishes a GPU from a slice, and which of both it names
    depends on the version of CUDA. Source: CUDA driver API, cuDeviceGetUuid and cuDeviceGetUuid_v2.
    """
    plain = plain_uuid(uuid)
    handle = nvml.ask("nvmlDeviceGetHandleByUUID", f"GPU-{plain}")
    if handle is not None:
        return NvmlDevice(nvml=nvml, handle=handle, board=handle, is_slice=_is_divided(nvml, handle))
    handle = nvml.ask("nvmlDeviceGetHandleByUUID", f"MIG-{plain}")
    if handle is not None:
        board = nvml.ask("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle)
        return NvmlDevice(nvml=nvml, handle=handle, board=handle if board is None else board, is_slice=True)
    return device_at(nvml, 0) if nvml.ask("nvmlDeviceGetCount") == 1 else None


def device_at(nvml: Nvml, index: int) -> NvmlDevice | None:
    """Return a GPU by NVML's index, or None where it cannot be reached."""
    handle = nvml.ask("nvmlDeviceGetHandleByIndex", index)
    if handle is None:
        return None
    return NvmlDevice(nvml=nvml, handle=handle, board=handle, is_slice=_is_divided(nvml, handle))


def _is_divided(nvml: Nvml, handle: Any) -> bool:
    mode = nvml.ask("nvmlDeviceGetMigMode", handle)
    return mode is not None and bool(mode[0])


def plain_uuid(uuid: str | None) -> str:
    """Return a UUID without the prefix that distinguishes a GPU from a slice of one."""
    return (uuid or "").removeprefix("GPU-").removeprefix("MIG-")


def _text(value: str | bytes | None) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value

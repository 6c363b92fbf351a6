"""Stands in for a driver's library NVML under the real pynvml, and answers as real drivers were seen to.

A description is one JSON file in `data/nvml/reported`: `origin`, what is reported (null: not supported), and the
functions that the driver lacks or no longer answers.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

REPORTED = Path(__file__).parent / "data" / "nvml" / "reported"

SUCCESS, NOT_SUPPORTED, NOT_FOUND, INSUFFICIENT_SIZE, DEPRECATED = 0, 3, 6, 7, 26
FIRST_GPU, FIRST_SLICE = 0x1000, 0x2000
"""What stands for handles, which NVML keeps to itself."""

NUMBERS = {
    "nvmlDeviceGetPowerUsage": "power_milliwatts",
    "nvmlDeviceGetEnforcedPowerLimit": "power_limit_milliwatts",
    "nvmlDeviceGetPowerManagementDefaultLimit": "default_power_limit_milliwatts",
    "nvmlDeviceGetPersistenceMode": "persistence",
    "nvmlDeviceGetVirtualizationMode": "virtualization",
    "nvmlDeviceGetTotalEnergyConsumption": "energy_millijoules",
    "nvmlDeviceGetCurrentClocksEventReasons": "reasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons": "reasons",
    "nvmlDeviceGetTemperature": "temperature_celsius",
    "nvmlDeviceGetTotalEccErrors": "ecc_errors",
    "nvmlDeviceGetApplicationsClock": "application_clock_mhz",
    "nvmlDeviceGetDefaultApplicationsClock": "default_application_clock_mhz",
}
"""Functions whose last argument takes one number."""

CLOCKS = {
    "nvmlDeviceGetClockInfo": {1: "sm_clock_mhz", 2: "memory_clock_mhz"},
    "nvmlDeviceGetMaxClockInfo": {1: "max_sm_clock_mhz", 2: "max_memory_clock_mhz"},
}


class Driver:
    """A library as `ctypes.CDLL` would load it: its functions are its attributes, those that it lacks are none."""

    def __init__(self, name: str, *, num_gpus: int = 1, hangs: str | None = None, **changes: Any) -> None:
        """Build one.

        Args:
            name: Of a description.
            num_gpus: How many of these GPUs there are.
            hangs: A function that does not return until `release` is called.
            changes: Of the description.
        """
        self.reported: dict[str, Any] = {**json.loads((REPORTED / f"{name}.json").read_text()), **changes}
        self.num_gpus = num_gpus
        self.hangs = hangs
        self.calls: list[str] = []
        self.hanging = threading.Event()
        self._released = threading.Event()
        self._functions: dict[str, Callable[..., int]] = {}
        for question, key in NUMBERS.items():
            self._add(question, self._number(key))
        for question, keys in CLOCKS.items():
            self._add(question, self._clock(keys))
        for method in dir(self):
            if method.startswith("_nvml"):
                self._add(method.removeprefix("_"), getattr(self, method))
        for version in ("_v2", "_v3"):
            self._add(f"nvmlDeviceGetComputeRunningProcesses{version}", self._processes)

    def __getattr__(self, name: str) -> Callable[..., int]:
        if name.startswith("nvml") and name in self._functions and name not in self.reported["lacks"]:
            return self._functions[name]
        raise AttributeError(f"undefined symbol: {name}")

    def release(self) -> None:
        """Let a call that hangs return."""
        self._released.set()

    def _add(self, name: str, answer: Callable[..., int]) -> None:
        def function(*arguments: Any) -> int:
            self.calls.append(name)
            if name == self.hangs:
                self.hanging.set()
                self._released.wait(60)
            return DEPRECATED if name in self.reported["deprecated"] else answer(*arguments)

        self._functions[name] = function

    def _number(self, key: str) -> Callable[..., int]:
        def answer(*arguments: Any) -> int:
            if self._is_slice(arguments[0]) and key != "ecc_errors":
                return NOT_SUPPORTED  # source: MIG user guide, device monitoring is of the whole GPU
            return _give(arguments[-1], self.reported[key])

        return answer

    def _clock(self, keys: dict[int, str]) -> Callable[..., int]:
        def answer(handle: Any, kind: Any, target: Any) -> int:
            return NOT_SUPPORTED if self._is_slice(handle) else _give(target, self.reported[keys[kind.value]])

        return answer

    def _is_slice(self, handle: Any) -> bool:
        return _address(handle) >= FIRST_SLICE

    def _nvmlInitWithFlags(self, _flags: int) -> int:  # noqa: N802 - NVML's name, like the following
        return SUCCESS

    def _nvmlErrorString(self, _code: int) -> bytes:  # noqa: N802
        return b"Unknown Error"

    def _nvmlSystemGetDriverVersion(self, target: Any, _size: Any) -> int:  # noqa: N802
        target.value = self.reported["driver"].encode()
        return SUCCESS

    def _nvmlSystemGetCudaDriverVersion(self, target: Any) -> int:  # noqa: N802
        return _give(target, self.reported["cuda"])

    def _nvmlDeviceGetCount_v2(self, target: Any) -> int:  # noqa: N802
        return _give(target, self.num_gpus)

    def _nvmlDeviceGetHandleByIndex_v2(self, index: Any, target: Any) -> int:  # noqa: N802
        return _give_handle(target, FIRST_GPU + index.value) if index.value < self.num_gpus else NOT_FOUND

    def _nvmlDeviceGetHandleByUUID(self, uuid: Any, target: Any) -> int:  # noqa: N802
        known = {self.uuid_of(index): FIRST_GPU + index for index in range(self.num_gpus)}
        known |= {uuid: FIRST_SLICE + index for index, uuid in enumerate(self.reported["slices"])}
        address = known.get(uuid.value.decode())
        return NOT_FOUND if address is None else _give_handle(target, address)

    def uuid_of(self, index: int) -> str:
        """Return the UUID of a GPU."""
        return str(self.reported["uuid"])[:-1] + f"{4 + index:x}"

    def _nvmlDeviceGetUUID(self, handle: Any, target: Any, _size: Any) -> int:  # noqa: N802
        address = _address(handle)
        is_slice = address >= FIRST_SLICE
        uuid = self.reported["slices"][address - FIRST_SLICE] if is_slice else self.uuid_of(address - FIRST_GPU)
        target.value = uuid.encode()
        return SUCCESS

    def _nvmlDeviceGetName(self, _handle: Any, target: Any, _size: Any) -> int:  # noqa: N802
        target.value = self.reported["name"].encode()
        return SUCCESS

    def _nvmlDeviceGetMemoryInfo(self, _handle: Any, target: Any) -> int:  # noqa: N802
        target._obj.total = self.reported["memory_bytes"]
        return SUCCESS

    def _nvmlDeviceGetMigMode(self, handle: Any, current: Any, pending: Any) -> int:  # noqa: N802
        mode = self.reported["mig"]
        if mode is None or self._is_slice(handle):
            return NOT_SUPPORTED
        return _give(current, mode[0]) or _give(pending, mode[1])

    def _nvmlDeviceGetMaxMigDeviceCount(self, _handle: Any, target: Any) -> int:  # noqa: N802
        return _give(target, 7)

    def _nvmlDeviceGetMigDeviceHandleByIndex(self, _handle: Any, index: Any, target: Any) -> int:  # noqa: N802
        return (
            _give_handle(target, FIRST_SLICE + index.value) if index.value < len(self.reported["slices"]) else NOT_FOUND
        )

    def _nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, _handle: Any, target: Any) -> int:  # noqa: N802
        return _give_handle(target, FIRST_GPU)

    def _processes(self, _handle: Any, count: Any, target: Any) -> int:
        processes = self.reported["processes"]
        if processes is None:
            return NOT_SUPPORTED
        room, count._obj.value = count._obj.value, len(processes)
        if not processes:
            return SUCCESS
        if target is None or room < len(processes):
            return INSUFFICIENT_SIZE
        for entry, (pid, used) in zip(target, processes, strict=False):
            entry.pid, entry.usedGpuMemory = pid, used
        return SUCCESS


def _give(target: Any, value: int | None) -> int:
    if value is None:
        return NOT_SUPPORTED
    target._obj.value = value
    return SUCCESS


def _give_handle(target: Any, address: int) -> int:
    ctypes.memmove(target, ctypes.byref(ctypes.c_void_p(address)), ctypes.sizeof(ctypes.c_void_p))
    return SUCCESS


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


@contextlib.contextmanager
def loaded(driver: Driver) -> Iterator[ModuleType]:
    """Let the real pynvml call this driver, and give pynvml to the test."""
    import pynvml

    before = pynvml.nvmlLib, dict(pynvml._nvmlGetFunctionPointer_cache)
    pynvml.nvmlLib = driver
    pynvml._nvmlGetFunctionPointer_cache.clear()
    try:
        yield pynvml
    finally:
        driver.release()
        pynvml.nvmlLib = before[0]
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml._nvmlGetFunctionPointer_cache.update(before[1])

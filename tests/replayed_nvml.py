"""Stands in for `pynvml`: replays readings from a file, or writes down those of a real GPU.

A recording is one JSON object: `origin` in words, facts that stay, and `samples`, one after the other.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from perfsuite.measure.nvml import NvmlDevice
from perfsuite.measure.nvml_library import BoundedCalls, Nvml

if TYPE_CHECKING:
    from perfsuite.measure.telemetry import NvmlInstrument

RECORDINGS = Path(__file__).parent / "data" / "nvml"


class ReplayedNvmlError(Exception):
    """As NVML's own: a question that this GPU does not answer."""


class ReplayedNvml:
    """A module with the interface of `pynvml` as far as it is used; the last sample stays once all were read."""

    NVMLError = ReplayedNvmlError
    NVML_CLOCK_GRAPHICS = 0
    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, name: str) -> None:
        self._facts: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text())
        self._index = -1
        self._ecc = iter(self._facts["ecc_errors"])
        self._energy = iter(self._facts["energy_millijoules"])

    def _sample(self, key: str) -> Any:
        return self._told(self._facts["samples"][max(self._index, 0)][key])

    def _told(self, value: Any) -> Any:
        if value is None:
            raise ReplayedNvmlError("Not Supported")
        return value

    def nvmlDeviceGetPowerUsage(self, _handle: object) -> int:  # noqa: N802 - NVML's name; the first of a reading
        self._index = min(self._index + 1, len(self._facts["samples"]) - 1)
        return int(self._sample("power_milliwatts"))

    def nvmlDeviceGetClockInfo(self, _handle: object, kind: int) -> int:  # noqa: N802 - NVML's name
        return int(self._sample({1: "sm_clock_mhz", 2: "memory_clock_mhz"}[kind]))

    def nvmlDeviceGetMaxClockInfo(self, _handle: object, _kind: int) -> int:  # noqa: N802 - NVML's name
        return int(self._told(self._facts["max_sm_clock_mhz"]))

    def nvmlDeviceGetApplicationsClock(self, _handle: object, _kind: int) -> int:  # noqa: N802 - NVML's name
        return int(self._told(self._facts["application_clock_mhz"]))

    def nvmlDeviceGetTemperature(self, _handle: object, _sensor: int) -> int:  # noqa: N802 - NVML's name
        return int(self._sample("temperature_celsius"))

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _handle: object) -> int:  # noqa: N802 - the name of old drivers
        return int(self._sample("reasons"))

    def nvmlDeviceGetEnforcedPowerLimit(self, _handle: object) -> int:  # noqa: N802 - NVML's name
        return int(self._told(self._facts["power_limit_milliwatts"]))

    def nvmlDeviceGetPowerManagementDefaultLimit(self, _handle: object) -> int:  # noqa: N802 - NVML's name
        return int(self._told(self._facts["default_power_limit_milliwatts"]))

    def nvmlDeviceGetPersistenceMode(self, _handle: object) -> int:  # noqa: N802 - NVML's name
        return int(self._told(self._facts["persistence"]))

    def nvmlDeviceGetMigMode(self, _handle: object) -> list[int]:  # noqa: N802 - NVML's name
        return list(self._told(self._facts["mig"]))

    def nvmlDeviceGetTotalEccErrors(self, _handle: object, _kind: int, _counter: int) -> int:  # noqa: N802 - NVML's name
        return int(next(self._ecc))

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle: object) -> int:  # noqa: N802 - NVML's name
        return int(next(self._energy))

    def nvmlDeviceGetComputeRunningProcesses(self, _handle: object) -> list[Any]:  # noqa: N802 - NVML's name
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in self._facts["processes"]]


def replayed_device(library: ReplayedNvml, *, is_slice: bool = False) -> NvmlDevice:
    """Return the GPU of a recording."""
    return NvmlDevice(nvml=Nvml(library, BoundedCalls()), handle=None, board=None, is_slice=is_slice)


def record(instrument: NvmlInstrument, *, origin: str, num_samples: int) -> dict[str, Any]:
    """Write down what a real GPU tells, in the form that `ReplayedNvml` replays; no serial numbers, no other names."""
    samples = []
    for _ in range(num_samples):
        sample = instrument.read_sample()
        samples.append(
            {
                "sm_clock_mhz": sample.sm_clock_mhz,
                "memory_clock_mhz": sample.memory_clock_mhz,
                "power_milliwatts": None if sample.power_watts is None else round(sample.power_watts * 1e3),
                "temperature_celsius": sample.temperature_celsius,
                "reasons": sample.reasons,
            }
        )
    around = instrument.read_surroundings()
    errors = around.num_ecc_errors or 0
    joules = instrument.energy_joules() or 0.0
    return {
        "origin": origin,
        "max_sm_clock_mhz": max(sample["sm_clock_mhz"] or 0 for sample in samples),
        "mig": None if around.is_mig is None else [int(around.is_mig)] * 2,
        "persistence": None,
        "power_limit_milliwatts": None,
        "default_power_limit_milliwatts": None,
        "application_clock_mhz": None,
        "default_application_clock_mhz": None,
        "ecc_errors": [errors, errors],
        "energy_millijoules": [round(joules * 1e3)] * 2,
        "processes": [],
        "samples": samples,
    }

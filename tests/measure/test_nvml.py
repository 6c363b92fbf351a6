from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from perfsuite.measure.nvml import read_nvml


class FakeNvmlError(Exception):
    pass


def fake_library(**changes: Any) -> Any:
    """Build a module with pynvml's interface that answers as a Tesla T4 does."""

    def nothing(*_arguments: object) -> None:
        return None

    answers: dict[str, Any] = {
        "NVMLError": FakeNvmlError,
        "NVML_CLOCK_SM": 1,
        "NVML_CLOCK_MEM": 2,
        "nvmlInit": nothing,
        "nvmlShutdown": nothing,
        "nvmlSystemGetDriverVersion": lambda: b"580.95.05",
        "nvmlSystemGetCudaDriverVersion": lambda: 13000,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda _handle: "Tesla T4",
        "nvmlDeviceGetUUID": lambda _handle: "GPU-1234",
        "nvmlDeviceGetMemoryInfo": lambda _handle: SimpleNamespace(total=16_106_127_360),
        "nvmlDeviceGetEnforcedPowerLimit": lambda _handle: 70_000,
        "nvmlDeviceGetMaxClockInfo": lambda _handle, kind: {1: 1590, 2: 5001}[kind],
    }
    return SimpleNamespace(**{**answers, **changes})


def failing(*_arguments: object) -> None:
    raise FakeNvmlError("Not Supported")


def test_what_nvml_tells_is_read_in_base_units() -> None:
    reading = read_nvml(fake_library())
    assert (reading.driver, reading.cuda, reading.reason) == ("580.95.05", "13.0", None)
    gpu = reading.gpus[0]
    assert (gpu.name, gpu.power_limit_watts, gpu.max_sm_clock_mhz, gpu.max_memory_clock_mhz) == (
        "Tesla T4",
        70.0,
        1590,
        5001,
    )
    assert reading.gpu_with_uuid("1234") is gpu
    assert reading.gpu_with_uuid("GPU-1234") is gpu
    assert reading.gpu_with_uuid("5678") is None


def test_what_nvml_does_not_tell_is_none() -> None:
    gpu = read_nvml(fake_library(nvmlDeviceGetEnforcedPowerLimit=failing, nvmlDeviceGetName=failing)).gpus[0]
    assert (gpu.power_limit_watts, gpu.name) == (None, "GPU 0")
    assert read_nvml(fake_library(nvmlDeviceGetHandleByIndex=failing)).gpus[0].uuid is None


def test_no_driver_and_no_gpu_have_their_reasons() -> None:
    assert read_nvml(fake_library(nvmlInit=failing)).reason == "NVML does not start: Not Supported"
    assert read_nvml(fake_library(nvmlDeviceGetCount=lambda: 0)).reason == "NVML sees no GPU"


def test_a_machine_without_the_package_has_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert read_nvml().reason == "nvidia-ml-py is not installed"


def test_nvml_is_shut_down_even_if_a_question_fails() -> None:
    ended: list[bool] = []

    def broken() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read_nvml(fake_library(nvmlShutdown=lambda: ended.append(True), nvmlDeviceGetCount=broken))
    assert ended == [True]

"""NVML through the real pynvml, on drivers that lack what old ones lack, and on GPUs of which little is reported."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest
import torch
from nvml_driver import Driver, loaded

from perfsuite.errors import DeviceUnavailableError
from perfsuite.measure import nvml_library
from perfsuite.measure.board import board_digest
from perfsuite.measure.device import choose_device
from perfsuite.measure.machine_state import read_gpu
from perfsuite.measure.nvml import device_at, find_device, read_nvml
from perfsuite.measure.nvml_library import BoundedCalls, NvmlUnavailableError, connect_nvml
from perfsuite.measure.telemetry import NO_PROCESSES, SHARED_POWER, NothingToSee, NvmlInstrument, make_instrument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfsuite.records.telemetry import Telemetry

CUDA = torch.device("cuda", 0)
MIB = 1024**2


@pytest.fixture
def load() -> Iterator[Callable[[Driver], Driver]]:
    """Load a driver under the real pynvml until the test ends."""
    stack = []

    def enter(driver: Driver) -> Driver:
        context = loaded(driver)
        context.__enter__()
        stack.append(context)
        return driver

    yield enter
    for context in reversed(stack):
        context.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def own_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a driver that hangs in one test not count as hung in the next."""
    monkeypatch.setattr(nvml_library, "_CALLS", BoundedCalls())


def observe(driver: Driver, *, uuid: str | None = None, pid: int = 1) -> tuple[NvmlInstrument, Telemetry]:
    source = make_instrument(CUDA, uuid=uuid or driver.uuid_of(0), period_s=60.0)
    assert isinstance(source, NvmlInstrument)
    source = NvmlInstrument(source.device, period_s=60.0, pid=pid)
    return source, source.stop(source.start())


def test_all_that_a_t4_reports_is_read_in_base_units(load: Callable[[Driver], Driver]) -> None:
    driver = load(Driver("t4_idle"))
    device = device_at(connect_nvml(), 0)
    assert device is not None
    assert (device.name(), device.uuid(), device.memory_bytes()) == ("Tesla T4", driver.uuid_of(0), 15360 * MIB)
    assert (device.sm_clock_mhz(), device.memory_clock_mhz()) == (300, 405)
    assert (device.max_sm_clock_mhz(), device.max_memory_clock_mhz()) == (1590, 5001)
    assert (device.application_clock_mhz(), device.default_application_clock_mhz()) == (585, 585)
    assert (device.power_watts(), device.power_limit_watts(), device.energy_joules()) == (14.04, 70.0, 5000.0)
    assert (device.temperature_celsius(), device.throttle_reasons(), device.persistence()) == (38, 1, True)
    assert (device.is_divided(), device.is_virtual(), device.num_ecc_errors()) == (None, False, 0)
    assert device.processes() == {25384: 26 * MIB}


def test_the_static_facts_are_those_of_every_gpu(load: Callable[[Driver], Driver]) -> None:
    driver = load(Driver("t4_idle", num_gpus=2))
    reading = read_nvml()
    assert (reading.driver, reading.cuda, reading.reason) == ("530.30.02", "12.1", None)
    assert [gpu.uuid for gpu in reading.gpus] == [driver.uuid_of(0), driver.uuid_of(1)]
    gpu = reading.gpu_with_uuid(driver.uuid_of(1).removeprefix("GPU-"))
    assert gpu is reading.gpus[1]
    assert (gpu.power_limit_watts, gpu.max_sm_clock_mhz, gpu.max_memory_clock_mhz) == (70.0, 1590, 5001)
    assert reading.gpu_with_uuid("GPU-5678") is None


def test_a_driver_without_the_newest_process_information_is_asked_for_the_older(
    load: Callable[[Driver], Driver],
) -> None:
    import pynvml

    driver = load(Driver("t4_r470"))
    pynvml.nvmlInit()
    with pytest.raises(pynvml.NVMLLibraryMismatchError):  # what pynvml makes of it, and no NVMLError
        pynvml.nvmlDeviceGetComputeRunningProcesses(pynvml.nvmlDeviceGetHandleByIndex(0))
    _, telemetry = observe(driver, pid=25384)
    assert (telemetry.num_other_processes, telemetry.other_processes_bytes) == (0, 0)
    assert telemetry.throttle_ratio == {}


def test_a_driver_without_any_process_information_is_no_error(load: Callable[[Driver], Driver]) -> None:
    lacks = [f"nvmlDeviceGetComputeRunningProcesses{version}" for version in ("_v2", "_v3")]
    _, telemetry = observe(load(Driver("t4_r470", lacks=lacks)))
    assert telemetry.num_other_processes is None
    assert telemetry.absent["num_other_processes"] == NO_PROCESSES


@pytest.mark.parametrize("name", ["t4_in_a_container", "wsl"])
def test_processes_that_are_hidden_are_unknown_and_not_none(load: Callable[[Driver], Driver], name: str) -> None:
    _, telemetry = observe(load(Driver(name)))
    assert (telemetry.num_other_processes, telemetry.other_processes_bytes) == (None, None)
    assert telemetry.absent["num_other_processes"] == telemetry.absent["other_processes_bytes"] == NO_PROCESSES
    assert telemetry.sm_clock_mhz is not None


def test_another_process_is_seen_next_to_this_one(load: Callable[[Driver], Driver]) -> None:
    processes = [[1, 900 * MIB], [2, 300 * MIB], [3, 2**64 - 1]]  # NVML's way to say that a size is not available
    _, telemetry = observe(load(Driver("t4_idle", processes=processes)))
    assert (telemetry.num_other_processes, telemetry.other_processes_bytes) == (2, None)


def test_a_virtual_gpu_reports_little_and_every_gap_has_its_reason(load: Callable[[Driver], Driver]) -> None:
    source, telemetry = observe(load(Driver("vgpu_v100")))
    assert telemetry.sm_clock_mhz is not None
    for name in ("power_watts", "temperature_celsius", "throttle_ratio", "max_sm_clock_mhz"):
        assert getattr(telemetry, name) is None
        assert telemetry.absent[name] == "not reported by NVML"
    assert (telemetry.is_mig, source.energy_joules()) == (False, None)
    gpu = read_nvml().gpus[0]
    assert board_digest(gpu.uuid, name=gpu.name, seen=gpu)[0] is None


SLICE = "MIG-bbbbbbbb-1111-2222-3333-444444444444"


@pytest.mark.parametrize("uuid", ["GPU-00000000-1111-2222-3333-444444444444", SLICE, SLICE.removeprefix("MIG-")])
def test_a_slice_has_the_clocks_of_the_gpu_and_no_power_of_its_own(load: Callable[[Driver], Driver], uuid: str) -> None:
    source, telemetry = observe(load(Driver("a100_divided")), uuid=uuid)
    assert telemetry.is_mig is True
    assert telemetry.sm_clock_mhz is not None
    assert (telemetry.sm_clock_mhz.median, telemetry.max_sm_clock_mhz) == (1410, 1410)
    assert (telemetry.power_watts, source.energy_joules()) == (None, None)
    assert telemetry.absent["power_watts"] == telemetry.absent["energy_joules"] == SHARED_POWER
    assert telemetry.num_other_processes == 0  # the only one is taken for this one, as in a container


def test_the_static_facts_of_a_slice_are_those_of_its_gpu(load: Callable[[Driver], Driver]) -> None:
    load(Driver("a100_divided"))
    reading = read_nvml()
    gpu = reading.gpu_with_uuid(SLICE.removeprefix("MIG-"))
    assert gpu is reading.gpus[0]
    assert gpu.slice_uuids[1] == SLICE
    assert board_digest(SLICE, name="NVIDIA A100-SXM4-80GB MIG 1g.10gb", seen=gpu) == board_digest(
        gpu.uuid, name=gpu.name, seen=None
    )
    assert board_digest(SLICE, name="NVIDIA A100-SXM4-80GB MIG 1g.10gb", seen=None)[0] is None


def test_a_gpu_without_torch_s_uuid_is_taken_only_where_it_is_the_only_one(load: Callable[[Driver], Driver]) -> None:
    load(Driver("t4_idle"))
    assert find_device(connect_nvml(), "1234") is not None
    load(Driver("t4_idle", num_gpus=2))
    assert find_device(connect_nvml(), "1234") is None
    source = make_instrument(CUDA, uuid="1234")
    assert isinstance(source, NothingToSee)
    assert source.stop(source.start()).absent["power_watts"] == "NVML has no GPU with torch's UUID"


def test_a_second_gpu_that_is_lost_leaves_the_facts_of_the_first(load: Callable[[Driver], Driver]) -> None:
    driver = load(Driver("t4_idle", num_gpus=2))
    lost = 15  # NVML_ERROR_GPU_IS_LOST
    answer = driver._functions["nvmlDeviceGetHandleByIndex_v2"]
    driver._functions["nvmlDeviceGetHandleByIndex_v2"] = lambda index, target: (
        lost if index.value == 1 else answer(index, target)
    )
    first, second = read_nvml().gpus
    assert (first.name, first.power_limit_watts, second.name, second.uuid) == ("Tesla T4", 70.0, "GPU 1", None)


def test_no_driver_no_gpu_and_no_package_have_their_reasons(
    load: Callable[[Driver], Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(Driver("t4_idle", num_gpus=0))
    assert read_nvml().reason == "NVML sees no GPU"
    driver = load(Driver("t4_idle"))
    driver._functions["nvmlInitWithFlags"] = lambda _flags: 9
    assert read_nvml().reason == "NVML does not start: Driver Not Loaded"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert read_nvml().reason == "nvidia-ml-py is not installed"


@pytest.mark.parametrize("hangs", ["nvmlInitWithFlags", "nvmlDeviceGetEnforcedPowerLimit"])
def test_a_driver_that_hangs_leaves_the_reading_empty_with_its_reason(
    load: Callable[[Driver], Driver], hangs: str
) -> None:
    driver = load(Driver("t4_idle", hangs=hangs))
    reading = read_nvml(calls=BoundedCalls(0.5, 0.5))
    assert (reading.gpus, reading.reason) == ((), "NVML did not answer within 0.5 s")
    assert hangs in driver.calls


def test_a_driver_that_hangs_during_the_rounds_ends_neither_the_run_nor_is_it_asked_again(
    load: Callable[[Driver], Driver],
) -> None:
    driver = load(Driver("t4_idle"))
    calls = BoundedCalls(2.0)
    source = make_instrument(CUDA, uuid=driver.uuid_of(0), period_s=0.001, calls=calls)
    assert isinstance(source, NvmlInstrument)
    watch = source.start()
    driver.hangs = "nvmlDeviceGetPowerUsage"
    assert watch.thread is not None
    assert watch.thread.daemon
    assert driver.hanging.wait(30)
    telemetry = source.stop(watch)
    assert watch.thread.is_alive()
    assert telemetry.num_samples >= 1
    assert telemetry.power_watts is not None  # of the readings before
    assert telemetry.absent["energy_joules"] == "NVML did not answer within 2 s"
    num_calls = len(driver.calls)
    assert source.energy_joules() is None
    assert source.stop(source.start()).absent["sm_clock_mhz"] == "NVML did not answer within 2 s"
    assert len(driver.calls) == num_calls
    with pytest.raises(NvmlUnavailableError, match="did not answer"):
        connect_nvml(calls=calls)


def test_doctor_reports_what_torch_knows_where_nvml_hangs(load: Callable[[Driver], Driver]) -> None:
    driver = load(Driver("t4_idle"))
    source = make_instrument(CUDA, uuid=driver.uuid_of(0), calls=BoundedCalls(1.0))
    assert isinstance(source, NvmlInstrument)
    driver.hangs = "nvmlDeviceGetPersistenceMode"
    gpu = read_gpu(source, name="Tesla T4", free_bytes=1, total_bytes=2)
    assert (gpu.name, gpu.free_bytes, gpu.persistence, gpu.power_limit_watts) == ("Tesla T4", 1, None, None)


def test_a_hung_driver_is_one_line_and_never_a_silent_table_of_cpu_numbers(
    load: Callable[[Driver], Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(nvml_library, "_CALLS", BoundedCalls(0.05, 0.05))
    load(Driver("t4_idle", hangs="nvmlInitWithFlags"))
    with pytest.raises(DeviceUnavailableError, match=r"did not answer within 0.05 s, .*--perf-device cpu"):
        choose_device("auto")
    assert choose_device("cpu") == torch.device("cpu")


def test_what_a_bounded_call_raises_is_raised_in_the_thread_that_asked() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    calls = BoundedCalls(1.0)
    with pytest.raises(ZeroDivisionError):
        calls.call(fail)
    assert calls.call(lambda: 3) == 3
    assert "perfsuite NVML" not in {thread.name for thread in threading.enumerate()}
    assert calls.hung is None


def test_every_description_says_where_it_is_from() -> None:
    from nvml_driver import REPORTED

    for path in REPORTED.glob("*.json"):
        assert len(Driver(path.stem).reported["origin"]) > 40

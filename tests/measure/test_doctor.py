"""Is this machine fit to measure: every planted fault is found, and nothing on a sound machine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import torch
from cuda_stand_in import small_gpu
from documented_samples import sample_of
from nvml_driver import Driver, loaded
from replayed_nvml import ReplayedNvml, replayed_device

from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.cli import main
from perfsuite.commands.doctor import doctor_table
from perfsuite.formatting import GIB_BYTES
from perfsuite.measure.doctor import diagnose
from perfsuite.measure.machine_state import (
    Condition,
    GpuCondition,
    read_condition,
    read_cpu_quota,
    read_governors,
    read_gpu,
    smallest_step,
)
from perfsuite.measure.telemetry import NvmlInstrument, make_instrument
from perfsuite.workloads.memory_budget import read_free_memory

if TYPE_CHECKING:
    from pathlib import Path

SOUND_GPU = GpuCondition(
    name="Tesla T4",
    power_limit_watts=70.0,
    default_power_limit_watts=70.0,
    persistence=True,
    is_mig=None,
    num_other_processes=0,
    other_processes_bytes=0,
    free_bytes=14 * GIB_BYTES,
    total_bytes=15 * GIB_BYTES,
    temperature_celsius=40.0,
    max_sm_clock_mhz=1590.0,
    application_clock_mhz=585.0,
    default_application_clock_mhz=585.0,
    throttle_reasons=(),
    num_ecc_errors=0,
)
SOUND = Condition(
    torch="2.13.0+cu130",
    torch_cuda="13.0",
    driver="580.95.05",
    device_type="cuda",
    device_error=None,
    no_gpu_reason=None,
    gpu=SOUND_GPU,
    torchvision_error=None,
    torchvision_operators=True,
    num_cpus=2,
    num_threads=2,
    cpu_quota=None,
    busy_ratio=0.01,
    steal_ratio=0.0,
    governors=("performance",),
    free_memory_bytes=12 * GIB_BYTES,
    results="results",
    results_error=None,
    free_disk_bytes=50 * GIB_BYTES,
    timer_step_s=1e-7,
    variables={},
    precisions={"fp32": None, "amp-fp16": None},
)


def test_a_sound_machine_is_fine_in_every_line() -> None:
    checks = diagnose(SOUND)
    assert {check.status for check in checks} == {"fine"}
    assert all(check.fix is None for check in checks)
    assert len(checks) >= 12


def test_the_sample_of_the_page_is_what_a_machine_without_a_gpu_shows() -> None:
    condition = dataclasses.replace(
        SOUND,
        device_type="cpu",
        gpu=None,
        no_gpu_reason="NVML does not start: NVML Shared Library Not Found",
        torchvision_operators=False,
        busy_ratio=0.0,
        timer_step_s=9e-8,
        precisions={"fp32": None, "amp-fp16": None, "amp-bf16": None},
    )
    text = render_terminal(doctor_table(diagnose(condition)), width=118, color=False)
    shown = sample_of("$ perfsuite doctor").partition("\n")[2].rstrip().removesuffix("...")
    assert text.startswith(shown), text


@pytest.mark.parametrize(
    ("changes", "name", "status", "part"),
    [
        ({"device_error": "no kernels for Tesla K80", "gpu": None, "device_type": None}, "device", "unfit", "K80"),
        ({"gpu": None, "device_type": "cpu", "no_gpu_reason": "NVML sees no GPU"}, "device", "notable", "no GPU"),
        ({"torchvision_error": "it does not import"}, "torchvision", "unfit", "does not import"),
        ({"busy_ratio": 0.5}, "other work", "notable", "50% of the 2 cores"),
        ({"steal_ratio": 0.08}, "steal time", "notable", "8.0%"),
        ({"cpu_quota": 1.0}, "CPU quota", "unfit", "1.0 cores' worth of time for 2 threads"),
        ({"governors": ("powersave",)}, "CPU clock", "notable", "powersave"),
        ({"free_memory_bytes": GIB_BYTES}, "memory", "unfit", "1.0 GiB free"),
        ({"free_disk_bytes": 1000}, "disk", "unfit", "0.0 GiB free"),
        ({"results_error": "Read-only file system"}, "disk", "unfit", "Read-only"),
        ({"timer_step_s": 1e-3}, "timer", "unfit", "1.000 ms"),
        ({"timer_step_s": float("inf")}, "timer", "unfit", "stands still"),
        ({"variables": {"CUDA_LAUNCH_BLOCKING": "1"}}, "environment", "unfit", "CUDA_LAUNCH_BLOCKING=1"),
        ({"precisions": {"fp32": "fp32 is not active"}}, "precision fp32", "unfit", "not active"),
    ],
)
def test_a_fault_of_the_machine_is_found_with_what_mends_it(
    changes: dict[str, Any], name: str, status: str, part: str
) -> None:
    found = {check.name: check for check in diagnose(dataclasses.replace(SOUND, **changes))}
    assert found[name].status == status
    assert part in found[name].found
    assert found[name].fix


@pytest.mark.parametrize(
    ("changes", "name", "status", "fix"),
    [
        ({"num_other_processes": 2, "other_processes_bytes": 2**30}, "others on the GPU", "unfit", "nvidia-smi"),
        ({"num_other_processes": None}, "others on the GPU", "notable", "nvidia-smi"),
        ({"free_bytes": GIB_BYTES}, "GPU memory", "unfit", "nvidia-smi"),
        ({"power_limit_watts": 50.0}, "power limit", "notable", "sudo nvidia-smi -pl 70"),
        ({"persistence": False}, "persistence mode", "notable", "sudo nvidia-smi -pm 1"),
        ({"is_mig": True}, "MIG", "notable", "-mig 0"),
        ({"temperature_celsius": 88.0}, "temperature", "notable", "cool"),
        ({"throttle_reasons": ("thermal (hardware)",)}, "throttling", "unfit", "cooling"),
        ({"application_clock_mhz": 300.0}, "clocks", "notable", "-rac"),
        ({"num_ecc_errors": 3}, "memory errors", "unfit", "ECC"),
    ],
)
def test_a_fault_of_the_gpu_is_found_with_the_command_that_mends_it(
    changes: dict[str, Any], name: str, status: str, fix: str
) -> None:
    condition = dataclasses.replace(SOUND, gpu=dataclasses.replace(SOUND_GPU, **changes))
    found = {check.name: check for check in diagnose(condition)}
    assert found[name].status == status
    assert fix in str(found[name].fix)


def test_a_gpu_at_its_power_cap_is_no_fault() -> None:
    condition = dataclasses.replace(SOUND, gpu=dataclasses.replace(SOUND_GPU, throttle_reasons=("power cap",)))
    assert {check.status for check in diagnose(condition)} == {"fine"}


@pytest.mark.parametrize(
    ("name", "changes", "status", "found"),
    [
        ("t4_idle", {}, "fine", "application clock 585 MHz, the default; at most 1,590 MHz"),
        ("t4_idle", {"reasons": 2}, "fine", "application clock 585 MHz, the default; at most 1,590 MHz"),
        ("v100_idle", {}, "fine", "application clock 1,312 MHz, the default; at most 1,530 MHz"),
        ("a100_divided", {}, "fine", "application clock 1,155 MHz, the default; at most 1,410 MHz"),
        (
            "t4_application_clock_raised",
            {},
            "fine",
            "application clock 1,590 MHz, 585 MHz by default; at most 1,590 MHz",
        ),
        (
            "t4_idle",
            {"application_clock_mhz": 300},
            "notable",
            "application clock 300 MHz, 585 MHz by default; at most 1,590 MHz",
        ),
        (
            "t4_idle",
            {"reasons": 16},
            "notable",
            "application clock 585 MHz, the default; at most 1,590 MHz; limited now by sync boost",
        ),
        (
            "t4_idle",
            {"reasons": 2, "lacks": ["nvmlDeviceGetDefaultApplicationsClock"]},
            "notable",
            "application clock 585 MHz; at most 1,590 MHz; limited now by application clocks",
        ),
        ("r610", {}, None, None),
    ],
)
def test_an_application_clock_is_compared_with_its_default(
    name: str, changes: dict[str, Any], status: str | None, found: str | None
) -> None:
    driver = Driver(name, **changes)
    with loaded(driver):
        source = make_instrument(torch.device("cuda", 0), uuid=driver.uuid_of(0))
        assert isinstance(source, NvmlInstrument)
        gpu = read_gpu(source, name="GPU", free_bytes=14 * GIB_BYTES, total_bytes=15 * GIB_BYTES)
    checks = {check.name: check for check in diagnose(dataclasses.replace(SOUND, gpu=gpu))}
    check = checks.get("clocks")
    assert (None if check is None else check.status, None if check is None else check.found) == (status, found)


def test_a_replayed_bad_gpu_shows_every_planted_fault() -> None:
    source = NvmlInstrument(replayed_device(ReplayedNvml("everything_wrong")), pid=4711)
    gpu = read_gpu(source, name="NVIDIA H100 80GB HBM3", free_bytes=GIB_BYTES, total_bytes=80 * GIB_BYTES)
    found = {check.name: check.status for check in diagnose(dataclasses.replace(SOUND, gpu=gpu))}
    assert {name for name, status in found.items() if status != "fine"} == {
        *("others on the GPU", "GPU memory", "power limit", "persistence mode", "MIG", "memory errors", "throttling"),
        *("temperature", "clocks"),
    }


def test_what_the_system_tells_is_read(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert read_cpu_quota(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert read_cpu_quota(tmp_path) is None
    assert read_cpu_quota(tmp_path / "none") is None
    folder = tmp_path / "cpu0" / "cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_governor").write_text("powersave\n")
    assert read_governors(tmp_path) == ("powersave",)
    assert read_governors(tmp_path / "none") is None
    (tmp_path / "meminfo").write_text("MemTotal: 10 kB\nMemAvailable:    2048 kB\n")
    assert read_free_memory(tmp_path / "meminfo") == 2048 * 1024
    assert read_free_memory(tmp_path / "none") is None


def test_a_clock_s_smallest_step_is_seen() -> None:
    readings = iter([0.0, 0.0, 0.5, 0.5, 0.75, *[2.0] * 10_000, *[3.0] * 100_000])
    assert smallest_step(lambda: next(readings), readings=3) == 0.25
    assert smallest_step(lambda: 1.0, readings=2) == float("inf")


def test_the_command_reports_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--device", "cpu", "--results", str(tmp_path), "--format", "json"]) in {0, 1}
    text = capsys.readouterr().out
    for part in ('"device"', '"precision"', '"timer"', '"disk"', '"status"'):
        assert part in text


def test_the_gpu_that_is_named_is_examined_and_not_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_gpu(monkeypatch):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80"])
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0) if device.index else (7, 5))
        assert main(["doctor", "--device", "cuda:1", "--results", str(tmp_path), "--format", "csv"]) in {0, 1}
        text = capsys.readouterr().out
    assert "GPU 1" in text
    assert "amp-bf16" in text  # which GPU 0 lacks


@pytest.mark.parametrize("name", ["tpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0"])
def test_a_name_that_is_no_device_is_one_line_that_says_which_are(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--device", name]) == 2
    expected = f"perfsuite: error: --device: unknown device {name!r}; choose from auto, cuda, cuda:N, cpu\n"
    assert capsys.readouterr().err == expected


def test_a_gpu_without_room_for_a_context_is_told_and_not_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    from perfsuite.measure import machine_state as condition

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: out of memory\nmore words")

    monkeypatch.setattr(condition, "choose_device", full)
    found = {check.name: check for check in diagnose(read_condition("auto", results=Path(), short=True))}
    assert (found["device"].status, found["device"].found) == ("unfit", "CUDA error: out of memory")


def test_a_device_that_is_not_there_is_unfit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    condition = read_condition("cpu", results=tmp_path / "not" / "yet", short=True)
    assert (condition.device_type, condition.results_error, condition.precisions) == ("cpu", None, {})
    if not torch.cuda.is_available():
        assert main(["doctor", "--device", "cuda", "--results", str(tmp_path)]) == 1
        assert "Not ready to measure" in capsys.readouterr().out

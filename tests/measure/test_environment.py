from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch

from perfsuite.measure.environment import read_environment
from perfsuite.measure.nvml import NvmlGpu, NvmlReading
from perfsuite.records.environment import Environment

if TYPE_CHECKING:
    import pytest

NO_NVML = NvmlReading(gpus=(), driver=None, cuda=None, reason="NVML does not start: Driver Not Loaded")
PROPERTIES = SimpleNamespace(name="Tesla T4", total_memory=15 * 1024**3, major=7, minor=5, uuid="abcd")
T4 = NvmlGpu(
    name="Tesla T4",
    uuid="GPU-abcd",
    memory_bytes=16 * 1024**3,
    power_limit_watts=70.0,
    max_sm_clock_mhz=1590,
    max_memory_clock_mhz=None,
)


def test_the_cpu_is_described_and_what_it_lacks_has_a_reason(tmp_path: Path) -> None:
    environment = read_environment(torch.device("cpu"), folder=tmp_path, nvml=NO_NVML)
    assert environment.torch == torch.__version__
    assert environment.device == environment.cpu
    assert environment.num_threads == torch.get_num_threads()
    assert Environment.from_json(environment.to_json()) == environment
    for name in ("gpu", "driver", "cuda", "power_limit_watts", "commit"):
        assert getattr(environment, name) is None
        assert environment.absent[name]


def test_a_gpu_is_described_by_torch_and_nvml_together(tmp_path: Path) -> None:
    nvml = NvmlReading(gpus=(T4,), driver="580.95.05", cuda="13.0", reason=None)
    environment = read_environment(torch.device("cuda", 0), folder=tmp_path, nvml=nvml, properties=PROPERTIES)
    assert (environment.device, environment.compute_capability, environment.driver) == ("Tesla T4", "7.5", "580.95.05")
    assert (environment.power_limit_watts, environment.max_sm_clock_mhz) == (70.0, 1590)
    assert environment.absent["max_memory_clock_mhz"] == "not reported by NVML"


def test_cudnn_s_version_is_read_where_a_second_gpu_is_too_old_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_old() -> int:
        raise RuntimeError("cuDNN version 91900 is not compatible with devices with SM < 7.5.")

    monkeypatch.setattr(torch.backends.cudnn, "version", too_old)
    library = SimpleNamespace(getVersionInt=lambda: 91900)
    monkeypatch.setattr(torch._C, "_cudnn", library, raising=False)
    environment = read_environment(torch.device("cuda", 0), folder=tmp_path, nvml=NO_NVML, properties=PROPERTIES)
    assert environment.cudnn == "91900"


def test_the_board_is_a_part_of_a_hash_and_its_uuid_is_nowhere(tmp_path: Path) -> None:
    uuid = "0a1b2c3d-1111-2222-3333-444455556666"
    texts = []
    boards = []
    for one in (uuid, uuid[:-1] + "7"):
        properties = SimpleNamespace(**{**vars(PROPERTIES), "uuid": one})
        gpu = dataclasses.replace(T4, uuid=f"GPU-{one}")
        for gpus in ((gpu,), ()):  # with and without NVML
            nvml = NvmlReading(gpus=gpus, driver="580.95.05", cuda="13.0", reason=None)
            found = read_environment(torch.device("cuda", 0), folder=tmp_path, nvml=nvml, properties=properties)
            boards.append(found.board)
            texts.append(json.dumps(found.to_json()))
            assert Environment.from_json(found.to_json()) == found
    assert boards[0] == boards[1] != boards[2] == boards[3]
    assert boards[0] is not None
    assert len(boards[0]) == 12
    assert not [text for text in texts if "0a1b2c3d" in text or "444455556666" in text]


def test_what_has_no_board_of_its_own_says_why(tmp_path: Path) -> None:
    def absent(nvml: NvmlReading, **changes: object) -> str:
        properties = SimpleNamespace(**{**vars(PROPERTIES), **changes})
        found = read_environment(torch.device("cuda", 0), folder=tmp_path, nvml=nvml, properties=properties)
        assert found.board is None
        return found.absent["board"]

    virtual = NvmlReading(gpus=(dataclasses.replace(T4, is_virtual=True),), driver=None, cuda=None, reason=None)
    assert absent(virtual) == "a virtual GPU (vGPU), whose UUID is not that of a board"
    assert "(MIG)" in absent(NO_NVML, name="NVIDIA A100-SXM4-80GB MIG 1g.10gb")
    assert absent(NO_NVML, uuid=None) == "no UUID is reported by torch or NVML"
    on_cpu = read_environment(torch.device("cpu"), folder=tmp_path, nvml=NO_NVML)
    assert (on_cpu.board, on_cpu.absent["board"]) == (None, "the CPU is measured")


def test_a_gpu_without_nvml_says_so(tmp_path: Path) -> None:
    environment = read_environment(torch.device("cuda", 0), folder=tmp_path, nvml=NO_NVML, properties=PROPERTIES)
    assert environment.gpu == "Tesla T4"
    assert environment.absent["driver"] == "NVML does not start: Driver Not Loaded"


def test_the_commit_of_the_checkout_is_recorded(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    clean = read_environment(torch.device("cpu"), folder=tmp_path, nvml=NO_NVML)
    assert (clean.commit, clean.commit_dirty) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "file").write_text("2")
    assert read_environment(torch.device("cpu"), folder=tmp_path, nvml=NO_NVML).commit_dirty


def test_variables_that_change_the_measurement_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("HOME_SECRET", "x")
    variables = read_environment(torch.device("cpu"), folder=tmp_path, nvml=NO_NVML).variables
    assert variables["OMP_NUM_THREADS"] == "2"
    assert "HOME_SECRET" not in variables


def test_a_system_that_tells_little_is_described_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_arguments: object, **_options: object) -> None:
        raise importlib.metadata.PackageNotFoundError

    def unreadable(*_arguments: object, **_options: object) -> None:
        raise OSError

    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setattr(Path, "read_text", unreadable)
    monkeypatch.setattr(os, "sysconf", unreadable)
    environment = read_environment(torch.device("cpu"), folder=tmp_path, nvml=NO_NVML)
    assert environment.cpu
    assert {"torchvision", "memory_bytes"} <= set(environment.absent)

"""Data sheets against what chips can do, names of GPUs, and how much memory torch has on them."""

from __future__ import annotations

import json

import pytest

from perfsuite.cli import main
from perfsuite.errors import InvalidChoiceError
from perfsuite.formatting import GIB_BYTES, MIB_BYTES
from perfsuite.gpu_sheet import WORKSPACE_BYTES
from perfsuite.gpus import GPUS, choose_gpu, choose_gpus, gpu_named
from perfsuite.offline.cells import CellChoice
from perfsuite.offline.memory import plan_cells

SHOWN_BY_NVIDIA_SMI_BYTES = {
    "t4": 15_360 * MIB_BYTES,
    "l4": 23_034 * MIB_BYTES,
    "h100": 81_559 * MIB_BYTES,
    "h200": 143_771 * MIB_BYTES,
}


@pytest.mark.parametrize("name", GPUS)
def test_what_torch_has_is_less_than_the_board_and_has_a_source(name: str) -> None:
    memory = GPUS[name].memory
    assert memory.available_bytes == memory.total_bytes - memory.context_bytes - WORKSPACE_BYTES
    shown = SHOWN_BY_NVIDIA_SMI_BYTES.get(name)
    if shown is not None:
        assert 0.97 * shown < memory.total_bytes < shown
    assert 100 * MIB_BYTES < memory.context_bytes < 700 * MIB_BYTES
    assert "github.com/" in memory.source or "by rule" in memory.source


def test_a_t4_has_what_torch_sees_and_not_what_nvidia_smi_shows() -> None:
    """14.56 GiB of capacity: an error message of torch on a T4 with a recent driver."""
    plan = plan_cells(CellChoice(models="resnet18", precisions="fp32"), gradients=None, capacity=None, gpu="T4")
    assert GPUS["t4"].memory.total_bytes == pytest.approx(14_909 * MIB_BYTES, abs=MIB_BYTES)
    assert list(plan.capacities) == ["t4"]
    assert plan.capacities["t4"] < 14.56 * GIB_BYTES - 256 * MIB_BYTES
    text = " ".join(plan.notes)
    for part in ("14,909 MiB that torch sees", "133 MiB for the CUDA context", "256 MiB", "CatVTON/issues/133"):
        assert part in text


@pytest.mark.no_cover
def test_every_gpu_with_a_data_sheet_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--gpu", "l4", "--model", "resnet18", "--precision", "fp32", "--format", "json"]
    assert main(["memory", *arguments]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["peak_bytes"] <= GPUS["l4"].memory.available_bytes


FP32_PER_CLOCK = {
    "volta": 128,
    "turing": 128,
    "ada": 256,
    "hopper": 256,
    "blackwell": 256,
    "cdna2": 256,
    "cdna3": 256,
    "rdna3": 256,  # matrix cores of CDNA; both issue slots of RDNA 3
}
HALF_PER_CLOCK = {
    "volta": 1024,
    "turing": 1024,
    "ada": 1024,
    "hopper": 4096,
    "cdna2": 1024,
    "cdna3": 2048,
    "rdna3": 512,
}
"""Dense operations of a multiprocessor in a clock, a multiply-add counted as two, 16-bit products accumulated in FP32.

Source: throughput of native arithmetic instructions in NVIDIA's CUDA C++ Programming Guide; tables of its white papers
GP100, GV100, TU102, GA100, GA102, AD102, GH100; AMD's CDNA 2, CDNA 3 and RDNA 3 instruction set guides.
"""
GA100 = {"a100-40gb", "a100-80gb", "a100-pcie-40gb", "a100-pcie-80gb", "a30"}
GP100 = {"p100-pcie", "p100-sxm2"}
HALF_RATE = {"rtx-2080-ti", "rtx-3090", "rtx-4090", "rtx-5090", "l40", "a10g"}
"""Boards whose tensor cores accumulate in FP32 at half the rate of their chip."""


def per_clock(name: str) -> tuple[int, int | None]:
    """Return the operations of a multiprocessor in a clock: FP32's, and those of 16-bit types."""
    architecture = GPUS[name].architecture
    if name in GA100:
        return 128, 2048
    if name in GP100:
        return 128, 256
    if architecture == "pascal":
        return 256, None
    fp32 = 256 if architecture == "ampere" else FP32_PER_CLOCK[architecture]
    half = 1024 if architecture == "ampere" else HALF_PER_CLOCK.get(architecture)
    if architecture == "blackwell":
        half = 8192 if name == "b200" else 1024
    assert half is not None
    return fp32, half // 2 if name in HALF_RATE else half


@pytest.mark.parametrize("name", GPUS)
def test_a_sheet_is_what_its_multiprocessors_do_in_a_second(name: str) -> None:
    """Multiprocessors x clock x operations: the sheet's figure within 3%, so that no sparsity and no FP16 slips in."""
    gpu = GPUS[name]
    fp32, half = per_clock(name)
    assert gpu.peak_flops["fp32"] == pytest.approx(gpu.num_sms * gpu.boost_mhz * 1e6 * fp32, rel=0.03)
    if half is None:
        assert "fp16" not in gpu.peak_flops
        return
    tensor_clock = gpu.num_sms * gpu.tensor_mhz * 1e6
    assert gpu.peak_flops["fp16"] == pytest.approx(tensor_clock * half, rel=0.03)
    assert gpu.peak_flops.get("bf16", gpu.peak_flops["fp16"]) == gpu.peak_flops["fp16"]
    if "tf32" in gpu.peak_flops:
        assert gpu.peak_flops["tf32"] == pytest.approx(gpu.peak_flops["fp16"] / 2, rel=0.03)


@pytest.mark.parametrize("name", GPUS)
def test_a_gpu_is_found_by_every_name_that_it_is_given(name: str) -> None:
    gpu = GPUS[name]
    for torch_name in gpu.torch_names:
        for spelling in (torch_name, torch_name.upper(), torch_name.removeprefix("NVIDIA "), f" {torch_name} "):
            assert gpu_named(spelling) == gpu
            assert choose_gpu(spelling) == gpu
    assert choose_gpu(name.upper()) == gpu


def test_no_two_gpus_share_a_name() -> None:
    for gpu in GPUS.values():
        for other in GPUS.values():
            assert gpu is other or not set(gpu.torch_names) & set(other.torch_names)
        assert gpu_named(gpu.name) == gpu


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA A100-SXM4-40GB", "a100-40gb"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
        ("Tesla V100-SXM3-32GB", "v100-sxm3"),
        ("Tesla V100-PCIE-32GB", "v100-pcie"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("NVIDIA GH200 480GB", "gh200"),
        ("NVIDIA L40S", "l40s"),
        ("rtx2080ti", "rtx-2080-ti"),
        ("A100 80GB", "a100-80gb"),
        ("NVIDIA GeForce RTX 3090", "rtx-3090"),
        ("NVIDIA GeForce RTX 3090 Ti", None),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("Quadro RTX 6000", None),
        ("NVIDIA A100-SXM4-40GB MIG 8g.5gb", None),
        ("NVIDIA Imaginary MIG 1g.5gb", None),
        ("", None),
    ],
)
def test_a_variant_is_the_board_that_it_is_or_none(name: str, expected: str | None) -> None:
    found = gpu_named(name)
    assert (None if found is None else found.name) == expected


def test_a_slice_of_a_gpu_has_its_share_and_says_so() -> None:
    slice_, board = gpu_named("NVIDIA A100-SXM4-40GB MIG 3g.20gb"), GPUS["a100-40gb"]
    assert slice_ is not None
    assert slice_.name == "a100-40gb MIG 3g.20gb"
    assert slice_.peak_flops["fp16"] == pytest.approx(board.peak_flops["fp16"] * 3 / 7)
    assert slice_.bytes_per_second == board.bytes_per_second / 2
    assert slice_.memory.total_bytes == pytest.approx(board.memory.total_bytes / 2, abs=1)
    assert slice_.note == "a slice of the GPU: 3 of 7 parts of its compute, 50% of its memory"
    quarter = gpu_named("NVIDIA A30 MIG 1g.6gb")
    assert quarter is not None
    assert quarter.peak_flops["fp32"] == GPUS["a30"].peak_flops["fp32"] / 4
    assert quarter.bytes_per_second == GPUS["a30"].bytes_per_second / 4


def test_several_gpus_are_chosen_at_once_each_once() -> None:
    assert [gpu.name for gpu in choose_gpus("t4, NVIDIA L4,T4")] == ["t4", "l4"]
    assert len(choose_gpus("all")) == len(GPUS)
    for wrong in ("", " , ", "t4,gtx"):
        with pytest.raises(InvalidChoiceError, match="--gpu: "):
            choose_gpus(wrong)

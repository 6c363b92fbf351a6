"""Data sheets, and how much memory torch has: what GPUs can do at most, by the name that torch gives them."""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.errors import InvalidChoiceError
from perfsuite.formatting import GIB_BYTES, MIB_BYTES
from perfsuite.parsing import choose

TERA = 1e12
GIGA = 1e9

WORKSPACE_BYTES = 256 * MIB_BYTES
"""An allowance for the workspaces of cuBLAS and cuDNN, not measured. torch gives cuBLAS 8 MiB, and 32 MiB on Hopper
(aten/src/ATen/cuda/CublasHandlePool.cpp); cuDNN takes what its heuristics ask for, and a slower algorithm where that
does not fit."""

MAX_CONTEXT_BYTES = round(0.51 * GIB_BYTES)
"""Of a CUDA context, where none of that GPU is known: the largest of those that are."""

MIN_SHARE = 0.97
"""Of the memory that nvidia-smi shows, what torch sees at least: 0.97 (T4), 0.98 (L4), 0.99 (A100, H100), 1.00 (H200).
Taken where no GPU of the kind is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMemory:
    """How much memory torch has on a GPU, by torch's own messages: less than the data sheet and nvidia-smi show.

    `GPU 0 has a total capacity of ... this process has ... in use. Of the allocated memory ... is allocated by PyTorch,
    and ... is reserved by PyTorch but unallocated`: what is in use and neither of the last two is the CUDA context.

    Attributes:
        total_bytes: All of it that torch sees, after ECC and what the driver keeps; it differs by up to 1% between
            drivers.
        context_bytes: What a process's CUDA context takes of it, with the kernels that it has loaded.
        source: Where it says so.
    """

    total_bytes: int
    context_bytes: int
    source: str

    @property
    def available_bytes(self) -> int:
        """What is left for tensors: without the context, and without an allowance for workspaces."""
        return self.total_bytes - self.context_bytes - WORKSPACE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One data sheet; dense products, without the doubling by sparsity that sheets since Ampere show.

    Attributes:
        name: As people call it on a command line.
        torch_names: What `torch.cuda.get_device_name` says of it.
        peak_flops: Floating-point operations per second by precision; a precision that the GPU lacks is left out.
        bytes_per_second: Bandwidth of its memory.
        power_watts: Its board power.
        source: Where it says so.
        memory: How much of its memory torch has.
    """

    name: str
    torch_names: tuple[str, ...]
    peak_flops: dict[str, float]
    bytes_per_second: float
    power_watts: float
    source: str
    memory: GpuMemory

    def peak_for(self, precision: str) -> float | None:
        """Return the peak of a precision policy: `amp-fp16` computes its products in FP16."""
        return self.peak_flops.get(precision.removeprefix("amp-"))


_GPUS = (
    Gpu(
        name="t4",
        torch_names=("Tesla T4",),
        peak_flops={"fp32": 8.1 * TERA, "fp16": 65 * TERA},
        bytes_per_second=320 * GIGA,
        power_watts=70,
        source="NVIDIA T4 data sheet (2019): 8.1 TFLOPS FP32, 65 mixed precision, 70 W; product brief: up to 320 GB/s",
        memory=GpuMemory(
            total_bytes=round(14.56 * GIB_BYTES),
            context_bytes=round(0.13 * GIB_BYTES),
            source="github.com/Zheng-Chong/CatVTON/issues/133",
        ),
    ),
    Gpu(
        name="v100",
        torch_names=("Tesla V100-SXM2-16GB", "Tesla V100-SXM2-32GB"),
        peak_flops={"fp32": 15.7 * TERA, "fp16": 125 * TERA},
        bytes_per_second=900 * GIGA,
        power_watts=300,
        source="NVIDIA V100 Tensor Core GPU data sheet (2020), SXM2: 15.7 TFLOPS FP32, 125 TFLOPS tensor, 900 GB/s",
        memory=GpuMemory(
            total_bytes=round(MIN_SHARE * 16 * GIB_BYTES),
            context_bytes=MAX_CONTEXT_BYTES,
            source="no message found; by rule 97% of the smaller board's 16 GiB, and the largest context known",
        ),
    ),
    Gpu(
        name="a100-40gb",
        torch_names=("NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"),
        peak_flops={"fp32": 19.5 * TERA, "tf32": 156 * TERA, "fp16": 312 * TERA, "bf16": 312 * TERA},
        bytes_per_second=1555 * GIGA,
        power_watts=400,
        source="NVIDIA A100 Tensor Core GPU data sheet (2021), 40GB SXM",
        memory=GpuMemory(
            total_bytes=round(39.50 * GIB_BYTES),
            context_bytes=round(0.49 * GIB_BYTES),
            source="github.com/TianheWu/CoSeR/issues/10",
        ),
    ),
    Gpu(
        name="a100-80gb",
        torch_names=("NVIDIA A100-SXM4-80GB",),
        peak_flops={"fp32": 19.5 * TERA, "tf32": 156 * TERA, "fp16": 312 * TERA, "bf16": 312 * TERA},
        bytes_per_second=2039 * GIGA,
        power_watts=400,
        source="NVIDIA A100 Tensor Core GPU data sheet (2021), 80GB SXM",
        memory=GpuMemory(
            total_bytes=round(79.25 * GIB_BYTES),
            context_bytes=round(0.49 * GIB_BYTES),
            source="github.com/levihsu/OOTDiffusion/issues/235; context of an A100 40GB",
        ),
    ),
    Gpu(
        name="l4",
        torch_names=("NVIDIA L4",),
        peak_flops={"fp32": 30.3 * TERA, "tf32": 60 * TERA, "fp16": 121 * TERA, "bf16": 121 * TERA},
        bytes_per_second=300 * GIGA,
        power_watts=72,
        source="NVIDIA L4 Tensor Core GPU data sheet (2023): tensor figures there with sparsity, halved here",
        memory=GpuMemory(
            total_bytes=round(22.03 * GIB_BYTES),
            context_bytes=round(0.23 * GIB_BYTES),
            source="github.com/ArcInstitute/evo2/issues/190",
        ),
    ),
    Gpu(
        name="h100",
        torch_names=("NVIDIA H100 80GB HBM3",),
        peak_flops={"fp32": 67 * TERA, "tf32": 494.7 * TERA, "fp16": 989.4 * TERA, "bf16": 989.4 * TERA},
        bytes_per_second=3350 * GIGA,
        power_watts=700,
        source="NVIDIA H100 Tensor Core GPU architecture (2022) and data sheet, SXM5: dense figures",
        memory=GpuMemory(
            total_bytes=round(79.11 * GIB_BYTES),
            context_bytes=MAX_CONTEXT_BYTES,
            source="github.com/vllm-project/vllm/issues/27508; context of an H200, the same chip",
        ),
    ),
    Gpu(
        name="h200",
        torch_names=("NVIDIA H200",),
        peak_flops={"fp32": 67 * TERA, "tf32": 494.7 * TERA, "fp16": 989.4 * TERA, "bf16": 989.4 * TERA},
        bytes_per_second=4800 * GIGA,
        power_watts=700,
        source="NVIDIA H200 Tensor Core GPU data sheet (2024), SXM: tensor figures there with sparsity, halved here",
        memory=GpuMemory(
            total_bytes=round(139.81 * GIB_BYTES),
            context_bytes=round(0.51 * GIB_BYTES),
            source="github.com/sungwon-chae/arxiv_confi, etu_logging.md",
        ),
    ),
)

GPUS = {gpu.name: gpu for gpu in _GPUS}


def choose_gpu(option: str) -> Gpu:
    """Return the GPU that `--gpu` names.

    Raises:
        InvalidChoiceError: There is none of that name.
    """
    try:
        gpu: Gpu = choose(GPUS, option.lower(), kind="GPU")
    except InvalidChoiceError as error:
        raise InvalidChoiceError(f"--gpu: {error}") from None
    return gpu


def gpu_named(torch_name: str | None) -> Gpu | None:
    """Return the data sheet of a GPU by the name that torch gives it, or None."""
    found = [gpu for gpu in _GPUS if torch_name in gpu.torch_names]
    return found[0] if found else None

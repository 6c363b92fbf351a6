"""Data sheets: what GPUs can do at most, by the name that torch gives them."""

from __future__ import annotations

from dataclasses import dataclass

TERA = 1e12
GIGA = 1e9


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
    """

    name: str
    torch_names: tuple[str, ...]
    peak_flops: dict[str, float]
    bytes_per_second: float
    power_watts: float
    source: str

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
    ),
    Gpu(
        name="v100",
        torch_names=("Tesla V100-SXM2-16GB", "Tesla V100-SXM2-32GB"),
        peak_flops={"fp32": 15.7 * TERA, "fp16": 125 * TERA},
        bytes_per_second=900 * GIGA,
        power_watts=300,
        source="NVIDIA V100 Tensor Core GPU data sheet (2020), SXM2: 15.7 TFLOPS FP32, 125 TFLOPS tensor, 900 GB/s",
    ),
    Gpu(
        name="a100-40gb",
        torch_names=("NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"),
        peak_flops={"fp32": 19.5 * TERA, "tf32": 156 * TERA, "fp16": 312 * TERA, "bf16": 312 * TERA},
        bytes_per_second=1555 * GIGA,
        power_watts=400,
        source="NVIDIA A100 Tensor Core GPU data sheet (2021), 40GB SXM",
    ),
    Gpu(
        name="a100-80gb",
        torch_names=("NVIDIA A100-SXM4-80GB",),
        peak_flops={"fp32": 19.5 * TERA, "tf32": 156 * TERA, "fp16": 312 * TERA, "bf16": 312 * TERA},
        bytes_per_second=2039 * GIGA,
        power_watts=400,
        source="NVIDIA A100 Tensor Core GPU data sheet (2021), 80GB SXM",
    ),
    Gpu(
        name="l4",
        torch_names=("NVIDIA L4",),
        peak_flops={"fp32": 30.3 * TERA, "tf32": 60 * TERA, "fp16": 121 * TERA, "bf16": 121 * TERA},
        bytes_per_second=300 * GIGA,
        power_watts=72,
        source="NVIDIA L4 Tensor Core GPU data sheet (2023): tensor figures there with sparsity, halved here",
    ),
    Gpu(
        name="h100",
        torch_names=("NVIDIA H100 80GB HBM3",),
        peak_flops={"fp32": 67 * TERA, "tf32": 494.7 * TERA, "fp16": 989.4 * TERA, "bf16": 989.4 * TERA},
        bytes_per_second=3350 * GIGA,
        power_watts=700,
        source="NVIDIA H100 Tensor Core GPU architecture (2022) and data sheet, SXM5: dense figures",
    ),
    Gpu(
        name="h200",
        torch_names=("NVIDIA H200",),
        peak_flops={"fp32": 67 * TERA, "tf32": 494.7 * TERA, "fp16": 989.4 * TERA, "bf16": 989.4 * TERA},
        bytes_per_second=4800 * GIGA,
        power_watts=700,
        source="NVIDIA H200 Tensor Core GPU data sheet (2024), SXM: tensor figures there with sparsity, halved here",
    ),
)

GPUS = {gpu.name: gpu for gpu in _GPUS}


def gpu_named(torch_name: str | None) -> Gpu | None:
    """Return the data sheet of a GPU by the name that torch gives it, or None."""
    found = [gpu for gpu in _GPUS if torch_name in gpu.torch_names]
    return found[0] if found else None

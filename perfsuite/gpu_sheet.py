"""What a data sheet of a GPU says, and how much of its memory torch has."""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.formatting import GIB_BYTES, MIB_BYTES
from perfsuite.precisions import POLICIES

TERA = 1e12
GIGA = 1e9

WORKSPACE_BYTES = 256 * MIB_BYTES
"""An allowance for the workspaces of cuBLAS and cuDNN, not measured. torch gives cuBLAS 8 MiB, and 32 MiB on Hopper
(aten/src/ATen/cuda/CublasHandlePool.cpp); cuDNN takes what its heuristics ask for, and a slower algorithm where that
does not fit."""

MAX_CONTEXT_BYTES = round(0.66 * GIB_BYTES)
"""Of a CUDA context, where none of that GPU is known: the largest of those that are, of an H100 NVL."""

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

    Products of tensor cores are those that accumulate in FP32, as torch's do: GeForce boards compute them at half the
    rate of those that accumulate in FP16, which their sheets show first.

    Attributes:
        name: As people call it on a command line.
        torch_names: What `torch.cuda.get_device_name` and `nvidia-smi -L` say of it.
        architecture: Generation of its chip.
        num_sms: Streaming multiprocessors; compute units of AMD's.
        boost_mhz: Clock that the sheet's FP32 figure is computed with.
        tensor_mhz: Clock of its tensor figures, where that is another one.
        peak_flops: Floating-point operations per second by precision; a precision that the GPU lacks is left out.
        bytes_per_second: Bandwidth of its memory.
        power_watts: Its board power.
        source: Where it says so.
        memory: How much of its memory torch has.
        note: What a reader of its figures has to know, or nothing.
    """

    name: str
    torch_names: tuple[str, ...]
    architecture: str
    num_sms: int
    boost_mhz: float
    tensor_mhz: float
    peak_flops: dict[str, float]
    bytes_per_second: float
    power_watts: float
    source: str
    memory: GpuMemory
    note: str = ""

    def peak_for(self, precision: str) -> float | None:
        """Return the peak of a precision policy, of the format of its products; None for one that is unknown."""
        policy = POLICIES.get(precision)
        return None if policy is None else self.peak_flops.get(policy.arithmetic)


def is_amd(gpu: Gpu) -> bool:
    """Whether a GPU is AMD's, by its architecture."""
    return gpu.architecture.startswith(("cdna", "rdna"))

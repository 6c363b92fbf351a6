"""The peak of this device, now: large products, a large convolution and a copy, in the type of a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from perfsuite.workloads.precision import applied_to, compute_dtype, policy_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large probes are on one type of device.

    Attributes:
        matrix: N of an [N, N] by [N, N] product.
        images: N of a convolution of [N, 128, 16, 16] with 128 filters of 3x3.
        copy_bytes: Of the block that is copied; larger than any cache.
        min_seconds: A timing has as many repetitions as it takes to last so long.
    """

    matrix: int
    images: int
    copy_bytes: int
    min_seconds: float


SIZES = {
    # 137 GFLOP fill the largest GPU of today for 140 us, and a T4 in FP32 for 17 ms.
    "cuda": Sizes(matrix=4096, images=512, copy_bytes=512 * 1024**2, min_seconds=0.02),
    "cpu": Sizes(matrix=1024, images=8, copy_bytes=128 * 1024**2, min_seconds=0.02),
}

NUM_TIMINGS = 4
"""Of each probe; the fastest counts, for a limit is what is possible."""

TOO_SLOW_S = 0.5
"""A repetition that takes longer is not repeated: a type that the device emulates has no limit worth the wait."""

CHANNELS, EDGE, KERNEL = 128, 16, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredLimits:
    """What the device reached.

    Attributes:
        gemm_flops_per_second: In a product of matrices.
        conv_flops_per_second: In a convolution, its faster layout.
        copy_bytes_per_second: In a copy, bytes read plus bytes written.
    """

    gemm_flops_per_second: float
    conv_flops_per_second: float
    copy_bytes_per_second: float


def probe_limits(workload: Workload, *, device: torch.device, clock: Callable[[], float]) -> MeasuredLimits:
    """Measure the limits, right after a cell and so at the clocks that it had; takes some tenths of a second.

    Args:
        workload: Its precision is what is computed in, its flags are set.
        device: Where.
        clock: Reads seconds, device synchronised.
    """
    sizes = SIZES[device.type]
    dtype = compute_dtype(policy_named(workload.precision))
    with applied_to(workload), torch.no_grad():
        left, right = (torch.randn(sizes.matrix, sizes.matrix, device=device, dtype=dtype) for _ in range(2))
        out = torch.empty_like(left)
        gemm = _fastest(lambda: torch.mm(left, right, out=out), clock, sizes.min_seconds)
        conv = min(_convolution(layout, dtype, sizes, device=device, clock=clock) for layout in _LAYOUTS)
        source = torch.ones(sizes.copy_bytes // 4, device=device)
        target = torch.empty_like(source)
        copy = _fastest(lambda: target.copy_(source), clock, sizes.min_seconds)
    macs = sizes.images * EDGE * EDGE * CHANNELS * CHANNELS * KERNEL * KERNEL
    return MeasuredLimits(
        gemm_flops_per_second=2 * sizes.matrix**3 / gemm,
        conv_flops_per_second=2 * macs / conv,
        copy_bytes_per_second=2 * sizes.copy_bytes / copy,
    )


_LAYOUTS = (torch.contiguous_format, torch.channels_last)


def _convolution(
    layout: torch.memory_format,
    dtype: torch.dtype,
    sizes: Sizes,
    *,
    device: torch.device,
    clock: Callable[[], float],
) -> float:
    images = torch.randn(sizes.images, CHANNELS, EDGE, EDGE, device=device, dtype=dtype).to(memory_format=layout)
    filters = torch.randn(CHANNELS, CHANNELS, KERNEL, KERNEL, device=device, dtype=dtype).to(memory_format=layout)
    return _fastest(lambda: functional.conv2d(images, filters, padding=KERNEL // 2), clock, sizes.min_seconds)


def _fastest(run: Callable[[], object], clock: Callable[[], float], min_seconds: float) -> float:
    """Return the seconds of one repetition, the fastest of some timings; the first one only warms up and counts."""
    begin = clock()
    run()
    once = max(clock() - begin, 1e-7)
    if once > TOO_SLOW_S:
        return once
    begin = clock()
    run()
    once = min(once, max(clock() - begin, 1e-7))
    repetitions = max(1, round(min_seconds / once))
    times = []
    for _ in range(NUM_TIMINGS):
        begin = clock()
        for _ in range(repetitions):
            run()
        times.append((clock() - begin) / repetitions)
    return min(times)

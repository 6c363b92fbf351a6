"""How long a run of the step benchmarks takes, from operations and data sheets: everything that it does, itemised.

The head of a run says the sum, and a test keeps the default matrix within 180 s on a T4. Times of iterations are
estimates, within a factor of two; what the host does is what was measured on two cores of a shared server.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.gpu_sheet import GIGA, Gpu, GpuMemory
from perfsuite.gpus import GPUS, gpu_named
from perfsuite.measure.flops import Work
from perfsuite.measure.kernel_profile import num_passes
from perfsuite.measure.latency import NUM_LATENCIES
from perfsuite.measure.rounds import ENERGY_WINDOW_S
from perfsuite.measure.sample_cost import sample_cost
from perfsuite.measure.warm_up import MIN_ITERATIONS, MIN_LONG_ITERATIONS
from perfsuite.precisions import POLICIES
from perfsuite.records.workload import INFERENCE, PHASE_COST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.measure.budget import Effort
    from perfsuite.records.workload import Workload

COMPUTE_RATIO = {"fp32": 0.45}
"""Share of the data sheet's peak that convolutions reach; a T4 at its power limit runs at 60% of its highest clock."""
TENSOR_COMPUTE_RATIO = 0.25
"""The same for tensor cores, whose peak a network of 32x32 images is far from."""

BANDWIDTH_RATIO = 0.8
"""Share of the data sheet's bandwidth that a copy reaches."""

TRAFFIC_RATIO = 3.0
"""Bytes that move over the least that must: batch norm reads its input twice, ReLU reads and writes once more."""

LAUNCH_S = 1e-5
"""Of a kernel, about; no iteration takes less, nor one of a network of which nothing is known."""

CPU_FLOPS_PER_THREAD = 50 * GIGA
CPU_BYTES_PER_SECOND = 10 * GIGA

# From here to READ_PROFILE_S, what the host does: 60 of the 179 s on a T4 and of the 140 s on an H100. None of it was
# read on a machine with a GPU: START_S is an assumption, the others are of two cores of a shared server without one.
# The four ratios above are assumptions too. A recorded run on a GPU replaces them: `--durations=0` has the seconds of
# each cell, its record those of its warm-up and its rounds, and what is left of a cell is the host's.
START_S = {"cuda": 8.0, "cpu": 1.0}
"""From the first cell to its first kernel: the CUDA context, and loading cuDNN and cuBLAS."""
BUILD_S = 0.6
"""Of a network: seeded weights on the host, copied to the device."""
VERIFY_S = 0.4
"""Of a precision: small products compared with float64."""
SETTLE_ITERATIONS = 2
"""Training steps until the loss scale has settled: one in FP32, one more for every overflow under AMP."""
CHECK_ITERATIONS = 3
"""Backward passes and a forward pass by which the retained graph is checked, in training steps."""
CLEAN_UP_S = 0.5
"""Of a cell: collecting garbage four times, writing the result file."""
DRY_RUN_S = 2.0
"""Of a network in one precision, once for all phases: memory and operations on fake tensors."""
READ_PROFILE_S = 0.5
"""Of a cell: starting the profiler and reading its events."""
PROBE_WORK = {"cuda": (137e9, 39e9, 2 * 512 * 1024**2), "cpu": (2.1e9, 0.6e9, 2 * 128 * 1024**2)}
"""Operations of a product and of a convolution, and bytes of a copy, of the sizes in `microbenchmarks.SIZES`."""
PROBE_TIMING_S = 0.02
NUM_PROBE_TIMINGS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePlan:
    """How long a run takes.

    Attributes:
        items: Seconds by what they are spent on.
        cells: Seconds of each cell, without its profile.
        profiles: Seconds of the profile of each cell; zeros where none follow.
    """

    items: dict[str, float]
    cells: tuple[float, ...]
    profiles: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(self.items.values())


def sheet_for(device_type: str, gpu: str | None, num_threads: int) -> tuple[Gpu, bool]:
    """Return the data sheet to plan with, and whether it is that of this device: a T4's stands for unknown GPUs."""
    if device_type == "cuda":
        known = gpu_named(gpu)
        return (GPUS["t4"], False) if known is None else (known, True)
    flops = CPU_FLOPS_PER_THREAD * num_threads
    cpu = Gpu(
        name="cpu",
        torch_names=(),
        peak_flops={"fp32": flops, "bf16": flops, "fp16": flops / 10},
        bytes_per_second=CPU_BYTES_PER_SECOND,
        power_watts=0.0,
        source="order of magnitude of a server core",
        memory=GpuMemory(total_bytes=0, context_bytes=0, source="a plan of time asks for none"),
        architecture="cpu",
        num_sms=num_threads,
        boost_mhz=0.0,
        tensor_mhz=0.0,
    )
    return cpu, False


def estimate_work(workload: Workload) -> Work:
    """Return about what `count_work` counts, at once: the head of a run cannot wait for dry runs."""
    cost = sample_cost(workload.model, image_size=workload.image_size, num_classes=workload.num_classes)
    forward_flops = 2e9 * cost.forward_gmacs * workload.batch_size
    policy = POLICIES[workload.precision]
    kept = cost.kept_megabytes * 1e6 * workload.batch_size / (2 if policy.is_half else 1)
    weights = policy.bytes_per_weight * cost.num_parameters
    flops = PHASE_COST[workload.phase] * forward_flops
    moved = {
        "inference": kept + weights,  # each activation is written once, whether or not it is kept
        "forward": kept + weights,
        "backward": kept + 2 * weights,
        "train_step": 2 * kept + 8 * weights,
    }
    return Work(flops=int(flops), min_bytes=int(moved[workload.phase]))


def iteration_s(workload: Workload, work: Work, sheet: Gpu) -> float:
    """Return about how long an iteration takes."""
    peak = sheet.peak_for(workload.precision) or sheet.peak_flops["fp32"]
    compute_s = work.flops / (peak * COMPUTE_RATIO.get(workload.precision, TENSOR_COMPUTE_RATIO))
    traffic_s = TRAFFIC_RATIO * work.min_bytes / (sheet.bytes_per_second * BANDWIDTH_RATIO)
    return max(compute_s + traffic_s, LAUNCH_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellTimes:
    """About how long the iterations of a cell take.

    Attributes:
        workload: Of the cell.
        iteration_s: Of its phase.
        step_s: Of its whole training step, or of inference.
    """

    workload: Workload
    iteration_s: float
    step_s: float


def plan(cells: Sequence[CellTimes], sheet: Gpu, effort: Effort, *, profiled: bool = True) -> TimePlan:
    """Compute how long cells of the step benchmarks take.

    Args:
        cells: All of them on one type of device.
        sheet: Of the device.
        effort: How much time the user gives.
        profiled: Whether profiles follow.
    """
    items = {"starting": START_S[cells[0].workload.device_type] if cells else 0.0}
    by_cell = []
    profiles = []
    seen: set[Workload] = set()
    for number, cell in enumerate(cells):
        workload, once, step = cell.workload, cell.iteration_s, cell.step_s
        mine = _cell_items(workload, once, step, sheet, effort, is_first=number == 0)
        is_new = dataclasses.replace(workload, phase="train_step") not in seen
        seen.add(dataclasses.replace(workload, phase="train_step"))
        if effort.quick:
            mine.update(probing=0.0)
        elif is_new:
            mine["predicting memory"] = DRY_RUN_S
        by_cell.append(sum(mine.values()))
        if profiled and not effort.quick:
            num_warm_up, num_iterations = num_passes(workload.device_type, once)
            mine["profiles"] = READ_PROFILE_S + (num_warm_up + 2 * num_iterations) * once
            mine["profiles"] += BUILD_S + SETTLE_ITERATIONS * step if is_new else 0.0
        profiles.append(mine.get("profiles", 0.0))
        for name, seconds in mine.items():
            items[name] = items.get(name, 0.0) + seconds
    return TimePlan(items=items, cells=tuple(by_cell), profiles=tuple(profiles))


def _cell_items(
    workload: Workload, once: float, step: float, sheet: Gpu, effort: Effort, *, is_first: bool
) -> dict[str, float]:
    """Return what a cell takes, but for its dry run and its profile.

    Args:
        workload: Of the cell.
        once: Seconds of an iteration of its phase.
        step: Seconds of a whole step.
        sheet: Of the device.
        effort: How much time the user gives.
        is_first: Whether the device is cold.
    """
    budget = effort.budget(workload.device_type)
    min_warm_up_s, max_warm_up_s = effort.warm_up_limits_s(workload.device_type, is_warm=not is_first)
    stable_s = max_warm_up_s if is_first else min(MIN_ITERATIONS * once, max_warm_up_s)
    warm_up_s = max(min_warm_up_s, stable_s, MIN_LONG_ITERATIONS * once)
    round_s = math.ceil(budget.min_round_s / once) * once
    # The rounds of a CPU scatter so that they go on for as long as they may.
    wanted_s = budget.rounds_s if workload.device_type == "cuda" or effort.margin_ratio is None else budget.max_time_s
    rounds_s = max(effort.min_rounds(workload.device_type, once), math.ceil(wanted_s / round_s)) * round_s
    if not effort.has_long_rounds(workload.device_type, once):
        rounds_s += 2 * round_s  # calibrated before, run once more after
    latencies_s = min(NUM_LATENCIES * once, budget.max_time_s) if workload.phase == INFERENCE else 0.0
    settling = SETTLE_ITERATIONS + (CHECK_ITERATIONS if workload.phase == "backward" else 0)
    return {
        "building": BUILD_S + VERIFY_S + settling * step,
        "warm-up": warm_up_s,
        "rounds": rounds_s,
        "energy": max(0.0, ENERGY_WINDOW_S - rounds_s) if workload.device_type == "cuda" else 0.0,
        "single iterations": latencies_s,
        "peak memory": 2 * step,
        "probing": _probing_s(workload, sheet),
        "cleaning up": CLEAN_UP_S,
    }


def _probing_s(workload: Workload, sheet: Gpu) -> float:
    peak = sheet.peak_for(workload.precision) or sheet.peak_flops["fp32"]
    flops_per_second = peak * COMPUTE_RATIO.get(workload.precision, TENSOR_COMPUTE_RATIO)
    product_flops, convolution_flops, copy_bytes = PROBE_WORK[workload.device_type]
    probes = [flops / flops_per_second for flops in (product_flops, convolution_flops, convolution_flops)]
    probes.append(copy_bytes / (sheet.bytes_per_second * BANDWIDTH_RATIO))
    return sum(NUM_PROBE_TIMINGS * max(once, PROBE_TIMING_S) for once in probes)

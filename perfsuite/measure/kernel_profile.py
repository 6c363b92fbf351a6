"""Where the time of an iteration goes: three clocks (wall, device, sum of kernels), what bounds it, its kernels.

Never taken while a cell is measured: the profiler leaves CUDA's tracing library attached, which slows all launches
in the process later by 10 to 20% unless it is torn down, and that is safe from CUDA 12.6 on only (pytorch#144455). So
the suite takes all profiles after its last timed cell.
"""

from __future__ import annotations

import dataclasses
import re
import time
from typing import TYPE_CHECKING, Any

from torch.profiler import ProfilerActivity, profile, record_function

from perfsuite.errors import MeasurementError
from perfsuite.measure.clock import device_synchronizer, independent_stopwatch
from perfsuite.measure.memory import release_cached_memory
from perfsuite.records.profile import Kernel, Profile
from perfsuite.records.workload import PHASES
from perfsuite.workloads.build import build_workload
from perfsuite.workloads.precision import applied_to, policy_named, require_support

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import torch

    from perfsuite.records.workload import Workload
    from perfsuite.workloads.built_network import BuiltNetwork

NUM_KERNELS = 10
"""How many kernels a record keeps."""

WINDOW = "perfsuite profiled iterations"

NAME_LENGTH = 160
"""Characters of a kernel's name that are kept; template arguments go on for thousands."""

DEVICE_BOUND_RATIO = 0.9
"""From this share of the wall clock in kernels on, the device is what is waited for."""

NUM_ITERATIONS = {"cuda": 2, "cpu": 2}
"""Iterations that are timed, and as many that are profiled, by type of device."""

NUM_WARM_UP_PASSES = {"cuda": 3, "cpu": 1}
"""Kernels are loaded and chosen by then; the clock does not matter, for the shares of kernels do not depend on it."""

LONG_S = 10.0
"""Longer iterations need no repetition: one is timed and one is profiled, after the whole step that was run before."""

TENSOR_CORE = re.compile(
    r"tensorop|_tensor\d+x|[hsi]884|[hs]1688|[hs]16816|i8816|i16832|hmma|imma|gmma|nvjet|16816_|1688_", re.IGNORECASE
)
"""How libraries name kernels that use tensor cores: the shape of the instruction (884 on Volta, 1688 on Turing, 16816
since Ampere), `tensorop` and `_tensor16x8x8` in CUTLASS and cuDNN, `gmma` and `nvjet` since Hopper. By name only, so
the share is a lower bound. Source: PTX ISA, mma and wgmma; kernel names of cuBLAS, cuDNN and CUTLASS."""

SYNCHRONISING = re.compile(r"^cuda\w*Synchronize$|^cudaMemcpy$|^cu\w*Synchronize$")
"""Calls in which the host waits for the device."""


class BuiltStep:
    """The step that was built last: kept while workloads differ in their phase only."""

    def __init__(self, device: torch.device) -> None:
        """Build steps on a device, none as yet."""
        self._device = device
        self._step: BuiltNetwork | None = None

    def get(self, workload: Workload) -> BuiltNetwork:
        """Return a step of the workload, whatever its phase; another one that is kept is closed before.

        Raises:
            NotSupportedError: This hardware lacks what the workload asks for.
        """
        if self._step is not None and _whole_step(self._step.workload) == _whole_step(workload):
            self._step.workload = workload
            return self._step
        self.close()
        policy = policy_named(workload.precision)  # its cell has verified it
        require_support(policy, self._device)
        with applied_to(workload):
            self._step = build_workload(workload, self._device)
            self._step.settle()
        return self._step

    def close(self) -> None:
        """Close the step that is kept, and give its memory back to the device."""
        if self._step is None:
            return
        step, self._step = self._step, None
        step.close()
        del step
        release_cached_memory(self._device)


def num_passes(device_type: str, timed_s: float | None) -> tuple[int, int]:
    """Return how many iterations are run before a profile, and how many are timed and as many profiled.

    Args:
        device_type: Where.
        timed_s: How long an iteration takes, if known.
    """
    if timed_s is not None and timed_s > LONG_S:
        return 0, 1
    return NUM_WARM_UP_PASSES[device_type], NUM_ITERATIONS[device_type]


def _whole_step(workload: Workload) -> Workload:
    return dataclasses.replace(workload, phase="train_step") if workload.phase in PHASES else workload


def profile_workload(workload: Workload, built: BuiltStep, *, device: torch.device, timed_s: float) -> Profile:
    """Take the profile of a workload, on the step that is built already where there is one.

    Args:
        workload: What.
        built: Builds its step, or has it.
        device: Where.
        timed_s: Median of the timed rounds of its cell: what tells how long an iteration takes undisturbed.

    Raises:
        NotSupportedError: This hardware lacks what the workload asks for.
        MeasurementError: The profiler saw nothing.
    """
    step = built.get(workload)
    with applied_to(workload):
        step.prepare()
        try:
            return take_profile(step.body, device=device, timed_s=timed_s)
        finally:
            step.release_graph()


def take_profile(run: Callable[[], object], *, device: torch.device, timed_s: float | None = None) -> Profile:
    """Take the three clocks of an iteration: wall and device undisturbed, then the kernels under the profiler.

    Args:
        run: One iteration.
        device: Where it runs.
        timed_s: Of an iteration before any profile of this process slowed its launches, if known.
    """
    synchronize = device_synchronizer(device)
    num_warm_up, num_iterations = num_passes(device.type, timed_s)
    for _ in range(num_warm_up):
        run()
    synchronize()
    # On a GPU two clocks measure the same iterations: the host's, and the device's own events.
    stopwatch = independent_stopwatch(device)
    token = stopwatch.start()
    begin = time.perf_counter()
    for _ in range(num_iterations):
        run()
    device_s = stopwatch.stop(token) / num_iterations
    wall_s = (time.perf_counter() - begin) / num_iterations
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=activities) as profiler:
        with record_function(WINDOW):
            for _ in range(num_iterations):
                run()
        synchronize()  # outside of the window: this wait is ours, not the iteration's
    if device.type == "cuda":
        return read_device_events(
            _events(profiler),
            wall_s=wall_s if timed_s is None else min(wall_s, timed_s),
            device_s=device_s,
            num_iterations=num_iterations,
        )
    return _of_operators(profiler, wall_s=wall_s, num_iterations=num_iterations)


def _events(profiler: Any) -> list[tuple[str, bool, int, int]]:
    """Return name, whether it ran on the device, begin and duration in nanoseconds of everything the profiler saw."""
    return [
        (event.name(), str(event.device_type()).endswith("CUDA"), event.start_ns(), event.duration_ns())
        for event in profiler.profiler.kineto_results.events()
        if not (_is_annotation(event) and str(event.device_type()).endswith("CUDA"))
    ]


def _is_annotation(event: Any) -> bool:
    """Whether this is a mark that somebody set (torch's optimizers do), which the profiler shows on the device too."""
    tell = getattr(event, "is_user_annotation", None)
    return bool(tell()) if tell is not None else event.name().startswith(("Optimizer.", "## ", WINDOW))


def read_device_events(
    events: Sequence[tuple[str, bool, int, int]], *, wall_s: float, device_s: float, num_iterations: int
) -> Profile:
    """Make a profile of what CUDA's tracing library recorded.

    Args:
        events: Name, whether it ran on the device, begin and duration in nanoseconds.
        wall_s: Of one iteration.
        device_s: Of one iteration.
        num_iterations: How many iterations were recorded.

    Raises:
        MeasurementError: No kernel among them, or not the mark of the iterations.
    """
    kernels = [(name, duration / 1e9) for name, on_device, _, duration in events if on_device and name != WINDOW]
    if not kernels:
        raise MeasurementError("the profiler saw no kernel: CUDA's tracing library (CUPTI) is missing or not permitted")
    begin, end = _profiled_passes(events)
    waits = [
        duration
        for name, on_device, start, duration in events
        if not on_device and begin <= start < end and SYNCHRONISING.match(name)
    ]
    synchronize_s = sum(waits) / 1e9 / num_iterations
    kernels_s = sum(seconds for _, seconds in kernels) / num_iterations
    tensor_cores_s = sum(seconds for name, seconds in kernels if TENSOR_CORE.search(name)) / num_iterations
    return Profile(
        wall_s=wall_s,
        device_s=device_s,
        kernels_s=kernels_s,
        synchronize_s=synchronize_s,
        bound=label(wall_s=wall_s, kernels_s=kernels_s, synchronize_s=synchronize_s),
        kernels=_most_expensive(kernels, num_iterations),
        num_kernels=len(kernels) / num_iterations,
        tensor_core_ratio=tensor_cores_s / kernels_s,
    )


def _profiled_passes(events: Sequence[tuple[str, bool, int, int]]) -> tuple[int, int]:
    """Return when the profiled iterations began on the host, and when they had ended, in nanoseconds."""
    for name, on_device, begin, duration in events:
        if name == WINDOW and not on_device:
            return begin, begin + duration
    raise MeasurementError("the profiler lost the mark of the profiled iterations")


def label(*, wall_s: float, kernels_s: float, synchronize_s: float) -> str:
    """Return what an iteration waits for.

    The device is busy, or it idles: because the host waited for it and then had to start from nothing, if at least
    half as long as it idled was spent in such waits, or because the host is too slow to launch.
    """
    if kernels_s >= DEVICE_BOUND_RATIO * wall_s:
        return "device-bound"
    idle = wall_s - kernels_s
    return "synchronisation-bound" if synchronize_s >= idle / 2 else "launch-bound"


def _of_operators(profiler: Any, *, wall_s: float, num_iterations: int) -> Profile:
    """Make a profile of the operators of a CPU, each without those that it calls."""
    entries = [
        (entry.key, entry.self_cpu_time_total / 1e6, entry.count)
        for entry in profiler.key_averages()
        if entry.self_cpu_time_total > 0 and entry.key != WINDOW
    ]
    total = sum(seconds for _, seconds, _ in entries) / num_iterations
    if not entries:
        raise MeasurementError("the profiler saw no operator")
    ranked = sorted(entries, key=lambda entry: entry[1], reverse=True)[:NUM_KERNELS]
    no_queue = "a CPU runs what it is asked at once: there is no queue that could run empty"
    return Profile(
        wall_s=wall_s,
        device_s=None,
        kernels_s=total,
        synchronize_s=None,
        bound=None,
        kernels=tuple(
            Kernel(
                name=name[:NAME_LENGTH],
                seconds=seconds / num_iterations,
                num_calls=count / num_iterations,
                ratio=seconds / num_iterations / total,
            )
            for name, seconds, count in ranked
        ),
        num_kernels=sum(count for _, _, count in entries) / num_iterations,
        tensor_core_ratio=None,
        absent={
            "device_s": no_queue,
            "synchronize_s": no_queue,
            "bound": no_queue,
            "tensor_core_ratio": "a CPU has no tensor cores",
        },
    )


def _most_expensive(kernels: Iterable[tuple[str, float]], num_iterations: int) -> tuple[Kernel, ...]:
    seconds: dict[str, float] = {}
    calls: dict[str, int] = {}
    for name, duration in kernels:
        key = name[:NAME_LENGTH]
        seconds[key] = seconds.get(key, 0.0) + duration
        calls[key] = calls.get(key, 0) + 1
    total = sum(seconds.values())
    ranked = sorted(seconds, key=lambda name: seconds[name], reverse=True)[:NUM_KERNELS]
    return tuple(
        Kernel(
            name=name,
            seconds=seconds[name] / num_iterations,
            num_calls=calls[name] / num_iterations,
            ratio=seconds[name] / total,
        )
        for name in ranked
    )

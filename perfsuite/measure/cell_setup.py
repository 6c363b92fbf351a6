"""What every cell has around its measurement: building and proving before it, and a guard against half a cell."""

from __future__ import annotations

import contextlib
import gc
import traceback
from typing import TYPE_CHECKING, Any, Protocol

from perfsuite.errors import DeviceLostError, OutOfMemoryError, PerfsuiteError, PrecisionNotActiveError
from perfsuite.formatting import MIB_BYTES, first_line
from perfsuite.measure.memory import left_behind_bytes, release_cached_memory
from perfsuite.workloads.device_errors import is_out_of_memory, why_device_is_lost
from perfsuite.workloads.precision import applied_to, check_model, policy_named, require_support, verify
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from perfsuite.measure.clock import DeviceClock
    from perfsuite.records.proof import ProofReading
    from perfsuite.records.workload import Workload

LEFT_BEHIND_LIMIT_BYTES = 16 * MIB_BYTES
"""What may be allocated on a GPU before a cell without being called a leak: library workspaces that cannot be freed."""


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture, all of it public."""

    disabled: bool
    has_error: bool
    group: str | None
    extra_info: dict[str, Any]
    stats: Any

    def __call__(self, function_to_benchmark: Callable[[], object]) -> object:
        """Calibrate, run the rounds, and run once more for the result."""


@contextlib.contextmanager
def guard(benchmark: Benchmark, label: str, *, device: torch.device, clock: DeviceClock) -> Iterator[None]:
    """Mark the benchmark as failed whatever ends its cell early, and give the cell's memory back to the device.

    Raises:
        OutOfMemoryError: In place of torch's own errors, with the cell's name.
        DeviceLostError: In place of whatever came first, where the device cannot be used any more.
    """
    try:
        yield
        clock.unwatch()
        release_cached_memory(device)
    except BaseException as error:
        benchmark.has_error = True
        clock.unwatch()
        # A user who interrupts may do so because the device never answers: it is not asked then.
        problem = _problem(error, label, device) if isinstance(error, Exception) else None
        if problem is not None:
            # The frames hold the cell's tensors; the next cell needs their memory.
            traceback.clear_frames(error.__traceback__)
        with contextlib.suppress(RuntimeError):  # of a device in trouble; the first error is the one to tell
            release_cached_memory(device)
        if problem is not None:
            raise problem from None
        raise


def _problem(error: Exception, label: str, device: torch.device) -> PerfsuiteError | None:
    """Return what a user should be told in place of an error, or None where the error itself says it."""
    lost = why_device_is_lost(device)
    if lost is not None:
        return DeviceLostError(f"the device was lost: {lost}; a new process can use it again, this one cannot")
    if is_out_of_memory(error):
        return OutOfMemoryError(f"out of memory: {label} does not fit: {first_line(error)}")
    return None


@contextlib.contextmanager
def objects_frozen() -> Iterator[None]:
    """Collect garbage once, then keep the collector from all objects that are alive: it would walk all of torch's.

    Entered before a warm-up and left after the rounds: a collection in between would let the device idle.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def memory_left_behind(device: torch.device) -> list[str]:
    """Return a finding, in words, if something is allocated on the device before a cell begins."""
    release_cached_memory(device)
    left_behind = left_behind_bytes(device)
    if left_behind <= LEFT_BEHIND_LIMIT_BYTES:
        return []
    return [f"{left_behind / MIB_BYTES:.0f} MiB were allocated before this cell began: peaks include it"]


def build_step(
    workload: Workload, *, device: torch.device, report_stage: Callable[[str], None]
) -> tuple[TrainingStep, tuple[ProofReading, ...]]:
    """Build a step, verify its precision, and train until the loss scale has settled.

    The policy's flags are active while it runs, and restored afterwards.

    Returns:
        The step, gradients as at the beginning of one, and the probes of its precision.

    Raises:
        NotSupportedError: This hardware lacks what the workload asks for.
        PrecisionNotActiveError: The precision asked for is not the one computed in.
    """
    policy = policy_named(workload.precision)
    require_support(policy, device)
    with contextlib.ExitStack() as undo, applied_to(workload):
        report_stage("building")
        step = TrainingStep(workload, device=device)
        undo.callback(step.close)
        report_stage("verifying precision")
        proof = verify(policy, device)
        check_model(policy, step.model, step.images)
        report_stage("warming up")
        step.settle()
        if policy.loss_scaling and not step.scale_is_dynamic():
            raise PrecisionNotActiveError(f"{policy.name} is not active: the loss is not scaled")
        step.zero_gradients()
        undo.pop_all()
    return step, proof


def no_new_skips(step: TrainingStep) -> Callable[[], bool]:
    """Tell whether the loss scale has stabilised: no step skipped since the last time this was asked."""
    seen = float(step.num_skipped)

    def settled() -> bool:
        nonlocal seen
        before, seen = seen, float(step.num_skipped)
        return seen == before

    return settled

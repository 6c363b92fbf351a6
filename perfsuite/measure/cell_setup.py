"""What every cell has around its measurement: building and proving before it, and a guard against half a cell."""

from __future__ import annotations

import contextlib
import gc
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from perfsuite.errors import (
    DeviceLostError,
    MeasurementError,
    OutOfMemoryError,
    PerfsuiteError,
    PrecisionNotActiveError,
)
from perfsuite.formatting import MIB_BYTES, first_line
from perfsuite.measure.memory import left_behind_bytes, release_cached_memory
from perfsuite.measure.starting import Start, run_first_iteration
from perfsuite.workloads.build import build_workload
from perfsuite.workloads.built_network import BuiltNetwork
from perfsuite.workloads.cuda_graph import require_graph_support
from perfsuite.workloads.device_errors import is_out_of_memory, why_device_is_lost
from perfsuite.workloads.network_check import check_network
from perfsuite.workloads.precision import applied_to, policy_named, require_support
from perfsuite.workloads.precision_proof import check_model, check_optimizer, verify
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from perfsuite.measure.clock import DeviceClock
    from perfsuite.records.proof import ProofReading
    from perfsuite.records.workload import Workload
    from perfsuite.workloads.measurable import Measurable

    Make = Callable[[Workload, torch.device], Measurable]
    """Builds what a workload measures."""

LEFT_BEHIND_LIMIT_BYTES = 16 * MIB_BYTES
"""What may be allocated on a GPU before a cell without being called a leak: library workspaces that cannot be freed."""


class BenchmarkFixture(Protocol):
    """What is used of pytest-benchmark's fixture, all of it public."""

    disabled: bool
    has_error: bool
    group: str | None
    extra_info: dict[str, Any]
    stats: Any

    def __call__(self, function_to_benchmark: Callable[[], object]) -> object:
        """Calibrate, run the rounds, and run once more for the result."""

    def pedantic(self, target: Callable[[], object], *, rounds: int, iterations: int) -> object:
        """Run so many rounds, and nothing else."""


@contextlib.contextmanager
def guard(benchmark: BenchmarkFixture, label: str, *, device: torch.device, clock: DeviceClock) -> Iterator[None]:
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
        problem = problem_of(error, label, device) if isinstance(error, Exception) else None
        if problem is not None:
            # The frames hold the cell's tensors; the next cell needs their memory.
            traceback.clear_frames(error.__traceback__)
        with contextlib.suppress(RuntimeError):  # of a device in trouble; the first error is the one to tell
            release_cached_memory(device)
        if problem is not None:
            raise problem from None
        raise


def problem_of(error: Exception, label: str, device: torch.device) -> PerfsuiteError | None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was built and is ready to be measured.

    Attributes:
        step: It.
        proof: The probes of its precision.
        start: What its first iteration took.
    """

    step: Measurable
    proof: tuple[ProofReading, ...]
    start: Start


def build_step(
    workload: Workload,
    *,
    device: torch.device,
    report_stage: Callable[[str], None],
    make: Make = build_workload,
) -> Built:
    """Build what a workload measures, verify its precision, and run until the loss scale has settled.

    The policy's flags are active while it runs, and restored afterwards.

    Args:
        workload: What.
        device: Where.
        report_stage: Called with the current stage, in a word or two.
        make: Builds it.

    Returns:
        What was built, gradients as at the beginning of an iteration.

    Raises:
        NotSupportedError: This hardware lacks what the workload asks for.
        ModelError: A network that is not the suite's own cannot be built or run.
        PrecisionNotActiveError: The precision asked for is not the one computed in.
    """
    policy = policy_named(workload.precision)
    require_support(policy, device)
    if workload.cuda_graphs:
        require_graph_support(workload, device)
    with contextlib.ExitStack() as undo, applied_to(workload):
        report_stage("building")
        step = make(workload, device)
        undo.callback(step.close)
        report_stage("verifying precision")
        proof = verify(policy, device)
        step.findings = _examined(step)
        report_stage("compiling" if workload.is_compiled else "warming up")
        start = run_first_iteration(step)
        if isinstance(step, TrainingStep) and policy.loss_scaling and not step.scale_is_dynamic():
            raise PrecisionNotActiveError(f"{policy.name} is not active: the loss is not scaled")
        step.zero_gradients()
        undo.pop_all()
    return Built(step=step, proof=proof, start=start)


def build_training_step(
    workload: Workload, *, device: torch.device, report_stage: Callable[[str], None]
) -> TrainingStep:
    """Build a training step as `build_step` does, and raise what that raises."""
    step = build_step(workload, device=device, report_stage=report_stage).step
    if not isinstance(step, TrainingStep):
        raise MeasurementError(f"{workload.label} is not a training step")
    return step


def _examined(step: Measurable) -> tuple[str, ...]:
    """Look at the network: does it compute in the type asked for, and does what a user wrote do what it must?

    Returns:
        Findings, in words.
    """
    if not isinstance(step, BuiltNetwork):
        return ()
    if isinstance(step, TrainingStep):
        check_optimizer(step.policy, step.optimizer)
    findings = [] if step.spec.source is None else check_network(step)
    other = check_model(step.policy, step.model, step.inputs, is_strict=step.spec.source is None)
    if other:
        findings.append(f"computed in another type than {step.policy.name} asks for: {', '.join(other[:3])}")
    return tuple(findings)


def no_new_skips(step: Measurable) -> Callable[[], bool]:
    """Tell whether the loss scale has stabilised: no step skipped since the last time this was asked."""
    seen = float(step.num_skipped)

    def settled() -> bool:
        nonlocal seen
        before, seen = seen, float(step.num_skipped)
        return seen == before

    return settled

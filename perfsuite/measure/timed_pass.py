"""How long an iteration takes on this device, from one timed pass of each network.

On a CPU that is done for every network, since no data sheet tells it; on a GPU for those that no table knows.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from typing import TYPE_CHECKING

import torch
from torch import nn

from perfsuite.measure.clock import device_synchronizer
from perfsuite.measure.trial_step import MIN_BATCH_SIZE, look_at_step
from perfsuite.precisions import BASELINE
from perfsuite.records.workload import NOT_COMPILED, PHASE_COST, Workload
from perfsuite.workloads.precision import autocast, cast_inputs, cast_weights, policy_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.precisions import PrecisionPolicy

MAX_PASS_BATCH_SIZE = 8
"""The default on a CPU; a larger batch takes longer in proportion."""

REPEATED_BELOW_S = 1.0
"""A pass that takes longer is not repeated, though the first one prepares kernels as well."""

MAX_PASS_S = 10.0
"""A pass that is expected to take longer is not run: the head of a run cannot wait for it."""

PROBE_SHAPE = (2, 64, 32, 32)
"""Of a convolution by which precisions are compared: one of ResNet-18's, for two images [N, C, H, W]."""


def cpu_iteration_s(workload: Workload) -> float | None:
    """Return about how long an iteration takes on this CPU; None for a network that cannot be run.

    A training step is timed in FP32, and a small one in the workload's precision. Where a CPU has no instructions for a
    type, that would take minutes: a convolution in both precisions tells so before, and stands in for it.
    """
    network = (workload.model, workload.image_size, workload.num_classes)
    batch_size = min(max(workload.batch_size, MIN_BATCH_SIZE), MAX_PASS_BATCH_SIZE)
    sample_s = _sample_s(*network, batch_size, BASELINE)
    if sample_s is not None and workload.precision != BASELINE:
        expected_s = sample_s * cpu_slowdown(workload.precision)
        is_short = expected_s * MIN_BATCH_SIZE <= MAX_PASS_S
        timed_s = _sample_s(*network, MIN_BATCH_SIZE, workload.precision) if is_short else None
        sample_s = expected_s if timed_s is None else timed_s
    if sample_s is None:
        return None
    return _share_of_step(workload) * sample_s * workload.batch_size


def gpu_iteration_s(workload: Workload, device: torch.device) -> float | None:
    """Return about how long an iteration takes on a GPU; None where a training step of this batch cannot be run there.

    The whole step is timed as it will be measured, but for what a compiler or a captured graph makes of it.
    """
    step = dataclasses.replace(workload, phase="train_step", compile_mode=NOT_COMPILED, cuda_graphs=False)
    step_s = _gpu_step_s(step, device)
    return None if step_s is None else _share_of_step(workload) * step_s


def _share_of_step(workload: Workload) -> float:
    return PHASE_COST[workload.phase] / PHASE_COST["train_step"]


@functools.lru_cache(maxsize=64)
def _gpu_step_s(workload: Workload, device: torch.device) -> float | None:
    return look_at_step(lambda step: _timed_on_gpu(step.train_step, device), workload, device=device)


def _timed_on_gpu(
    run: Callable[[], object], device: torch.device, now: Callable[[], float] = time.perf_counter
) -> float:
    """Return the seconds of a second call: the first one starts the device, loads kernels and chooses algorithms."""
    synchronize = device_synchronizer(device)
    run()
    synchronize()
    begin = now()
    run()
    synchronize()
    return now() - begin


@functools.lru_cache(maxsize=64)
def _sample_s(model: str, image_size: int, num_classes: int, batch_size: int, precision: str) -> float | None:
    """Return the seconds of a training step on the CPU, per sample."""
    workload = Workload(
        model=model,
        precision=precision,
        phase="train_step",
        batch_size=batch_size,
        image_size=image_size,
        num_classes=num_classes,
        device_type="cpu",
    )
    seconds = look_at_step(lambda step: _timed(step.train_step), workload, device=torch.device("cpu"))
    return None if seconds is None else seconds / batch_size


@functools.lru_cache(maxsize=8)
def cpu_slowdown(precision: str) -> float:
    """Return how many times as long as in FP32 a convolution and its gradients take on this CPU in a precision."""
    policy, baseline = policy_named(precision), policy_named(BASELINE)
    if not policy.is_half:
        return 1.0
    images = torch.ones(PROBE_SHAPE)
    channels = PROBE_SHAPE[1]

    def run_in(policy: PrecisionPolicy) -> Callable[[], None]:
        layer = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        cast_weights(layer, policy)

        def run() -> None:
            with autocast(policy, "cpu"):
                loss = layer(cast_inputs(policy, images)).sum()
            loss.backward()

        return run

    try:
        return _timed(run_in(policy)) / _timed(run_in(baseline))
    except RuntimeError:  # no kernel for the type: its benchmarks are skipped
        return 1.0


def _timed(run: Callable[[], object], now: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds of a call, of a second one where the first was short."""
    begin = now()
    run()
    first_s = now() - begin
    if first_s > REPEATED_BELOW_S:
        return first_s
    begin = now()
    run()
    return min(first_s, now() - begin)

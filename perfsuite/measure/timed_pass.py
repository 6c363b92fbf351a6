"""How long an iteration takes on this CPU, from one timed pass of each network: no data sheet tells it."""

from __future__ import annotations

import functools
import time
import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

from perfsuite.precisions import BASELINE
from perfsuite.records.workload import Workload
from perfsuite.workloads.precision import autocast, policy_named
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PASS_BATCH_SIZE = 8
"""The default on a CPU; a larger batch takes longer in proportion."""

MIN_PASS_BATCH_SIZE = 2
"""Of one sample, batch normalisation has no variance where an image has become one pixel."""

PHASE_RATIOS = {"inference": 1 / 3, "forward": 1 / 3, "backward": 2 / 3, "train_step": 1.0}
"""Of the time of a training step: backward computes two products for each one of forward."""

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
    batch_size = min(max(workload.batch_size, MIN_PASS_BATCH_SIZE), MAX_PASS_BATCH_SIZE)
    sample_s = _sample_s(*network, batch_size, BASELINE)
    if sample_s is not None and workload.precision != BASELINE:
        expected_s = sample_s * cpu_slowdown(workload.precision)
        is_short = expected_s * MIN_PASS_BATCH_SIZE <= MAX_PASS_S
        timed_s = _sample_s(*network, MIN_PASS_BATCH_SIZE, workload.precision) if is_short else None
        sample_s = expected_s if timed_s is None else timed_s
    return None if sample_s is None else PHASE_RATIOS[workload.phase] * sample_s * workload.batch_size


@functools.lru_cache(maxsize=64)
def _sample_s(model: str, image_size: int, num_classes: int, batch_size: int, precision: str) -> float | None:
    """Return the seconds of a training step, per sample."""
    workload = Workload(
        model=model,
        precision=precision,
        phase="train_step",
        batch_size=batch_size,
        image_size=image_size,
        num_classes=num_classes,
        device_type="cpu",
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its benchmarks show them
            step = TrainingStep(workload, device=torch.device("cpu"))
            seconds = _timed(step.train_step)
            step.close()
    except (Exception, SystemExit):  # noqa: BLE001 - a user's code may raise anything, and its benchmarks say what
        return None
    return seconds / batch_size


@functools.lru_cache(maxsize=8)
def cpu_slowdown(precision: str) -> float:
    """Return how many times as long as in FP32 a convolution and its gradients take on this CPU in a precision."""
    policy, baseline = policy_named(precision), policy_named(BASELINE)
    if policy.autocast is None:
        return 1.0
    images = torch.ones(PROBE_SHAPE)
    channels = PROBE_SHAPE[1]
    layer = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)

    def run(*, is_cast: bool) -> None:
        with autocast(policy if is_cast else baseline, "cpu"):
            loss = layer(images).sum()
        loss.backward()

    try:
        return _timed(lambda: run(is_cast=True)) / _timed(lambda: run(is_cast=False))
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

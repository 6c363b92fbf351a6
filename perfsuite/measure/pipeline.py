"""How fast a full training is fed, against other ways to do it, interleaved."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from perfsuite.measure.cell_setup import build_training_step, guard, memory_left_behind
from perfsuite.measure.clock import ClockStopwatch
from perfsuite.measure.paired import make_side, run_pair
from perfsuite.recipes import SMOKE
from perfsuite.workloads.images import random_images, split_images
from perfsuite.workloads.precision import applied_to
from perfsuite.workloads.step import LEARNING_RATE
from perfsuite.workloads.thesis_loader import thesis_batches
from perfsuite.workloads.training import Training

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.cell_setup import BenchmarkFixture
    from perfsuite.measure.run_context import RunContext
    from perfsuite.records.pair import Comparison, PairedRecord
    from perfsuite.records.workload import Workload

PIPELINE_IMAGES = 4096
"""Random images that feed a pipeline: enough for epochs of some length, and made in a moment."""


def measure_pipeline(
    workload: Workload,
    against: Comparison,
    benchmark: BenchmarkFixture,
    context: RunContext,
) -> PairedRecord | None:
    """Measure a step of full training, its images taken from the device (candidate), against another way to feed it.

    `pipeline_step`: the step of the step benchmark, on one batch that stays: what feeding costs.
    `pipeline_thesis`: the thesis's way, DataLoader, transforms image by image, the loss read back at every step. Both
    train the same network on random images, for what they show takes no time. Arguments, result and errors
    are those of `measure_speedup`.
    """
    benchmark.group = f"{workload.model} input pipeline"
    with guard(benchmark, workload.label, device=context.device, clock=context.clock), contextlib.ExitStack() as undo:
        device = context.device
        findings = memory_left_behind(device)
        step = build_training_step(workload, device=device, report_stage=context.report_stage)
        undo.callback(step.close)
        images = random_images(max(PIPELINE_IMAGES, 4 * workload.batch_size))
        recipe = dataclasses.replace(SMOKE, batch_size=workload.batch_size, learning_rate=LEARNING_RATE, num_train=None)
        split = split_images(images, seed=0, num_validation=1, num_test=1)
        with applied_to(workload):
            training = Training(workload, recipe, images, split, device=device, seed=0)
            undo.callback(training.close)
            batches = training.endless_batches()
        if against == "pipeline_step":
            baseline: Callable[[], object] = step.train_step
        else:
            loaded = thesis_batches(
                images.train_images, images.train_labels, batch_size=workload.batch_size, device=device
            )
            undo.enter_context(contextlib.closing(loaded))

            def baseline() -> object:
                return training.train_batch(*next(loaded)).item()

        sides = [
            make_side(step, baseline, ClockStopwatch(context.clock)),
            make_side(step, lambda: training.train_batch(*next(batches)), ClockStopwatch(context.clock)),
        ]
        return run_pair(
            against,
            sides,
            [step, step],
            benchmark,
            context,
            findings=findings,
        )

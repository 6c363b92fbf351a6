"""Predicts the peak memory of a training step without a GPU and without allocating anything.

A stable training step is run on fake tensors, which have shapes and types but no content, while torch's tracker keeps
the account of every storage: what a T4 needs is known on a laptop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from perfsuite.errors import NotSupportedError, PerfsuiteError
from perfsuite.formatting import first_line
from perfsuite.measure.memory_account import (
    AutocastCopies,
    MemoryPrediction,
    fake_tensors_and_tracker,
    library_scratch,
    peak_parts,
    peak_so_far,
)
from perfsuite.measure.operator_recorder import OperatorRecorder
from perfsuite.records.workload import CALL, INFERENCE
from perfsuite.workloads.inference import Inference
from perfsuite.workloads.model_spec import tensors_in
from perfsuite.workloads.precision import autocast, cast_inputs
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfsuite.records.operators import Operator
    from perfsuite.records.workload import Workload


def predict_memory(workload: Workload) -> MemoryPrediction:
    """Predict the peak of a steady-state iteration of the workload's phase.

    An iteration begins as in training: momentum allocated, gradients freed or kept as the workload says, and before a
    backward pass the forward pass. On a CPU the scratch of oneDNN's convolutions counts, on a GPU no library's does.

    Raises:
        NotSupportedError: This torch has no memory tracker, the network is compiled, or what it does depends on the
            values of its tensors, which fake tensors do not have.
        InvalidChoiceError: A name in the workload is unknown.
        ModelError: What builds the network or its batch raises, or returns none.
    """
    _refuse_compiled(workload)
    if workload.phase == CALL:
        raise NotSupportedError("what a callable does is not known before it runs")
    if workload.phase == INFERENCE:
        return inference_dry_run(workload).memory[INFERENCE]
    return step_dry_run(workload).memory[workload.phase]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What is seen of an iteration on fake tensors.

    Attributes:
        memory: Its peak up to the end of each phase.
        operators: Those of each phase; the update of the weights is one of its own, `optimizer`.
        alive_bytes: What is alive after each operation, in order.
    """

    memory: dict[str, MemoryPrediction]
    operators: dict[str, tuple[Operator, ...]]
    alive_bytes: tuple[int, ...]


def step_dry_run(workload: Workload) -> DryRun:
    """Return what is seen of a steady-state training step, once for all of its phases.

    Raises:
        NotSupportedError: This torch has no memory tracker, or a dry run cannot follow the network.
    """
    return _run_step(dataclasses.replace(in_one_layout(workload), phase="train_step"))


def inference_dry_run(workload: Workload) -> DryRun:
    """Return what is seen of an iteration in eval mode: an activation lives until the next layer has used it.

    Raises:
        NotSupportedError: This torch has no memory tracker, or a dry run cannot follow the network.
    """
    return _run_inference(in_one_layout(workload))


def in_one_layout(workload: Workload) -> Workload:
    """Return a workload whose tensors are as large, in a layout that fake tensors can be built in.

    Torch refuses to convert the parameters of a module to `channels_last` where they are fake.
    """
    return dataclasses.replace(workload, memory_format="contiguous")


def _refuse_compiled(workload: Workload) -> None:
    if workload.is_compiled:
        raise NotSupportedError("a compiled network decides itself what it keeps; a dry run cannot tell")


@functools.lru_cache(maxsize=64)
def _run_step(workload: Workload) -> DryRun:
    fake_tensors, memory_tracker = fake_tensors_and_tracker()
    memory: dict[str, MemoryPrediction] = {}
    operators: dict[str, tuple[Operator, ...]] = {}
    with fakes_followed(workload), fake_tensors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks on fake tensors
        step = TrainingStep(workload, device=torch.device("cpu"))
        _warm_up(step)
        tracker = memory_tracker()
        tracker.track_external(step.model, step.optimizer, *tensors_in(step.inputs), *tensors_in(step.targets))
        copies: Any = AutocastCopies(step, tracker)
        with tracker, copies, library_scratch(workload):
            with OperatorRecorder() as recorder:
                loss = step.forward()
            operators["forward"] = recorder.operators()
            memory["forward"] = peak_so_far(tracker, copies)
            with OperatorRecorder() as recorder:
                step.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            operators["backward"] = recorder.operators()
            memory["backward"] = peak_so_far(tracker, copies)
            with OperatorRecorder() as recorder:
                step.scaler.step(step.optimizer)
                step.scaler.update()
            operators["optimizer"] = recorder.operators("optimizer")
            memory["train_step"] = peak_so_far(tracker, copies)
    return DryRun(memory=memory, operators=operators, alive_bytes=tuple(tracker.alive_bytes))


def _warm_up(step: TrainingStep) -> None:
    """Bring a step into the state after a first one: momentum allocated, gradients as the workload says.

    Of the suite's own networks it is known that every parameter gets a gradient; a whole step takes a third of a dry
    run. Of any other network, which parameters do, and what it allocates once, only a step can tell.
    """
    if step.spec.source is None:
        for parameter in step.model.parameters():
            parameter.grad = torch.empty_like(parameter)
        step.scaler.scale(torch.zeros(()))
        step.scaler.step(step.optimizer)
        step.scaler.update()
    else:
        step.train_step()
    step.zero_gradients()


@functools.lru_cache(maxsize=64)
def _run_inference(workload: Workload) -> DryRun:
    fake_tensors, memory_tracker = fake_tensors_and_tracker()
    with fakes_followed(workload), fake_tensors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks on fake tensors
        built = Inference(workload, device=torch.device("cpu"))
        tracker = memory_tracker()
        tracker.track_external(built.model, *tensors_in(built.inputs), *tensors_in(built.targets))
        copies: Any = AutocastCopies(built, tracker)
        with tracker, copies, library_scratch(workload), OperatorRecorder() as recorder:
            built.infer()
            memory = peak_so_far(tracker, copies)
    return DryRun(
        memory={INFERENCE: memory},
        operators={INFERENCE: recorder.operators()},
        alive_bytes=tuple(tracker.alive_bytes),
    )


@contextlib.contextmanager
def fakes_followed(workload: Workload) -> Iterator[None]:
    """Make one line of what a network raises on fake tensors: a dry run is then not possible.

    Raises:
        NotSupportedError: In place of a RuntimeError; torch's own errors for fake tensors are such.
    """
    try:
        yield
    except PerfsuiteError:
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AssertionError) as error:
        reason = f"{type(error).__name__}: {first_line(error)[:200]}"
    else:
        return
    raise NotSupportedError(f"a dry run cannot follow {workload.model}: {reason}")


class EvaluationDryRun:
    """Predicts the peak of evaluating a batch between two training steps, for any number of images.

    Weights and momentum are allocated then, and gradients where the workload keeps them; without a graph, an activation
    lives only until the next layer has used it.
    """

    def __init__(self, workload: Workload) -> None:
        """Build the network of a workload on fake tensors, in the state after a training step.

        Raises:
            NotSupportedError: This torch has no memory tracker, or the network is compiled.
            InvalidChoiceError: A name in the workload is unknown.
        """
        _refuse_compiled(workload)
        fake_tensors, self._memory_tracker = fake_tensors_and_tracker()
        self._fake_tensors = fake_tensors()
        with self._fake_tensors:
            step = dataclasses.replace(in_one_layout(workload), phase="train_step")
            self._step = TrainingStep(step, device=torch.device("cpu"))
            _warm_up(self._step)
            self._step.model.eval()

    def peak_bytes(self, batch_size: int) -> int:
        """Return the predicted peak of evaluating so many images at once."""
        step = self._step
        with self._fake_tensors, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of hooks on fake tensors
            size = step.workload.image_size
            images, labels = torch.empty(batch_size, 3, size, size), torch.empty(batch_size, dtype=torch.int64)
            tracker = self._memory_tracker()
            tracker.track_external(step.model, step.optimizer, images, labels)
            with tracker, library_scratch(step.workload), torch.no_grad():
                with autocast(step.policy, "cpu"):
                    logits = step.model(cast_inputs(step.policy, images))
                torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
        return peak_parts(tracker)["TOTAL"]

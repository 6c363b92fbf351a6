"""Predicts the peak memory of a training step without a GPU and without allocating anything.

A stable training step is run on fake tensors, which have shapes and types but no content, while torch's tracker keeps
the account of every storage: what a T4 needs is known on a laptop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import warnings
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from perfsuite.errors import MeasurementError, NotSupportedError, PerfsuiteError
from perfsuite.formatting import first_line
from perfsuite.measure.operator_recorder import OperatorRecorder
from perfsuite.records.workload import CALL, INFERENCE
from perfsuite.workloads.inference import Inference
from perfsuite.workloads.model_spec import tensors_in
from perfsuite.workloads.precision import autocast, cast_inputs
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfsuite.records.operators import Operator
    from perfsuite.records.workload import Workload
    from perfsuite.workloads.built_network import BuiltNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPrediction:
    """What is alive at the peak of a steady-state training step, in bytes; the parts add up to the peak.

    Attributes:
        parameters_bytes: Weights, in FP32 unless the precision has them in BF16.
        gradients_bytes: Their gradients, as far as they exist at that moment.
        optimizer_bytes: Momentum.
        activations_bytes: What the forward pass has kept for the backward pass.
        autocast_bytes: Copies of the weights in autocast's type.
        temporary_bytes: Gradients of activations and other things of the backward pass; or, where the update of BF16
            weights is what peaks, its FP32 values and random bits.
        other_bytes: Running statistics of the normalisation, the batch, the loss.
        peak_bytes: All of it.
    """

    parameters_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    autocast_bytes: int
    temporary_bytes: int
    other_bytes: int
    peak_bytes: int


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


def _fake_tensors_and_tracker() -> tuple[Any, Any]:
    """Return torch's classes of fake tensors and of the memory tracker.

    Raises:
        NotSupportedError: This torch has none.
    """
    try:
        from torch._subclasses.fake_tensor import FakeTensorMode
        from torch.distributed._tools.mem_tracker import MemTracker
    except ImportError as error:
        raise NotSupportedError(f"torch {torch.__version__} has no memory tracker: {error}") from error

    class PeakOfAllModules(MemTracker):  # type: ignore[no-untyped-call]
        """Leaves out the peak of each single module: nobody reads it, and it took nearly half of a dry run."""

        def __init__(self) -> None:
            super().__init__()
            self.alive_bytes: list[int] = []

        def _update_peak_stats(self, *arguments: Any) -> None:
            self.alive_bytes.append(sum(account["Total"] for account in self._curr_mem_snap.values()))
            modules = self.memory_tracking
            self.memory_tracking = type(modules)()
            try:
                super()._update_peak_stats(*arguments)
            finally:
                self.memory_tracking = modules

        def get_tracker_snapshot(self, type: str = "current") -> dict[torch.device, dict[Any, int]]:  # noqa: A002 - torch's
            """Return the account of each device; of names and numbers, a copy need not be deep, which takes longer."""
            account = self._peak_mem_snap if type == "peak" else self._curr_mem_snap
            return {device: dict(parts) for device, parts in account.items()}

    return FakeTensorMode, PeakOfAllModules


@functools.lru_cache(maxsize=64)
def _run_step(workload: Workload) -> DryRun:
    fake_tensors, memory_tracker = _fake_tensors_and_tracker()
    memory: dict[str, MemoryPrediction] = {}
    operators: dict[str, tuple[Operator, ...]] = {}
    with fakes_followed(workload), fake_tensors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks on fake tensors
        step = TrainingStep(workload, device=torch.device("cpu"))
        _warm_up(step)
        tracker = memory_tracker()
        tracker.track_external(step.model, step.optimizer, *tensors_in(step.inputs), *tensors_in(step.targets))
        copies: Any = _AutocastCopies(step, tracker)
        with tracker, copies, _library_scratch(workload):
            with OperatorRecorder() as recorder:
                loss = step.forward()
            operators["forward"] = recorder.operators()
            memory["forward"] = _peak_so_far(tracker, copies)
            with OperatorRecorder() as recorder:
                step.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            operators["backward"] = recorder.operators()
            memory["backward"] = _peak_so_far(tracker, copies)
            with OperatorRecorder() as recorder:
                step.scaler.step(step.optimizer)
                step.scaler.update()
            operators["optimizer"] = recorder.operators("optimizer")
            memory["train_step"] = _peak_so_far(tracker, copies)
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
    fake_tensors, memory_tracker = _fake_tensors_and_tracker()
    with fakes_followed(workload), fake_tensors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks on fake tensors
        built = Inference(workload, device=torch.device("cpu"))
        tracker = memory_tracker()
        tracker.track_external(built.model, *tensors_in(built.inputs), *tensors_in(built.targets))
        copies: Any = _AutocastCopies(built, tracker)
        with tracker, copies, _library_scratch(workload), OperatorRecorder() as recorder:
            built.infer()
            memory = _peak_so_far(tracker, copies)
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
        fake_tensors, self._memory_tracker = _fake_tensors_and_tracker()
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
            with tracker, _library_scratch(step.workload), torch.no_grad():
                with autocast(step.policy, "cpu"):
                    logits = step.model(cast_inputs(step.policy, images))
                torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
        return _peak_parts(tracker)["TOTAL"]


def _library_scratch(workload: Workload) -> contextlib.AbstractContextManager[Any]:
    return _one_dnn_scratch() if workload.device_type == "cpu" else contextlib.nullcontext()


def _one_dnn_scratch() -> contextlib.AbstractContextManager[Any]:
    mode: contextlib.AbstractContextManager[Any] = _OneDnnScratch()  # type: ignore[no-untyped-call]
    return mode


class _OneDnnScratch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds what oneDNN allocates inside a convolution on a CPU and gives back at its end.

    Forward it reorders the weight into a buffer of the same size (not in FP16, which it does not compute in); backward
    it gathers the weight gradient in one of the weight's shape, in FP32 whatever the type of the weight.
    Source: found by measurement. With it, predicted and measured peaks at batch 8 agree within 0.2% in FP32, 0.3% in
    BF16 and 2.6% in FP16, in every phase; without it they are off by up to the 9 MiB of the largest weight.
    """

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        scratch = None
        if func is torch.ops.aten.convolution.default and args[1].dtype != torch.float16:
            scratch = torch.empty_like(args[1])
        elif func is torch.ops.aten.convolution_backward.default:
            scratch = torch.empty(args[2].shape, dtype=torch.float32)
        result = func(*args, **(kwargs or {}))
        del scratch
        return result


class _AutocastCopies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the copies of the weights that autocast makes: how many bytes of them were alive at the peak.

    The tracker counts them among the activations, being made in the forward pass. Entered inside of the tracker, this
    sees an operation end after the tracker has taken account of it.
    """

    def __init__(self, built: BuiltNetwork, tracker: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Without autocast, a weight may be cast too: by an optimizer that computes BF16 weights in FP32.
        parameters = () if built.policy.autocast is None else built.model.parameters()
        self._parameters = {id(parameter.untyped_storage()) for parameter in parameters}
        self._tracker = tracker
        self._copies: list[weakref.ref[torch.UntypedStorage]] = []
        self._peak = 0
        self.bytes_at_peak = 0
        optimizer = built.optimizer if isinstance(built, TrainingStep) else None
        states = [] if optimizer is None else optimizer.state.values()
        self.momentum_bytes = sum(state["momentum_buffer"].nbytes for state in states)

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and id(args[0].untyped_storage()) in self._parameters:  # noqa: SLF001 - the operator's name
            self._copies.append(weakref.ref(result.untyped_storage()))
        peak = _peak_parts(self._tracker)["TOTAL"]
        if peak > self._peak:
            self._peak = peak
            alive = [storage for copy in self._copies if (storage := copy()) is not None]
            self.bytes_at_peak = sum(storage.nbytes() for storage in alive)
        return result


def _peak_parts(tracker: Any) -> dict[str, int]:
    (parts,) = tracker.get_tracker_snapshot("peak").values()
    return {str(getattr(key, "name", key)).upper(): int(value) for key, value in parts.items()}


def _peak_so_far(tracker: Any, copies: _AutocastCopies) -> MemoryPrediction:
    parts = _peak_parts(tracker)
    # The tracker takes everything that is allocated while the optimizer runs for its state.
    working = max(0, parts.get("OPT", 0) - copies.momentum_bytes)
    if working:
        parts["OPT"] -= working
        parts["TEMP"] += working
    return _prediction(parts, copies.bytes_at_peak)


def _prediction(parts: Mapping[str, int], autocast_bytes: int = 0) -> MemoryPrediction:
    """Read the tracker's account; the casts of the weights stand in it among the activations.

    Raises:
        MeasurementError: It lacks a part, or does not add up.
    """
    try:
        prediction = MemoryPrediction(
            parameters_bytes=parts["PARAM"],
            gradients_bytes=parts["GRAD"],
            optimizer_bytes=parts["OPT"],
            activations_bytes=parts["ACT"] - autocast_bytes,
            autocast_bytes=autocast_bytes,
            temporary_bytes=parts["TEMP"],
            other_bytes=parts["BUFFER"] + parts["OTH"],
            peak_bytes=parts["TOTAL"],
        )
    except KeyError as error:
        raise MeasurementError(f"torch's memory tracker has no account of {error}; torch {torch.__version__}") from None
    if sum(parts.values()) != 2 * prediction.peak_bytes:
        raise MeasurementError(f"torch's memory tracker does not add up: {dict(parts)}")
    return prediction

"""The account of a dry run: what is alive on fake tensors, and what else a device allocates for them."""

from __future__ import annotations

import contextlib
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from perfsuite.errors import MeasurementError, NotSupportedError
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def fake_tensors_and_tracker() -> tuple[Any, Any]:
    """Return torch's classes of fake tensors and of the memory tracker, whose `alive_bytes` has every operation.

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
            alive = [_parts(account)["TOTAL"] for account in self._curr_mem_snap.values()]
            self.alive_bytes.append(sum(alive))
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


def library_scratch(workload: Workload) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which the scratch of a CPU's library counts; on a GPU no library's does."""
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


class AutocastCopies(TorchDispatchMode):  # type: ignore[no-untyped-call]
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
        alive_bytes = self._tracker.alive_bytes[-1]
        if alive_bytes > self._peak:
            self._peak = alive_bytes
            alive = [storage for copy in self._copies if (storage := copy()) is not None]
            self.bytes_at_peak = sum(storage.nbytes() for storage in alive)
        return result


def peak_parts(tracker: Any) -> dict[str, int]:
    """Return the tracker's account at the peak, in bytes by the name of the part; `TOTAL` is all of it."""
    (account,) = tracker.get_tracker_snapshot("peak").values()
    return _parts(account)


def _parts(account: Mapping[Any, int]) -> dict[str, int]:
    return {str(getattr(key, "name", key)).upper(): int(value) for key, value in account.items()}


def peak_so_far(tracker: Any, copies: AutocastCopies) -> MemoryPrediction:
    """Return the account at the peak up to now.

    Raises:
        MeasurementError: It lacks a part, or does not add up.
    """
    parts = peak_parts(tracker)
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

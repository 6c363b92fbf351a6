"""A first look at a network that is not the suite's own: each part is run once, and what is wrong is one line."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from perfsuite.errors import ModelError
from perfsuite.workloads.model_spec import run_network, tensors_in
from perfsuite.workloads.models import called
from perfsuite.workloads.precision import autocast, cast_inputs, cast_outputs
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from perfsuite.workloads.built_network import BuiltNetwork


def check_network(built: BuiltNetwork) -> list[str]:
    """Run network, loss and backward pass once, each by itself.

    Args:
        built: What was built, not yet run; its precision is applied.

    Returns:
        Findings, in words: where the network moves data to the host.

    Raises:
        ModelError: A part raises, or the loss is no scalar that can be minimised.
        NotSupportedError: The device has no kernel for the precision.
    """
    name = built.spec.name
    transfers = HostTransfers(built.model)
    inputs = cast_inputs(built.policy, built.inputs)
    with _buffers_restored(built.model):
        with autocast(built.policy, built.device.type):
            with transfers:
                outputs = called(name, "forward", lambda: run_network(built.model, inputs))
            if next(tensors_in(outputs), None) is None:
                raise ModelError(f"{name}: forward returned no tensor, nor a tuple or dictionary of such")
            if not isinstance(built, TrainingStep):
                return transfers.in_words()
            compared = cast_outputs(built.policy, outputs)
            loss = _checked_loss(name, called(name, "loss", lambda: built.spec.loss(compared, built.targets)))
        called(name, "backward", lambda: built.scaler.scale(loss).backward())  # type: ignore[no-untyped-call]
        built.optimizer.zero_grad(set_to_none=True)
    return transfers.in_words()


def _checked_loss(name: str, loss: object) -> torch.Tensor:
    if not isinstance(loss, torch.Tensor):
        raise ModelError(f"{name}: loss returned an object of type {type(loss).__name__}; a scalar tensor is needed")
    if loss.dim() != 0 or not loss.is_floating_point():
        kind = str(loss.dtype).removeprefix("torch.")
        raise ModelError(
            f"{name}: loss returned a tensor of shape {list(loss.shape)} and type {kind}; a scalar, [] floating point, "
            "is needed: its mean for instance"
        )
    if not loss.requires_grad:
        raise ModelError(f"{name}: the loss does not depend on any parameter that is trained")
    return loss


@contextlib.contextmanager
def _buffers_restored(model: nn.Module) -> Iterator[None]:
    """Put the buffers back: a look must not move running statistics."""
    buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in buffers:
                    buffer.copy_(buffers[name])


class HostTransfers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notices where a network moves data to the host: the host waits for the device there, in every iteration."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._model = model
        self._running: list[str] = []
        self._found: dict[tuple[str, str], int] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        for name, module in self._model.named_modules():
            self._handles.append(module.register_forward_pre_hook(self._beginning(name)))
            self._handles.append(module.register_forward_hook(self._ended))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def _ended(self, *_call: object) -> None:
        self._running.pop()

    def _beginning(self, name: str) -> Callable[..., None]:
        return lambda *_: self._running.append(name)

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        operation = _transfer(func, args, kwargs or {})
        if operation is not None:
            where = self._running[-1] if self._running else ""
            self._found[where, operation] = self._found.get((where, operation), 0) + 1
        return func(*args, **(kwargs or {}))

    def in_words(self) -> list[str]:
        """Return a finding for each place."""
        return [
            f"forward moves data to the host in {where or 'the network itself'} ({operation}"
            f"{f', {count} times' if count > 1 else ''}): the host waits for the device there"
            for (where, operation), count in self._found.items()
        ]


def _transfer(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Return what moves data to the host, by the name that users know it by."""
    if func is torch.ops.aten._local_scalar_dense.default:  # noqa: SLF001 - the operator's name
        return "item()"
    if func is torch.ops.aten.nonzero.default and args[0].is_cuda:
        return "nonzero()"
    if func is torch.ops.aten._to_copy.default:  # noqa: SLF001 - the operator's name
        target = kwargs.get("device")
        if args[0].is_cuda and target is not None and torch.device(target).type == "cpu":
            return "cpu()"
    return None

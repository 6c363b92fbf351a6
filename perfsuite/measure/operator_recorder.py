"""Notes the operators that torch dispatches: what each computes, and the bytes that it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from perfsuite.records.operators import Operator

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = (
    ("convolution", ("convolution", "conv2d", "conv1d", "conv3d", "conv_transpose")),
    ("matrix product", ("mm", "addmm", "bmm", "baddbmm", "attention")),
    ("normalisation", ("batch_norm", "layer_norm", "group_norm", "instance_norm")),
    ("activation", ("relu", "threshold", "gelu", "silu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "elu")),
    ("pooling", ("pool",)),
    ("loss", ("nll_loss", "log_softmax", "cross_entropy", "mse_loss")),
    ("cast", ("_to_copy",)),
)
"""What operators are for, by a part of their name; the first that fits. Everything of the optimizer is `optimizer`."""

NAMES_OF_OTHERS = {"linear", "matmul", "einsum", "conv1d", "conv2d", "conv3d", "max_pool2d", "batch_norm", "layer_norm"}
"""Operators that are only names for others: in inference mode they come whole, and their parts are noted."""

WITHOUT_A_KERNEL = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias"}
"""Operators that move nothing though they are no views."""


class OperatorRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operator that is dispatched, views left out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._num_calls: dict[tuple[str, str, int, int], int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator, and note it."""
        del types
        kwargs = kwargs or {}
        formula = flop_registry.get(func.overloadpacket)
        if func.overloadpacket.__name__ in NAMES_OF_OTHERS:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **kwargs)
        inputs, outputs = _tensors(args, kwargs), _tensors(result)
        written = _written(func, args, kwargs)
        read_storages = {_storage(tensor) for tensor in inputs}
        new = [tensor for tensor in outputs if _storage(tensor) not in read_storages]
        name = func.overloadpacket.__name__
        is_kernel = (new or written) and name not in WITHOUT_A_KERNEL
        if is_kernel:
            num_bytes = sum(_bytes_of(tensor) for tensor in (*_one_of_each_storage(inputs), *new, *written))
            flops = 0 if formula is None else int(formula(*args, **kwargs, out_val=result))
            dtype = str((inputs or outputs)[0].dtype).removeprefix("torch.")
            key = (name, dtype, flops, num_bytes)
            self._num_calls[key] = self._num_calls.get(key, 0) + 1
        return result

    def operators(self, kind: str | None = None) -> tuple[Operator, ...]:
        """Return what was noted; all of one kind where that is given."""
        return tuple(
            Operator(
                name=name,
                kind=kind or _kind_of(name),
                dtype=dtype,
                num_calls=num_calls,
                flops=flops,
                num_bytes=num_bytes,
            )
            for (name, dtype, flops, num_bytes), num_calls in self._num_calls.items()
        )


def _kind_of(name: str) -> str:
    for kind, parts in KINDS:
        if any(part in name for part in parts):
            return kind
    return "elementwise"


def _tensors(*values: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """Return the tensors among the arguments that an operator writes in place."""
    written = []
    for position, argument in enumerate(func._schema.arguments):  # noqa: SLF001 - the schema has no public name
        value = args[position] if position < len(args) else kwargs.get(argument.name)
        if argument.alias_info is not None and argument.alias_info.is_write and value is not None:
            written += _tensors(value)
    return written


def _one_of_each_storage(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    by_storage = {_storage(tensor): tensor for tensor in tensors}
    return list(by_storage.values())


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - fake tensors have no address


def _bytes_of(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()

"""The operators of an iteration, as torch runs them one by one: the arithmetic of each, and the bytes that it moves."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from perfsuite.errors import NotSupportedError
from perfsuite.measure.dry_run import fakes_followed, in_one_layout
from perfsuite.records.operators import Operator
from perfsuite.records.workload import CALL, INFERENCE, NOT_COMPILED
from perfsuite.workloads.inference import Inference
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.records.workload import Workload

KINDS = (
    ("convolution", ("convolution", "conv2d", "conv1d", "conv3d", "conv_transpose")),
    ("matrix product", ("mm", "addmm", "bmm", "baddbmm", "attention", "linear")),
    ("normalisation", ("batch_norm", "layer_norm", "group_norm", "instance_norm")),
    ("activation", ("relu", "threshold", "gelu", "silu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "elu")),
    ("pooling", ("pool",)),
    ("loss", ("nll_loss", "log_softmax", "cross_entropy", "mse_loss")),
    ("cast", ("_to_copy",)),
)
"""What operators are for, by a part of their name; the first that fits. Everything of the optimizer is `optimizer`."""

WITHOUT_A_KERNEL = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias"}
"""Operators that move nothing though they are no views."""


def count_operators(workload: Workload) -> tuple[Operator, ...]:
    """Return the operators of an iteration of the workload's phase, on fake tensors and without a GPU.

    Those that are alike (name, type, arithmetic, bytes) are one, with their number. Bytes are those of every tensor
    that an operator reads and of every one that it writes, once each: what a kernel moves that finds nothing in a
    cache. The arithmetic is that of `torch.utils.flop_counter`.

    Raises:
        NotSupportedError: A dry run cannot follow the network, or nothing is known of the workload before it runs.
    """
    if workload.phase == CALL:
        raise NotSupportedError("what a callable does is not known before it runs")
    plain = dataclasses.replace(in_one_layout(workload), compile_mode=NOT_COMPILED, cuda_graphs=False)
    if workload.phase == INFERENCE:
        return _inference_operators(plain)
    by_phase = _step_operators(dataclasses.replace(plain, phase="train_step"))
    if workload.phase in by_phase:
        return by_phase[workload.phase]
    return tuple(one for operators in by_phase.values() for one in operators)


@functools.lru_cache(maxsize=256)
def _step_operators(workload: Workload) -> dict[str, tuple[Operator, ...]]:
    """Return the operators of a steady-state training step by phase: `forward`, `backward`, `optimizer`."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    found = {}
    with fakes_followed(workload), FakeTensorMode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks on fake tensors
        step = TrainingStep(workload, device=torch.device("cpu"))
        step.train_step()
        step.zero_gradients()
        with _Recorder() as forward:
            loss = step.forward()
        found["forward"] = forward.operators()
        with _Recorder() as backward:
            step.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        found["backward"] = backward.operators()
        with _Recorder() as optimizer:
            step.scaler.step(step.optimizer)
            step.scaler.update()
        found["optimizer"] = optimizer.operators("optimizer")
    return found


@functools.lru_cache(maxsize=64)
def _inference_operators(workload: Workload) -> tuple[Operator, ...]:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with fakes_followed(workload), FakeTensorMode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks on fake tensors
        built = Inference(workload, device=torch.device("cpu"))
        with _Recorder() as recorder:
            built.infer()
        found: tuple[Operator, ...] = recorder.operators()
    return found


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
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
        result = func(*args, **kwargs)
        inputs, outputs = _tensors(args, kwargs), _tensors(result)
        written = _written(func, args, kwargs)
        read_storages = {_storage(tensor) for tensor in inputs}
        new = [tensor for tensor in outputs if _storage(tensor) not in read_storages]
        name = func.overloadpacket.__name__
        is_kernel = (new or written) and name not in WITHOUT_A_KERNEL
        if is_kernel:
            num_bytes = sum(_bytes_of(tensor) for tensor in (*_one_of_each_storage(inputs), *new, *written))
            formula = flop_registry.get(func.overloadpacket)
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

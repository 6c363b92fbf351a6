"""Precision policies, by name, and how each is applied; `precision_proof` verifies that it is active."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from perfsuite.errors import InvalidChoiceError, MeasurementError, NotSupportedError
from perfsuite.parsing import choose
from perfsuite.precisions import POLICIES, PrecisionPolicy
from perfsuite.workloads.model_spec import map_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfsuite.records.workload import Workload
    from perfsuite.workloads.model_spec import Tensors


def autocast_dtype(policy: PrecisionPolicy) -> torch.dtype | None:
    """Return the type that autocast casts to under a policy, or None for no autocast."""
    return None if policy.autocast is None else DTYPES[policy.autocast]


def compute_dtype(policy: PrecisionPolicy) -> torch.dtype:
    """Return the type of the output of a convolution under a policy."""
    return DTYPES[policy.compute]


def weight_dtype(policy: PrecisionPolicy) -> torch.dtype:
    """Return the type of weights, gradients and momentum under a policy, those of batch normalisations left out."""
    return DTYPES[policy.weights]


DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def cast_weights(model: nn.Module, policy: PrecisionPolicy) -> None:
    """Cast the weights and buffers of a network to the type of a policy, in place.

    Batch normalisations stay in float32, as they are under autocast: their running statistics are averages that move by
    a tenth of a difference, and BF16 rounds that away where it is less than half of its spacing; kernels take BF16
    images with either all of a layer's tensors in BF16 or all in float32. They hold 0.1% of a ResNet-18's weights.

    Args:
        model: The network, float32.
        policy: Whose.
    """
    dtype = weight_dtype(policy)
    if dtype == torch.float32:
        return
    for module in model.modules():
        if isinstance(module, BATCH_NORMS):
            continue
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if tensor.is_floating_point():
                tensor.data = tensor.data.to(dtype)  # the tensor stays the same object: fake tensors, shared weights


def cast_inputs(policy: PrecisionPolicy, inputs: Tensors) -> Tensors:
    """Return a batch as the network of a policy takes it: where its weights are BF16, so are numbers of the batch.

    Every precision is given the same float32 batch. The cast is a part of the step, as it is under autocast.
    """
    dtype = weight_dtype(policy)
    if dtype == torch.float32:
        return inputs
    return map_tensors(inputs, lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)


def cast_outputs(policy: PrecisionPolicy, outputs: Tensors) -> Tensors:
    """Return outputs as a loss takes them: without autocast, which casts for a loss, BF16 outputs in float32."""
    dtype = weight_dtype(policy)
    is_known = isinstance(outputs, torch.Tensor) or type(outputs) in {tuple, list, dict}  # others keep their class
    if dtype == torch.float32 or not is_known:
        return outputs
    return map_tensors(outputs, lambda tensor: tensor.float() if tensor.dtype == dtype else tensor)


def resolve_precision(name: str, device_type: str) -> str:
    """Return the policy's own name: "amp" alone means amp-fp16 on CUDA, and amp-bf16 on a CPU, which emulates FP16.

    Raises:
        InvalidChoiceError: An unknown name.
    """
    if name == "amp":
        return "amp-fp16" if device_type == "cuda" else "amp-bf16"
    if name not in POLICIES:
        raise InvalidChoiceError(f"unknown precision {name!r}; choose from amp, {', '.join(sorted(POLICIES))}")
    return name


def require_support(policy: PrecisionPolicy, device: torch.device) -> None:
    """Check that the hardware computes in this precision itself.

    Torch's own `is_bf16_supported` answers for the current GPU, which need not be this one; it asks for the same
    compute capability.

    Raises:
        NotSupportedError: It does not; the message says what it lacks.
    """
    if device.type == "cpu":
        if policy.allow_tf32:
            raise NotSupportedError("tf32 is a format of NVIDIA GPUs from compute capability 8.0; this is the CPU")
        return
    capability = torch.cuda.get_device_capability(device)
    where = f"{torch.cuda.get_device_name(device)} has compute capability {capability[0]}.{capability[1]}"
    if policy.allow_tf32 and capability < (8, 0):
        raise NotSupportedError(f"tf32 needs compute capability 8.0 or newer; {where}")
    if policy.compute == "bfloat16" and capability < (8, 0):
        raise NotSupportedError(f"{policy.name} needs native bfloat16 (compute capability 8.0 or newer); {where}")


def applied_to(workload: Workload) -> contextlib.AbstractContextManager[None]:
    """Set torch's global flags as a workload needs them: those of its precision, and cuDNN's search."""
    return applied(policy_named(workload.precision), cudnn_benchmark=workload.cudnn_benchmark)


_searches_here: list[bool] = []
"""Whether cuDNN searches for algorithms in this process, once the first convolutions may have run on a GPU."""


def require_one_cudnn_benchmark(cudnn_benchmark: bool) -> None:  # noqa: FBT001 - the value that is asked about
    """Check that cuDNN's search for algorithms is on, or off, in the whole of a process.

    Torch keeps a plan for every convolution, and looks it up without asking whether it was searched for: after a change
    of the flag, shapes that ran before keep the plan of before. Source: torch, aten/src/ATen/native/cudnn/Conv_v8.cpp,
    `run_single_conv` and the key of `benchmark_cache`.

    Raises:
        MeasurementError: It was the other way round before.
    """
    if not _searches_here:
        _searches_here.append(cudnn_benchmark)
    if _searches_here[0] != cudnn_benchmark:
        now, before = ("on", "off") if cudnn_benchmark else ("off", "on")
        raise MeasurementError(
            f"cudnn benchmark {now}: it was {before} in this process, and torch keeps the algorithms chosen then; "
            "measure each in a process of its own"
        )


@contextlib.contextmanager
def applied(policy: PrecisionPolicy, *, cudnn_benchmark: bool = False) -> Iterator[None]:
    """Set torch's global precision flags for the policy, and put them back whatever happens.

    Where torch has the per-backend `fp32_precision` settings (from 2.9 on) these decide; the older `allow_tf32` flags
    are set to say the same, because torch's compiler reads them, and reading them raises where the two disagree.
    """
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        require_one_cudnn_benchmark(cudnn_benchmark)
    wanted = [(torch.backends.cudnn, "benchmark", cudnn_benchmark), *_flags(policy)]
    flags = [(owner, name, value) for owner, name, value in wanted if _is_readable(owner, name)]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in flags]
    try:
        _set_flags(flags)
        yield
    finally:
        _set_flags(before)


def _set_flags(flags: list[tuple[Any, str, Any]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch may warn of the older flags
        for owner, name, value in flags:
            setattr(owner, name, value)


def _flags(policy: PrecisionPolicy) -> list[tuple[Any, str, Any]]:
    """Return the flags to set as (owner, attribute, value), in the order in which they are to be set."""
    backends: Any = torch.backends
    flags: list[tuple[Any, str, Any]] = [
        (backends.cudnn, "allow_tf32", policy.allow_tf32),
        (backends.cuda.matmul, "allow_tf32", policy.allow_tf32),
    ]
    gpu = "tf32" if policy.allow_tf32 else "ieee"
    owners = [
        (getattr(backends.cudnn, "conv", None), gpu),
        (getattr(backends.cudnn, "rnn", None), gpu),
        (backends.cuda.matmul, gpu),
        (getattr(backends.mkldnn, "conv", None), "ieee"),
        (getattr(backends.mkldnn, "matmul", None), "ieee"),
    ]
    return [*flags, *((owner, "fp32_precision", value) for owner, value in owners if hasattr(owner, "fp32_precision"))]


def _is_readable(owner: Any, name: str) -> bool:
    try:
        getattr(owner, name)
    except RuntimeError:
        return False  # an older flag, in a process that has set the newer ones to something else: left alone
    return True


def autocast(policy: PrecisionPolicy, device_type: str) -> torch.autocast:
    """Return a fresh autocast region of the policy; the autocast weight cache lives as long as one region."""
    return torch.autocast(device_type, dtype=autocast_dtype(policy), enabled=policy.autocast is not None)


def policy_named(name: str) -> PrecisionPolicy:
    """Return the policy of that name.

    Raises:
        InvalidChoiceError: An unknown name.
    """
    return choose(POLICIES, name, kind="precision")

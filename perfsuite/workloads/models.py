"""The networks that are known by name: the suite's own, and those that the user asked for."""

from __future__ import annotations

import copy
import functools
import hashlib
import re
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from perfsuite.errors import ModelError, NotSupportedError, PerfsuiteError
from perfsuite.formatting import first_line
from perfsuite.parsing import choose
from perfsuite.records.workload import IMAGE_SIZE, NUM_CLASSES, has_cifar_stem
from perfsuite.workloads.device_errors import is_out_of_memory
from perfsuite.workloads.model_spec import Cost, InputSizes, ModelSpec
from perfsuite.workloads.precision import cast_weights, policy_named
from perfsuite.workloads.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.workload import Workload

STEM_STRIDE = 4
"""Of torchvision's own stem: 2 of the convolution, 2 of the max-pool. Source: He et al., Deep Residual Learning for
Image Recognition, 2015, table 1."""


def _resnet(name: str, cost: Cost) -> ModelSpec:
    """Return the spec of a ResNet of torchvision.

    For images below 64 pixels in CIFAR form: a 3x3 stem of stride 1 with 64 channels and no max-pool; for larger ones
    with torchvision's own stem. Input [N, 3, H, W] float32, output [N, K].
    Source: benchmarks/README.md, "Which networks".
    """

    def build(sizes: InputSizes) -> nn.Module:
        model = getattr(import_torchvision().models, name)(weights=None, num_classes=sizes.num_classes)
        if has_cifar_stem(sizes.image_size):
            model.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
            model.maxpool = nn.Identity()
        return cast("nn.Module", model)

    return ModelSpec(build=build, name=name, cost=cost)


NARROW = "resnet18-narrow"
"""A ResNet-18 of an eighth of its width, for what a CPU is to train many times."""

_NARROW_WIDTHS = (8, 16, 32, 64)


def _narrow_resnet18(sizes: InputSizes) -> nn.Module:
    """Build ResNet-18 in CIFAR form with an eighth of its channels; input [N, 3, H, W] float32, output [N, K].

    Source of the form: He et al., Deep Residual Learning for Image Recognition, 2015, figure 5 and table 1.
    """
    block = import_torchvision().models.resnet.BasicBlock
    first = _NARROW_WIDTHS[0]
    layers: list[nn.Module] = [
        nn.Conv2d(3, first, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
    ]
    num_inputs = first
    for width in _NARROW_WIDTHS:
        stride = 1 if width == first else 2
        shortcut = None
        if stride > 1:
            shortcut = nn.Sequential(
                nn.Conv2d(num_inputs, width, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )
        layers += [block(num_inputs, width, stride, shortcut), block(width, width)]
        num_inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(num_inputs, sizes.num_classes))


# Source of the parameter counts and of the multiply-accumulates (convolutions and the linear layer), of 3x32x32 images
# and 10 classes: counted on the built networks, `torch.utils.flop_counter` divided by two for the latter. What is kept:
# dry runs on fake tensors, the difference of two batch sizes. tests/workloads/test_models.py counts again, what is kept
# of two of the networks.
MODELS: dict[str, ModelSpec] = {
    name: _resnet(name, Cost(num_parameters=num_parameters, forward_gmacs=gmacs, kept_megabytes=megabytes))
    for name, num_parameters, gmacs, megabytes in (
        ("resnet18", 11_173_962, 0.556, 4.7),
        ("resnet34", 21_282_122, 1.159, 8.0),
        ("resnet50", 23_520_842, 1.298, 25.5),
        ("resnet101", 42_512_970, 2.510, 38.9),
        ("resnet152", 58_156_618, 3.722, 55.4),
    )
}
MODELS[NARROW] = ModelSpec(build=_narrow_resnet18, name=NARROW, cost=None)
"""Every network by its name. The suite's own; `model_sources.load_model` adds what the user asks for."""

MEMORY_FORMATS: dict[str, torch.memory_format] = {
    "contiguous": torch.contiguous_format,
    "channels_last": torch.channels_last,
}


def build_model(
    name: str,
    *,
    device: torch.device,
    memory_format: str = "contiguous",
    seed: int = 0,
    image_size: int = IMAGE_SIZE,
    num_classes: int = NUM_CLASSES,
) -> nn.Module:
    """Build a network, in training mode, float32, with seeded initial weights.

    Args:
        name: A name from `MODELS`.
        device: Where the parameters live.
        memory_format: A name from `MEMORY_FORMATS`.
        seed: Seed of the initial weights; the global random state is left as it was.
        image_size: H and W in pixels.
        num_classes: K.

    Raises:
        InvalidChoiceError: An unknown name or memory format.
        InstallationError: torchvision does not import.
        ModelError: What builds the network raises, or returns none.
    """
    spec = choose(MODELS, name, kind="model")
    layout = choose(MEMORY_FORMATS, memory_format, kind="memory format")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _built_real_or_fake(spec, InputSizes(batch_size=1, image_size=image_size, num_classes=num_classes))
    if layout != torch.contiguous_format or any(parameter.device != device for parameter in model.parameters()):
        model = cast("Any", model).to(
            device=device, memory_format=layout
        )  # not where it changes nothing: fake tensors refuse it
    return model.train()


def build_model_of(workload: Workload, *, device: torch.device, seed: int = 0) -> nn.Module:
    """Build the network of a workload, its weights in the type of the precision; see `build_model`.

    Weights in BF16 are those of float32, rounded: the same seed gives the same network in every precision.
    """
    model = build_model(
        workload.model,
        device=device,
        memory_format=workload.memory_format,
        seed=seed,
        image_size=workload.image_size,
        num_classes=workload.num_classes,
    )
    cast_weights(model, policy_named(workload.precision))
    return model


def _built(spec: ModelSpec, sizes: InputSizes) -> nn.Module:
    model = called(spec.name, "build", lambda: spec.build(sizes))
    if not isinstance(model, nn.Module):
        hint = " (name the ModelSpec itself, not a function that returns it)" if isinstance(model, ModelSpec) else ""
        raise ModelError(f"{spec.name}: build returned {_kind(model)}; a torch.nn.Module is needed{hint}")
    return model


def _built_real_or_fake(spec: ModelSpec, sizes: InputSizes) -> nn.Module:
    """Build a network; on fake tensors also one whose initial weights depend on the values of tensors."""
    from torch._subclasses.fake_tensor import FakeCopyMode, unset_fake_temporarily

    with unset_fake_temporarily() as fake_mode:
        pass
    if fake_mode is None:
        return _built(spec, sizes)
    try:
        return _built(spec, sizes)
    except ModelError:
        pass  # outside of the handler: what is raised then is the error of real tensors
    copy_mode: Any = FakeCopyMode
    with unset_fake_temporarily():
        model = _built(spec, sizes)
        with copy_mode(fake_mode):
            return copy.deepcopy(model)


def _kind(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"


def called(name: str, what: str, run: Callable[[], object]) -> object:
    """Call what the user wrote for a network.

    Args:
        name: Of the network.
        what: What is called, for the message.
        run: Calls it.

    Raises:
        NotSupportedError: There is no kernel for the type that is computed in, or no compiler.
        ModelError: In place of whatever else it raises; memory that ran out and perfsuite's own errors are left as they
            are.
    """
    problem: PerfsuiteError
    try:
        return run()
    except PerfsuiteError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        text = first_line(error)[:300]
        words = f"{name}: {what} raised {type(error).__name__}{f': {text}' if text else ''}"
        is_missing = re.search(_MISSING, f"{type(error).__name__}: {error}")
        problem = NotSupportedError(words) if is_missing else ModelError(words)
    raise problem  # outside of the handler, whose traceback holds tensors


_MISSING = (
    r"not implemented for '(Half|BFloat16)'|InvalidCxxCompiler|No working C\+\+ compiler|TritonMissing|"
    r"Cannot find a working triton"
)
"""What torch says where an operation has no kernel for a type, and where torch.compile finds no compiler. Source:
torch, aten/src/ATen/Dispatch.h and torch/_inductor/exc.py."""


@functools.lru_cache(maxsize=64)
def model_digest(name: str, *, image_size: int, num_classes: int) -> str:
    """Return what distinguishes a network from others of the same name; empty for those of the suite itself.

    A digest of the file or of the package and its version that it was loaded from, and of the names and shapes of its
    parameters and buffers.

    Raises:
        InvalidChoiceError: An unknown name.
        ModelError: What builds the network raises, or returns none.
    """
    spec = choose(MODELS, name, kind="model")
    if spec.source is None:
        return ""
    sizes = InputSizes(batch_size=1, image_size=image_size, num_classes=num_classes)
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):  # without memory and without initial weights
                model = _built(spec, sizes)
        except ModelError:
            model = _built(spec, sizes)
    tensors = sorted((*model.named_parameters(), *model.named_buffers()), key=lambda item: item[0])
    digest = hashlib.sha256(spec.source)
    for tensor_name, tensor in tensors:
        digest.update(f"\n{tensor_name} {tuple(tensor.shape)}".encode())
    return digest.hexdigest()[:16]

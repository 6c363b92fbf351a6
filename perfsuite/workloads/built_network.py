"""A network and one batch on a device: what every phase that is measured has."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from typing import TYPE_CHECKING, Any

import torch

from perfsuite.errors import ModelError
from perfsuite.parsing import choose
from perfsuite.workloads.measurable import Measurable
from perfsuite.workloads.model_spec import Batch, InputSizes, map_tensors, tensors_in
from perfsuite.workloads.models import MEMORY_FORMATS, MODELS, build_model_of, called

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfsuite.records.workload import Workload
    from perfsuite.workloads.model_spec import ModelSpec, Tensors

IMAGE_DIMENSIONS = 4
"""N, C, H, W: the tensors that have a memory format."""


class BuiltNetwork(Measurable):
    """A network and one batch on a device.

    Attributes: those of `Measurable`, and
        spec: The network's batch and loss.
        model: The network as built, its weights in the type of the precision.
        network: What is run: the model, or what `torch.compile` made of it.
        inputs: Of the network, on the device.
        targets: Of the loss, on the device.
    """

    def __init__(self, workload: Workload, *, device: torch.device, seed: int = 0) -> None:
        """Build the network and its batch.

        Args:
            workload: What to build.
            device: Where.
            seed: Seed of weights and batch.

        Raises:
            InvalidChoiceError: A name in the workload is unknown.
            InstallationError: torchvision does not import.
            ModelError: What builds the network or its batch raises, or returns none.
        """
        super().__init__(workload, device=device)
        self.spec = choose(MODELS, workload.model, kind="model")
        self.model = build_model_of(workload, device=device, seed=seed)
        batch = make_batch(self.spec, workload, device=device, seed=seed)
        self.inputs, self.targets = batch.inputs, batch.targets
        self._stack = contextlib.ExitStack()
        self.network: Callable[..., Tensors] = self.model
        if workload.is_compiled:
            # A graph that is to be walked many times must not give its buffers away.
            functorch_config: Any = importlib.import_module("torch._functorch.config")
            self._stack.enter_context(functorch_config.patch(donated_buffer=False))
            # A cache on the disk would make the time of compiling that of an earlier run.
            inductor_config: Any = importlib.import_module("torch._inductor.config")
            self._stack.enter_context(inductor_config.patch(force_disable_caches=True))
            mode = None if workload.compile_mode == "default" else workload.compile_mode
            self._stack.enter_context(without_compiler_warnings())
            self.network = torch.compile(self.model, mode=mode)

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """What is pinned, by name, for the record."""
        return {**super().settings, "data": "synthetic, standard normal"}

    def resident_tensors(self) -> list[torch.Tensor]:
        """Return what lives between two iterations: parameters, buffers, the batch."""
        return [
            *self.model.parameters(),
            *self.model.buffers(),
            *tensors_in(self.inputs),
            *tensors_in(self.targets),
        ]

    def close(self) -> None:
        """Let go of what was captured and compiled."""
        super().close()
        if self.workload.is_compiled:
            dynamo: Any = importlib.import_module("torch._dynamo")
            dynamo.reset()
        self._stack.close()


def make_batch(spec: ModelSpec, workload: Workload, *, device: torch.device, seed: int = 0) -> Batch:
    """Make a network's batch, and bring it to the device; images in the memory format of the workload.

    Raises:
        ModelError: What makes the batch raises, or returns none.
    """
    sizes = InputSizes(batch_size=workload.batch_size, image_size=workload.image_size, num_classes=workload.num_classes)
    generator = torch.Generator().manual_seed(seed)
    batch = called(spec.name, "batch", lambda: spec.batch(sizes, generator))
    if not isinstance(batch, Batch) or next(tensors_in(batch.inputs), None) is None:
        raise ModelError(f"{spec.name}: batch returned no Batch(inputs=..., targets=...) with a tensor in its inputs")
    memory_format = choose(MEMORY_FORMATS, workload.memory_format, kind="memory format")

    def on_device(tensor: torch.Tensor) -> torch.Tensor:
        moved = tensor.to(device)
        return moved.contiguous(memory_format=memory_format) if moved.dim() == IMAGE_DIMENSIONS else moved

    return Batch(inputs=map_tensors(batch.inputs, on_device), targets=map_tensors(batch.targets, on_device))


@contextlib.contextmanager
def without_compiler_warnings() -> Iterator[None]:
    """Leave out what torch.compile warns of that no user can change: its own deprecated calls, and its empty cache."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        warnings.filterwarnings("ignore", message="dynamo_pgo force disabled")
        yield


@contextlib.contextmanager
def seeded(device: torch.device) -> Iterator[None]:
    """Draw the same random numbers on host and device every time; the random state is put back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield

"""How a training step is spread over ranks: DistributedDataParallel and FSDP2, each with its kinds of turns."""

from __future__ import annotations

import abc
import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel

from perfsuite.errors import NotSupportedError
from perfsuite.formatting import first_line
from perfsuite.workloads.built_network import make_batch
from perfsuite.workloads.model_spec import Batch, map_tensors, tensors_in
from perfsuite.workloads.optimizer import make_sgd
from perfsuite.workloads.step import LEARNING_RATE, MOMENTUM, TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfsuite.measure.scaling.job import ScalingJob
    from perfsuite.measure.scaling.turns import Kind
    from perfsuite.records.workload import Workload
    from perfsuite.workloads.model_spec import Tensors

BUCKET_MIB = 25
"""Of DDP's buckets. Source: PyTorch, `DistributedDataParallel`, default of `bucket_cap_mb`."""

FSDP2_SETTINGS: dict[str, str | int | float | bool] = {
    "fsdp2_units": "each block and the root",
    "reshard_after_forward": "all but the root",
    "reduce_dtype": "float32",
}


def make_rank_step(workload: Workload, device: torch.device, rank: int) -> TrainingStep:
    """Build the step of a rank: the same weights on all ranks, and images of its own."""
    step = TrainingStep(workload, device=device)
    batch = make_batch(step.spec, workload, device=device, seed=rank)
    step.inputs, step.targets = batch.inputs, batch.targets
    return step


def whole_batch(step: TrainingStep, world_size: int) -> Batch:
    """Return the images of all ranks, one rank's after the other's, on this rank's device."""
    parts = [make_batch(step.spec, step.workload, device=step.device, seed=rank) for rank in range(world_size)]
    return Batch(
        inputs=_joined([part.inputs for part in parts]),
        targets=_joined([part.targets for part in parts]),
    )


def _joined(parts: list[Tensors]) -> Tensors:
    columns = zip(*map(tensors_in, parts), strict=True)
    joined = iter([torch.cat(column) for column in columns])
    return map_tensors(parts[0], lambda _: next(joined))


class SpreadStep(abc.ABC):
    """A training step that is spread over ranks, and the same step of rank 0 alone.

    Attributes:
        kinds: Of turns that it has.
        step: The step with exchange.
        absent: The reason for a kind that it does not have, by the field of the record.
        is_freed_by_its_own_thread: Whether no thread of the backend frees what a step allocates.
    """

    kinds: tuple[Kind, ...]
    step: TrainingStep
    absent: dict[str, str]
    is_freed_by_its_own_thread: bool = False

    @abc.abstractmethod
    def enter(self, kind: Kind) -> Callable[[], object]:
        """Return a step of a kind, everything prepared for it."""

    @abc.abstractmethod
    def plain(self) -> TrainingStep:
        """Return the step without exchange, its weights and buffers those that the next exchange begins with."""

    @abc.abstractmethod
    def leave_alone_step(self) -> None:
        """Let go of what only a step of rank 0 alone needs, and of what `wrap_anew` makes."""

    @abc.abstractmethod
    def wrap_anew(self) -> None:
        """Make again what the exchange keeps: what it allocates is seen by who looks now."""

    @abc.abstractmethod
    def gradient_bytes(self) -> int:
        """Return how many bytes of gradients are exchanged in a step."""

    @property
    @abc.abstractmethod
    def exchanged_dtype(self) -> torch.dtype:
        """In which most of them are."""

    @property
    @abc.abstractmethod
    def settings(self) -> dict[str, str | int | float | bool]:
        """What is pinned, by name, for the record."""

    @abc.abstractmethod
    def resident_tensors(self) -> list[torch.Tensor]:
        """Return what lives between two steps, but for what `wrap_anew` allocates."""


def wrap_ddp(model: nn.Module, device: torch.device, *, compressed: bool) -> DistributedDataParallel:
    """Wrap a network as PyTorch's defaults do; weights and buffers of rank 0 are those of all ranks from then on."""
    devices = [device.index] if device.type == "cuda" else None
    wrapped = DistributedDataParallel(model, device_ids=devices)
    if compressed:
        hook: Any = bf16_compress_hook if device.type == "cuda" else compressed_on_cpu
        wrapped.register_comm_hook(None, hook)
    return wrapped


def compressed_on_cpu(group: Any, bucket: Any) -> Any:
    """Do the same as torch's hook, which DDP knows by its name and refuses without NCCL; gloo adds up BF16 as well."""
    return bf16_compress_hook(group, bucket)


# DDP compares annotations with its own classes, and takes a hook that has none.
compressed_on_cpu.__annotations__.clear()


class DdpStep(SpreadStep):
    """DistributedDataParallel.

    A step without exchange runs the network itself, not its wrapper: DDP's hooks on the gradients do nothing then, and
    no buffers are broadcast. So what the exchange takes contains all that DDP does.

    Each kind of step has its own loss scaler: the scales of ranks that step for themselves may differ, and gradients
    with different scales have no mean.
    """

    def __init__(self, step: TrainingStep, job: ScalingJob, rank: int, tick: Callable[[], None]) -> None:
        """Spread a step that was built by `make_rank_step`.

        Raises:
            NotSupportedError: Gradients cannot be compressed to BF16, for some of them are no more than that.
        """
        self.kinds = ("exchange", "no exchange", "alone")
        self.absent = {}
        self.step = step
        self._tick = tick
        self._is_compressed = job.compression == "bf16"
        self.is_freed_by_its_own_thread = not self._is_compressed
        if self._is_compressed and step.policy.weights != "float32":
            raise NotSupportedError(f"{step.policy.name}: gradients are BF16 already; there is nothing to compress")
        self._world_size = job.world_size
        self._scalers = {
            kind: torch.amp.GradScaler(step.device.type, enabled=step.policy.loss_scaling) for kind in self.kinds
        }
        own = Batch(inputs=step.inputs, targets=step.targets)
        is_whole = job.is_strong and rank == 0
        self._own, self._alone = own, (whole_batch(step, job.world_size) if is_whole else own)
        self._wrapped: DistributedDataParallel | None = wrap_ddp(
            step.model, step.device, compressed=self._is_compressed
        )

    def enter(self, kind: Kind) -> Callable[[], object]:
        """Return a step of a kind."""
        step = self.step
        step.scaler = self._scalers[kind]
        batch = self._alone if kind == "alone" else self._own
        step.inputs, step.targets = batch.inputs, batch.targets
        network: Any = self._wrapped if kind == "exchange" else step.model
        step.network = ticking(network, self._tick)
        step.zero_gradients()
        return ticking(step.train_step, self._tick)

    def plain(self) -> TrainingStep:
        """Return the step itself: its weights are those that DDP exchanges gradients of."""
        self.step.network = self.step.model
        return self.step

    def leave_alone_step(self) -> None:
        """Let go of the global batch, and of DDP's buckets, which are freed with the wrapper."""
        self._alone = self._own
        self.step.network = self.step.model
        self._wrapped = None
        self.step.inputs, self.step.targets = self._own.inputs, self._own.targets
        self.step.optimizer.zero_grad(set_to_none=True)

    def wrap_anew(self) -> None:
        """Let DDP allocate its buckets again."""
        self._wrapped = wrap_ddp(self.step.model, self.step.device, compressed=self._is_compressed)

    def gradient_bytes(self) -> int:
        """Return the bytes of all gradients in the type in which they are exchanged."""
        trained = [parameter for parameter in self.step.model.parameters() if parameter.requires_grad]
        if self._is_compressed:
            return sum(2 * parameter.numel() for parameter in trained)
        return sum(parameter.nbytes for parameter in trained)

    @property
    def exchanged_dtype(self) -> torch.dtype:
        """BF16 where they are compressed."""
        is_bf16 = self._is_compressed or self.step.policy.weights == "bfloat16"
        return torch.bfloat16 if is_bf16 else torch.float32

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """What is pinned."""
        return {
            **self.step.settings,
            "bucket_cap_mib": BUCKET_MIB,
            "gradient_as_bucket_view": False,
            "broadcast_buffers": True,
        }

    def resident_tensors(self) -> list[torch.Tensor]:
        """Return what the step itself keeps."""
        return self.step.resident_tensors()


def ticking(run: Callable[..., Any], tick: Callable[[], None]) -> Callable[..., Any]:
    """Return what runs the same, and notes that it is done."""

    def noted(*arguments: Any, **options: Any) -> Any:
        result = run(*arguments, **options)
        tick()
        return result

    return noted


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """Return what is sharded by itself: the outermost modules of classes that are not torch's own, the root left out.

    Of a ResNet these are its residual blocks. Source: PyTorch, `fully_shard`: "apply bottom-up", to each layer and then
    to the root.
    """
    found: list[nn.Module] = []

    def visit(module: nn.Module) -> None:
        for child in module.children():
            if type(child).__module__.startswith("torch.nn"):
                visit(child)
            elif next(child.parameters(), None) is not None:
                found.append(child)

    visit(model)
    return found


class Fsdp2Step(SpreadStep):
    """FSDP2: every rank holds a part of each weight, gradient and momentum, and gathers the weights of a block in time.

    There is no step without exchange: a rank has no network of its own. Rank 0 alone steps the network that is not
    sharded.
    """

    def __init__(
        self, step: TrainingStep, sharded: TrainingStep, job: ScalingJob, rank: int, tick: Callable[[], None]
    ) -> None:
        """Shard one of two equal steps that were built by `make_rank_step`.

        Raises:
            NotSupportedError: This torch has no FSDP2, or the precision cannot be sharded.
        """
        refuse_fsdp2(job)
        self.kinds = ("exchange", "alone")
        self.absent = {"no_exchange_s": "FSDP2 has no step without exchange: a rank holds a part of each weight"}
        self.step = sharded
        self._plain: TrainingStep | None = step
        self._tick = tick
        is_whole = job.is_strong and rank == 0
        if is_whole:
            whole = whole_batch(step, job.world_size)
            step.inputs, step.targets = whole.inputs, whole.targets
        shard(sharded.model)
        sharded.optimizer = make_sgd(
            sharded.model,
            sharded.policy,
            device_type=sharded.device.type,
            learning_rate=LEARNING_RATE,
            momentum=MOMENTUM,
        )
        # torch's fused SGD does not know sharded tensors.
        for group in sharded.optimizer.param_groups:
            group.update(fused=False, foreach=True)
        for each in (step, sharded):
            each.network = ticking(each.model, tick)

    def enter(self, kind: Kind) -> Callable[[], object]:
        """Return a step of a kind."""
        step = self.step if kind == "exchange" else self.plain()
        step.zero_gradients()
        return ticking(step.train_step, self._tick)

    def plain(self) -> TrainingStep:
        """Return the step that is not sharded, with the weights and buffers of the one that is."""
        if self._plain is None:
            raise NotSupportedError("the step that is not sharded is closed")
        return self._plain

    def leave_alone_step(self) -> None:
        """Let go of the network that is not sharded."""
        if self._plain is not None:
            self._plain.close()
            self._plain = None

    def wrap_anew(self) -> None:
        """Do nothing: what is gathered is freed within a step."""

    def gradient_bytes(self) -> int:
        """Return the bytes of all gradients, those that other ranks keep included."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self._trained())

    @property
    def exchanged_dtype(self) -> torch.dtype:
        """The type of the weights."""
        return torch.float32

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """What is pinned."""
        return {**self.step.settings, "optimizer_implementation": "foreach", **FSDP2_SETTINGS}

    def resident_tensors(self) -> list[torch.Tensor]:
        """Return what the step keeps: of sharded tensors this rank's parts."""
        return [local(tensor) for tensor in self.step.resident_tensors()]

    def _trained(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.step.model.parameters() if parameter.requires_grad]


def refuse_fsdp2(job: ScalingJob) -> None:
    """Refuse what FSDP2 cannot do.

    Raises:
        NotSupportedError: It cannot; the message says why.
    """
    from perfsuite.workloads.precision import policy_named

    policy = policy_named(job.workload.precision)
    if policy.weights != "float32":
        raise NotSupportedError(
            f"{policy.name} with fsdp2: FSDP2 shards weights of one type, and those of batch normalisations are FP32"
        )
    if policy.loss_scaling:
        raise NotSupportedError(
            f"{policy.name} with fsdp2: torch's fused SGD takes no sharded tensors, and with another optimizer the "
            "loss scaler waits for the device in each step; amp-bf16 has none"
        )
    if job.compression != "none":
        raise NotSupportedError(
            f"--perf-gradient-compression {job.compression} with fsdp2: it is a hook of DDP; FSDP2 reduces gradients "
            "in the type of the weights"
        )


def shard(model: nn.Module) -> None:
    """Shard a network over all ranks, block by block and then what is left.

    Raises:
        NotSupportedError: This torch has no FSDP2, or cannot shard the network.
    """
    try:
        from torch.distributed.fsdp import fully_shard
    except ImportError as error:
        raise NotSupportedError(f"torch {torch.__version__} has no fully_shard: {first_line(error)}") from None
    for block in blocks_of(model):
        fully_shard(block)
    fully_shard(model)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """Return what this rank holds of a tensor."""
    part: Any = tensor
    return part.to_local() if hasattr(part, "to_local") else tensor


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return a whole tensor, gathered from all ranks where it is sharded; all ranks must ask."""
    sharded: Any = tensor
    return sharded.full_tensor() if hasattr(sharded, "full_tensor") else tensor


def spread(step: TrainingStep, job: ScalingJob, rank: int, tick: Callable[[], None]) -> SpreadStep:
    """Spread a step that was built by `make_rank_step` over the ranks of a job.

    Raises:
        NotSupportedError: The strategy cannot do what the job asks for.
    """
    if job.strategy == "ddp":
        return DdpStep(step, job, rank, tick)
    refuse_fsdp2(job)
    return Fsdp2Step(step, make_rank_step(job.workload, step.device, rank), job, rank, tick)


@contextlib.contextmanager
def statistics_frozen(step: TrainingStep) -> Iterator[None]:
    """Run a network in eval mode: batch normalisations take their running statistics, and dropout keeps all."""
    step.model.eval()
    try:
        yield
    finally:
        step.model.train()

"""The processes that share a training: which part of a batch is whose, and what they tell each other.

Alone, a training is rank 0 of 1: nothing is exchanged, and nothing waits.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from perfsuite.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

T = TypeVar("T")

MAX_WAIT = dt.timedelta(hours=1)
"""For another rank; longer than rank 0 tests or saves a checkpoint. Ranks of which one has died are killed long before,
by the process that started them; this ends those of which one hangs."""


class Ranks:
    """One process among those that share a training.

    What is told travels between the hosts, on gloo: waiting for it costs no device any time.

    Attributes:
        rank: Which one this is.
        world_size: How many there are.
    """

    def __init__(self, *, rank: int = 0, world_size: int = 1, control: Any = None) -> None:
        """See `joined`; without arguments, a training that shares nothing."""
        self.rank, self.world_size = rank, world_size
        self._control = control

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and speaks for all."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there are no others."""
        return self.world_size == 1

    def share(self, num: int) -> slice:
        """Return which of so many images are this rank's: as many as the others', or one more where it is an early one.

        Empty where there are fewer images than ranks before it.
        """
        each, more = divmod(num, self.world_size)
        begin = self.rank * each + min(self.rank, more)
        return slice(begin, begin + each + (self.rank < more))

    def spread(self, model: nn.Module, device: torch.device) -> Callable[[Any], Any]:
        """Return the network as it is called in training: its gradients are averaged over all ranks in backward.

        DDP puts the gradients into other buckets after the first step, in the order in which they came. Where an
        element stands decides in which order three or more ranks are summed, so that a process that resumes would
        round differently. It does not do so where it looks for unused parameters, as is done where deterministic
        algorithms are asked for. Source: PyTorch, `torch/csrc/distributed/c10d/reducer.hpp`, `should_rebuild_buckets`.
        """
        if self.is_alone:
            return model
        return DistributedDataParallel(
            model,
            device_ids=[device.index] if device.type == "cuda" else None,
            find_unused_parameters=torch.are_deterministic_algorithms_enabled(),
        )

    def first(self, value: T) -> T:
        """Return rank 0's value on all ranks."""
        if self.is_alone:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0, group=self._control)
        return values[0]

    def each(self, value: T) -> list[T]:
        """Return the values of all ranks [rank]."""
        if self.is_alone:
            return [value]
        values = cast("list[T]", [None] * self.world_size)
        distributed.all_gather_object(values, value, group=self._control)
        return values

    def total(self, value: float) -> float:
        """Return the sum of all ranks' numbers."""
        return value if self.is_alone else sum(self.each(value))


ALONE = Ranks()
"""A training that shares nothing."""


@contextlib.contextmanager
def joined(*, rank: int, world_size: int, device: torch.device, meeting_point: str) -> Iterator[Ranks]:
    """Find the others, and leave them at the end; after an error the process is to end.

    Args:
        rank: Which one this is.
        world_size: How many there are.
        device: Of this rank alone.
        meeting_point: Path of a file that none of them has made yet.

    Raises:
        NotSupportedError: This torch has no way for devices to exchange gradients.
    """
    backend = "nccl" if device.type == "cuda" else "gloo"
    if not distributed.is_available() or not distributed.is_backend_available(backend):
        raise NotSupportedError(f"--perf-world-size: this torch is built without {backend}, which exchanges gradients")
    if sys.platform == "linux":
        # Gloo would take the interface of the host's name, which may lead nowhere; all ranks are on this machine.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    options: dict[str, Any] = {"device_id": device} if device.type == "cuda" else {}
    distributed.init_process_group(
        backend,
        init_method=f"file://{meeting_point}",
        rank=rank,
        world_size=world_size,
        timeout=MAX_WAIT,
        **options,
    )
    control = distributed.new_group(backend="gloo", timeout=MAX_WAIT)
    yield Ranks(rank=rank, world_size=world_size, control=control)
    distributed.barrier(group=control)
    distributed.destroy_process_group()

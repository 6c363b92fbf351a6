"""The ranks of a job, as one of them sees them: process groups, barriers, and numbers that all agree on."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfsuite.measure.scaling.job import RankProgress, ScalingJob

GROUP_TIMEOUT_RATIO = 10.0
"""Of the time after which the launching process ends a cell without progress. Torch's own timeout is for where that
process does not act: while rank 0 steps alone the others wait for as long as several steps take."""


class RankGroup:
    """The ranks of a job.

    Barriers and numbers have a process group of their own, on gloo and the hosts: waiting there costs no device any
    time, and takes no part in what is measured.

    Attributes:
        rank: Which one this is.
        world_size: How many.
        backend: By which tensors are exchanged: `nccl` or `gloo`.
    """

    def __init__(self, *, rank: int, world_size: int, backend: str, control: Any, progress: RankProgress) -> None:
        """See `joined`."""
        self.rank = rank
        self.world_size = world_size
        self.backend = backend
        self._control = control
        self._progress = progress

    @property
    def backend_version(self) -> str:
        """Of NCCL, `2.27.3`; of torch where the backend comes with it."""
        if self.backend == "nccl":
            nccl: Any = importlib.import_module("torch.cuda.nccl")
            return ".".join(map(str, nccl.version()))
        return torch.__version__

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        self._progress.next_place()
        distributed.barrier(group=self._control)

    def agree(self, number: int) -> int:
        """Return rank 0's number on all ranks."""
        self._progress.tick()
        told = torch.tensor([number], dtype=torch.int64)
        distributed.broadcast(told, src=0, group=self._control)
        return int(told.item())

    def total(self, number: float) -> float:
        """Return the sum of all ranks' numbers."""
        numbers = torch.tensor([number], dtype=torch.float64)
        distributed.all_reduce(numbers, group=self._control)
        return float(numbers.item())

    def largest(self, number: float) -> float:
        """Return the largest of all ranks' numbers; none of them may be NaN."""
        numbers = torch.tensor([number], dtype=torch.float64)
        distributed.all_reduce(numbers, op=distributed.ReduceOp.MAX, group=self._control)
        return float(numbers.item())

    def from_first(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return rank 0's values of a tensor that all ranks have, on the same device."""
        values = tensor.detach().clone()
        distributed.broadcast(values, src=0)
        return values


@contextlib.contextmanager
def joined(job: ScalingJob, rank: int, device: torch.device, progress: RankProgress) -> Iterator[RankGroup]:
    """Join the ranks of a job, and leave them at the end; after an error the process is to end."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    timeout = dt.timedelta(seconds=GROUP_TIMEOUT_RATIO * job.timeout_s)
    options: dict[str, Any] = {"device_id": device} if device.type == "cuda" else {}
    distributed.init_process_group(backend, timeout=timeout, **options)
    control = distributed.new_group(backend="gloo", timeout=timeout)
    group = RankGroup(rank=rank, world_size=job.world_size, backend=backend, control=control, progress=progress)
    yield group
    group.barrier()
    distributed.destroy_process_group()

"""Networks that do in one rank what ranks must not: die, hang, run out of memory, exchange wrongly.

Loaded by name (`rank_networks.py:dies`) in the process that collects and in every rank; only ranks have a number. Where
the variable `RANK_PIDS` names a folder, each rank leaves the number of its process and of its launcher's there.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

RANK = int(os.environ.get("RANK", "-1"))
NUM_SOUND_CALLS = 12
"""Of `forward`: what is built and checked is behind a rank then, and it warms up or is timed."""

if RANK >= 0 and "RANK_PIDS" in os.environ:
    for pid in (os.getpid(), os.getppid()):
        (Path(os.environ["RANK_PIDS"]) / str(pid)).touch()


class Small(nn.Module):
    """A linear layer and a batch normalisation, and something that one rank does after some calls."""

    def __init__(self, act: Callable[[], object] = lambda: None, num_sound_calls: int = NUM_SOUND_CALLS) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.last = nn.Linear(3 * 32 * 32, 10)
        self._act = act
        self._num_sound_calls = num_sound_calls
        self._num_calls = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self._num_calls += 1
        if RANK == 1 and self._num_calls > self._num_sound_calls:
            self._act()
        logits: torch.Tensor = self.last(self.norm(images).flatten(1))
        return logits


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    if "RANK_PIDS" in os.environ:
        (Path(os.environ["RANK_PIDS"]) / "hangs").touch()
    time.sleep(3600)


def _run_out() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nOf the allocated memory ...")


def sound() -> nn.Module:
    return Small()


def dies() -> nn.Module:
    return Small(_die)


def hangs() -> nn.Module:
    return Small(_hang)


def runs_out() -> nn.Module:
    return Small(_run_out)


def _break_hook(broken: Any) -> None:
    """Let DDP exchange gradients wrongly in this process."""
    from perfsuite.measure.scaling import strategies

    right = strategies.wrap_ddp

    def wrapped(*arguments: Any, **options: Any) -> Any:
        ddp = right(*arguments, **options)
        broken.__annotations__.clear()
        ddp.register_comm_hook(None, broken)
        return ddp

    strategies.wrap_ddp = wrapped


def _summed(group: Any, bucket: Any) -> Any:
    from torch import distributed

    future = distributed.all_reduce(bucket.buffer(), group=group, async_op=True).get_future()
    return future.then(lambda done: done.value()[0])


def _dropped(group: Any, bucket: Any) -> Any:
    """Average over all ranks, of which the last gives nothing."""
    from torch import distributed

    buffer = bucket.buffer()
    buffer.div_(distributed.get_world_size())
    last = distributed.get_world_size() - 1
    if last == RANK:
        buffer.zero_()
    return _summed(group, bucket)


def _own(_group: Any, bucket: Any) -> Any:
    """Exchange nothing."""
    future: Any = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future


def sums() -> nn.Module:
    if RANK >= 0:
        _break_hook(_summed)
    return Small()


def drops() -> nn.Module:
    if RANK >= 0:
        _break_hook(_dropped)
    return Small()


def keeps() -> nn.Module:
    if RANK >= 0:
        _break_hook(_own)
    return Small()

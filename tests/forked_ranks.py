"""Ranks of a cell in processes that have imported torch before, in place of those that torch's elastic launcher starts.

The launcher itself is tested in `measure/test_scaling_launch.py`.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forked import Forked

from perfsuite.measure.scaling import rank as rank_process
from perfsuite.measure.scaling.agent import AGENT_PID, LOCAL_ADDRESS

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def ranks_forked(command: list[str], **options: Any) -> Iterator[Forked]:
    """Stand for `child_process.started` in the process that watches the ranks."""
    folder, world_size = command[-2:]
    process = Forked(_launch, folder, int(world_size), output=Path(options["stdout"].name), env=options["env"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _launch(folder: str, world_size: int) -> int:
    """Fork the ranks and wait for them; the first that fails ends the others, and this process all that are left."""
    os.setpgid(0, 0)
    with socket.socket() as free:
        free.bind((LOCAL_ADDRESS, 0))
        port = free.getsockname()[1]
    os.environ |= {AGENT_PID: str(os.getpid()), "MASTER_ADDR": LOCAL_ADDRESS, "MASTER_PORT": str(port)}
    for rank in range(world_size):
        if os.fork() == 0:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)}
            os._exit(rank_process.main([folder]))
    statuses = (os.wait()[1] for _ in range(world_size))
    return int(any(statuses))

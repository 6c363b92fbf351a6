"""Runs torch's elastic launcher in a process of its own: `python -m perfsuite.measure.scaling.agent FOLDER N`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from perfsuite.formatting import first_line
from perfsuite.measure.scaling.job import AgentReport, RankFolder

AGENT_PID = "PERFSUITE_AGENT_PID"
"""The variable by which ranks know the launcher's process: they end when it does."""

LOCAL_ADDRESS = "127.0.0.1"
"""All ranks are on this machine; its own name may lead elsewhere, or nowhere."""

MONITOR_S = 0.2
"""Between two looks of the launcher for ranks that have ended."""


def main(arguments: list[str]) -> int:
    """Start the ranks, wait for them, and report which of them failed; return the exit status.

    The rendezvous is a store of torch on a free port, which the system chooses.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    folder, world_size = RankFolder(Path(arguments[0])), arguments[1]
    os.environ[AGENT_PID] = str(os.getpid())
    options = [
        "--standalone",
        f"--local-addr={LOCAL_ADDRESS}",
        f"--nproc-per-node={world_size}",
        "--max-restarts=0",
        f"--monitor-interval={MONITOR_S}",
        "-m",
        "perfsuite.measure.scaling.rank",
        str(folder.path),
    ]
    try:
        run.main(options)
    except ChildFailedError as error:
        codes = {str(rank): failure.exitcode for rank, failure in error.failures.items()}
        folder.write_agent(AgentReport(exit_codes=codes, message=""))
        return 1
    except Exception as error:  # noqa: BLE001 - whatever keeps ranks from being started is told in one line
        message = f"{type(error).__name__}: {first_line(error)[:300]}"
        folder.write_agent(AgentReport(exit_codes={}, message=message))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

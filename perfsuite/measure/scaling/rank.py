"""One rank, as the elastic launcher starts it: `python -m perfsuite.measure.scaling.rank FOLDER`."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

from perfsuite.child_process import worker_started
from perfsuite.errors import PerfsuiteError
from perfsuite.formatting import first_line
from perfsuite.measure.scaling.agent import AGENT_PID
from perfsuite.measure.scaling.job import RankError, RankFolder

SECONDARY_S = 5.0
"""How long a rank that lost another one stays before it ends: the launcher is to see first which of them died."""

WAITED = (
    r"Connection (closed|reset) by peer|Connection refused|Broken pipe|Socket closed|Timed out waiting|"
    r"timed out after|NCCL communicator was aborted|Watchdog caught collective|remote process exited"
)
"""What torch says where another rank does not answer any more. Source: gloo, `transport/tcp/pair.cc`,
`transport/tcp/unbound_buffer.cc`; PyTorch, `ProcessGroupNCCL.cpp`, `TCPStore.cpp`."""


def error_of(rank: int, error: BaseException) -> RankError:
    """Return what is reported of an error."""
    from perfsuite.workloads.device_errors import is_out_of_memory

    message = first_line(error)[:500]
    is_waiting = not isinstance(error, PerfsuiteError) and re.search(WAITED, str(error)) is not None
    kind = "OutOfMemoryError" if is_out_of_memory(error) else type(error).__name__
    return RankError(rank=rank, kind=kind, message=message, is_waiting=is_waiting, seconds=time.time())


def main(arguments: list[str]) -> int:
    """Run a rank to its end and report; return the exit status."""
    agent = int(os.environ[AGENT_PID])
    worker_started(agent)
    if os.getppid() != agent:  # it ended before this rank could ask to be told
        return 1
    folder, rank = RankFolder(Path(arguments[0])), int(os.environ["RANK"])
    progress = folder.progress(rank)
    try:
        from perfsuite.measure.scaling.rank_run import run_rank

        folder.write_report(rank, run_rank(folder.read_job(), rank, progress))
    except BaseException as error:  # noqa: BLE001 - reported to the process that launched this one
        report = error_of(rank, error)
        folder.write_report(rank, report)
        if report.is_waiting:
            time.sleep(SECONDARY_S)
        sys.stdout.flush()
        # At once: what a broken process group does at its end may never end.
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How running processes are stopped after Ctrl-C and SIGTERM. Imports nothing large: nodes of a fleet import this."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from typing import TYPE_CHECKING

from perfsuite.child_process import kill

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 60.0
"""Until a process that was asked to stop is killed."""


class Interrupted(Exception):  # noqa: N818 - no error: the user wanted it
    """The run was stopped on the way; what is finished is kept."""


def stop(process: subprocess.Popen[bytes]) -> None:
    """Let a process end as after Ctrl-C; kill it after a second one, or where it takes too long."""
    with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
        return
    kill(process)
    process.wait()


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Treat SIGTERM, and SIGHUP unless it is ignored (nohup), as Ctrl-C: no process must be left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [number for name in names if signal.getsignal(number := getattr(signal, name)) != signal.SIG_IGN]
    try:
        before = {number: signal.signal(number, interrupt) for number in numbers}
    except ValueError:  # not the main thread
        before = {}
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

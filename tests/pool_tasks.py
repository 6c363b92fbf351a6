"""What processes of a pool do in tests: light to import, for each process imports it anew."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.errors import DeviceLostError, MeasurementError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.device_pool import Seat

PATIENCE_S = 120.0


def wait_for(path: Path) -> None:
    """Wait until another process has written a file."""
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.02)


def obey(task: str, seat: Seat, tell: Callable[[Any], None]) -> Any:  # noqa: C901 - one word after the other
    """Do what the words of a task say, those of its rank where they are separated by `|`."""
    words = task.split("|")[min(seat.rank, task.count("|"))]
    for word in words.split():
        what, _, value = word.partition(":")
        if what == "tell":
            tell((value, seat.device, os.getpid()))
        elif what == "wait":
            wait_for(Path(value))
        elif what == "touch":
            Path(value).touch()
        elif what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "abort":
            print("terminate called", file=sys.stderr, flush=True)  # noqa: T201 - as a library does
            os.abort()
        elif what == "memory":
            raise OutOfMemoryError("out of memory: it does not fit")
        elif what == "lost":
            raise DeviceLostError("the device was lost: it fell off the bus")
        elif what == "broken":
            raise MeasurementError("diverged")
        elif what == "bug":
            raise ZeroDivisionError(value)
        elif what == "linger":
            threading.Thread(target=time.sleep, args=(PATIENCE_S,)).start()
        elif what == "threads":
            return seat.num_threads
    return words

"""The job that holds a node of Slurm: it takes orders from a folder that head and nodes share, and answers there.

One job holds a whole node for all that the node does, so that environments are interleaved on one machine and the
queue is waited for once. It ends when it is told to, and when the head is gone.
"""

from __future__ import annotations

import contextlib
import json
import platform
import time
from pathlib import Path
from typing import Any

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import ResultFileError
from perfsuite.fleet.node_run import NodeProcess
from perfsuite.small_files import read_json

LOOK_S = 1.0
"""Between two looks into the folder."""

SAY_S = 5.0
"""Between two words on how far the process is."""

MAX_ORDER_BYTES = 1_000_000

HEAD, ORDER, STOP, END, SAID = "head.json", "order.json", "stop.json", "end", "said.json"


def read_or_none(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None where there is none, or none that can be read yet."""
    try:
        found = read_json(path, max_bytes=MAX_ORDER_BYTES)
    except (FileNotFoundError, ResultFileError):
        return None
    return found if isinstance(found, dict) else None


def run_agent(folder: str, head_lost_s: float) -> None:
    """Run orders until the end.

    Args:
        folder: Of this job; that of the head is above it.
        head_lost_s: After which a head that gives no sign is taken for gone.
    """
    box = Path(folder)
    agent = _Agent(box)
    sign: object = None
    seen_s = time.monotonic()
    try:
        while box.is_dir() and not (box / END).exists():
            found = read_or_none(box.parent / HEAD)
            if found is not None and found != sign:
                sign, seen_s = found, time.monotonic()
            if time.monotonic() - seen_s > head_lost_s:
                break
            with contextlib.suppress(FileNotFoundError):  # the head cleared the folder: looked for above
                agent.step()
    finally:
        agent.end()


class _Agent:
    def __init__(self, box: Path) -> None:
        self._box = box
        self._run = NodeProcess()
        self._order: dict[str, Any] | None = None
        self._answered = 0
        self._said_s = float("-inf")
        self._num_said = 0
        self._is_stopped = False

    def step(self) -> None:
        """Take what is ordered, or tell how far it is."""
        if self._order is None:
            self._take()
        if self._order is None:
            self._say("idle")
            time.sleep(LOOK_S)
            return
        stop = read_or_none(self._box / STOP)
        if stop is not None and stop.get("attempt") == self._order["attempt"] and not self._is_stopped:
            self._is_stopped = True
            self._run.stop()
        said = self._run.wait(LOOK_S)
        if "line" in said:
            self._say(said["line"])
            return
        self._answer(said)
        self._order = None

    def end(self) -> None:
        """Kill what runs."""
        self._run.end()

    def _take(self) -> None:
        order = read_or_none(self._box / ORDER)
        if order is not None and order["attempt"] != self._answered:
            self._order, self._is_stopped = order, False
            self._run.begin(order)
            self._said_s = float("-inf")

    def _say(self, line: str) -> None:
        if time.monotonic() - self._said_s < SAY_S:
            return
        self._said_s = time.monotonic()
        self._num_said += 1
        attempt = None if self._order is None else self._order["attempt"]
        said = {"number": self._num_said, "host": platform.node(), "attempt": attempt, "line": line}
        write_atomically(self._box / SAID, json.dumps(said))

    def _answer(self, said: dict[str, Any]) -> None:
        attempt = said["attempt"]
        if said["result"] is not None:
            write_atomically(self._box / f"result{attempt}", said["result"])
        write_atomically(self._box / f"log{attempt}", said["log"])
        answer = {"attempt": attempt, "status": said["status"], "duration_s": said["duration_s"]}
        write_atomically(self._box / f"answer{attempt}.json", json.dumps(answer))
        self._answered = attempt

"""The folder of a bisection: its state, and a result file and a log for each process.

Nothing else in the folder is ever deleted or written over.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import CampaignError
from perfsuite.records.strict_json import is_number
from perfsuite.run_folder import difference, read_state

if TYPE_CHECKING:
    from pathlib import Path

STATE = "bisect.json"
SCHEMA = "perfsuite-bisect-1"

MAX_STATE_BYTES = 10_000_000
"""Of the state: thousands of processes have a line each."""

WORKTREES = "worktrees"
BISECTION = "bisection"
"""Folders of the run: checkouts, and the repository in which git keeps the state of the bisection."""

_PROCESS = re.compile(r"[A-Za-z0-9-]{1,80}-[0-9]{3}-(?:good|bad|trial|found|parent)")
_SUFFIXES = (".json", ".part.json", ".log")


@dataclass(slots=True)
class FinishedProcess:
    """What the state says of a process.

    Attributes:
        duration_s: How long it ran.
        reason: Why it gave no value; None: it gave one.
    """

    duration_s: float
    reason: str | None = None


@dataclass(slots=True)
class RunFolder:
    """The folder, held by this process.

    Attributes:
        path: Where it is.
        identity: Of the question.
        processes: Those that are finished, by name.
    """

    path: Path
    identity: dict[str, object]
    processes: dict[str, FinishedProcess] = field(default_factory=dict)

    def result(self, name: str) -> Path:
        """Return where the result of a process is kept."""
        return self.path / f"{name}.json"

    def finish(self, name: str, process: FinishedProcess) -> None:
        """Take down that a process is finished."""
        self.processes[name] = process
        self.save()

    def forget(self, name: str) -> None:
        """Let a process be run again."""
        for path in _files(self.path, name):
            path.unlink()
        if self.processes.pop(name, None) is not None:
            self.save()

    def save(self) -> None:
        """Write the state.

        Raises:
            CampaignError: It cannot be written.
        """
        processes = {
            name: {"duration_s": round(one.duration_s, 3), "reason": one.reason} for name, one in self.processes.items()
        }
        content = {"schema": SCHEMA, "identity": self.identity, "processes": processes}
        try:
            write_atomically(self.path / STATE, json.dumps(content, indent=1))
        except OSError as error:
            raise CampaignError(f"{self.path}: cannot be used: {error.strerror}") from None


def open_folder(folder: Path, identity: dict[str, object], *, restart: bool) -> RunFolder:
    """Make a folder that is held this question's, or check that it is.

    Args:
        folder: Absolute.
        identity: Of the question; what decides it may be changed between runs: error rates and numbers of processes.
        restart: Whether to delete what was measured.

    Raises:
        CampaignError: It contains another bisection, or its state is damaged.
    """
    before = _read_state(folder)
    if before is not None and restart:
        _clear(before)
        before = None
    if before is None:
        before = RunFolder(path=folder, identity=identity)
    differing = difference(before.identity, identity)
    if differing is not None:
        raise CampaignError(
            f"{folder}: contains another bisection: {differing}; --restart starts over, or name another folder"
        )
    before.save()
    return before


def _read_state(folder: Path) -> RunFolder | None:
    path = folder / STATE
    content = read_state(path, SCHEMA, CampaignError, max_bytes=MAX_STATE_BYTES)
    if content is None:
        return None
    identity: Any = content.get("identity")
    processes: Any = content.get("processes")
    is_whole = isinstance(identity, dict) and isinstance(processes, dict)
    if not is_whole or not all(_is_process(name, one) for name, one in processes.items()):
        raise CampaignError(f"{path}: damaged; name another folder, or delete this one")
    return RunFolder(
        path=folder,
        identity=identity,
        processes={
            name: FinishedProcess(duration_s=one["duration_s"], reason=one["reason"]) for name, one in processes.items()
        },
    )


def _is_process(name: str, content: object) -> bool:
    if not _PROCESS.fullmatch(name) or not isinstance(content, dict):
        return False
    duration_s: Any = content.get("duration_s")
    reason = content.get("reason", 0)
    return is_number(duration_s) and duration_s >= 0 and (reason is None or isinstance(reason, str))


def _files(folder: Path, process: str) -> list[Path]:
    return [path for suffix in _SUFFIXES if os.path.lexists(path := folder / f"{process}{suffix}")]


def clear_checkouts(folder: Path) -> None:
    """Delete the checkouts and the repositories of a run."""
    for name in (WORKTREES, BISECTION):
        shutil.rmtree(folder / name, ignore_errors=True)


def _clear(run: RunFolder) -> None:
    """Delete what the run wrote; its state last, so that a deletion that was interrupted can be finished."""
    clear_checkouts(run.path)
    for path in run.path.iterdir():
        process = path.name.partition(".")[0]
        if _PROCESS.fullmatch(process) and path in _files(run.path, process):
            path.unlink()
    for path in run.path.glob("setup-*.log"):
        path.unlink()
    (run.path / STATE).unlink(missing_ok=True)

"""The folder of an A/B run: its state, and a result file, a log and trainings for each process.

Nothing else in the folder is ever deleted or written over.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.load.result_file import ResultFile, read_result_file
from perfsuite.analysis.verdicts.attempts import FAILURES
from perfsuite.atomic_write import write_atomically
from perfsuite.errors import CampaignError, ResultFileError
from perfsuite.folder_lock import NAME as LOCK
from perfsuite.run_folder import difference, read_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfsuite.campaign.plan import CampaignPlan

STATE = "campaign.json"
JUDGED = "judged"
SCHEMA = "perfsuite-ab-1"

MAX_STATE_BYTES = 1_000_000

_PROCESS = re.compile(r"[0-9]{3}-(?:baseline|candidate)")
_SUFFIXES = (".json", ".part.json", ".log")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What `campaign.json` says.

    Attributes:
        identity: Of the plan, see `identify`.
        processes: Their names: each has files of this name with several suffixes, and a folder of trainings.
    """

    identity: dict[str, object]
    processes: tuple[str, ...]


def process_names(plan: CampaignPlan) -> tuple[str, ...]:
    """Return the names of all processes, in the order in which they run."""
    return tuple(f"{number:03d}-{side.name}" for number, side in enumerate(plan.order(), start=1))


def is_own_file(folder: Path, path: Path) -> bool:
    """Whether a path is, or would be, one of the files of the run in the folder."""
    if os.path.realpath(path.parent) != os.path.realpath(folder):
        return False
    name = path.name
    own = {f"{process}{suffix}" for process in _PROCESS.findall(name) for suffix in ("", *_SUFFIXES)}
    return name in {STATE, JUDGED, LOCK, *own}


def claim(folder: Path, identity: dict[str, object], processes: Sequence[str], *, restart: bool) -> None:
    """Make the folder this run's, or check that it is.

    Raises:
        CampaignError: It contains another run, or files that no run names.
    """
    try:
        before = _read_state(folder / STATE, processes)
        if restart and before is not None:
            _clear(folder, before)
            before = None
        differing = None if before is None else difference(before.identity, identity)
        if differing is not None:
            raise CampaignError(
                f"{folder}: contains another run: {differing}; --restart starts over, or name another folder"
            )
        named = () if before is None else before.processes
        for process in processes:
            found = [] if process in named else _files(folder, process)
            if found:
                raise CampaignError(
                    f"{folder}: contains {found[0].name}, which no {STATE} names; name another folder, or move it away"
                )
        text = json.dumps({"schema": SCHEMA, "identity": identity, "processes": sorted({*named, *processes})}, indent=1)
        write_atomically(folder / STATE, text)
    except OSError as error:
        raise CampaignError(f"{folder}: cannot be used: {error.strerror}") from None


def check_results(folder: Path, processes: Sequence[str]) -> None:
    """Check what is there already, before hours are spent on the rest.

    Raises:
        CampaignError: A result file is damaged, or of a process that did not finish.
    """
    for process in processes:
        path = folder / f"{process}.json"
        if not os.path.lexists(path):
            continue
        advice = "move it away, and the same command measures it again"
        try:
            found = read_result_file(path)
        except ResultFileError as error:
            raise CampaignError(f"{error}; {advice}") from None
        if not found.complete or not (found.benchmarks or has_only_failures(found, process)):
            reason = "has no benchmarks" if found.complete else "its process did not finish"
            raise CampaignError(f"{path}: {reason}; {advice}")


def has_only_failures(found: ResultFile, process: str) -> bool:
    """Whether a process of the candidate ran every benchmark and all failed, as they may not have in the baseline.

    That is judged. Where the baseline has no result, or benchmarks were not run, the run itself is at fault.
    """
    kinds = {outcome.outcome for outcome in found.outcomes}
    has_begun = bool(kinds & set(FAILURES))
    return process.endswith("-candidate") and has_begun and not found.benchmarks and "not_run" not in kinds


def unfinished_in_words(found: ResultFile) -> str:
    """Return which benchmark was measured when a process ended, as far as its file says."""
    interrupted = [outcome.nodeid for outcome in found.outcomes if outcome.outcome == "interrupted"]
    if interrupted:
        return f" while {interrupted[0]} was measured"
    num_left = sum(outcome.outcome == "not_run" for outcome in found.outcomes)
    return f" before {num_left} of its benchmarks" if num_left else ""


def mark_judged(folder: Path) -> None:
    """Note that a run was brought to its end: the same question again is to be measured again."""
    with contextlib.suppress(OSError):
        (folder / JUDGED).touch()


def is_judged(folder: Path) -> bool:
    """Whether a run was brought to its end, its verdicts written."""
    return os.path.exists(folder / JUDGED)  # noqa: PTH110 - no error for a path that is too long


def read_identity(folder: Path) -> dict[str, object]:
    """Return what the run in a folder is of, as `identify` gave it.

    Raises:
        CampaignError: There is no run, or its state is damaged.
    """
    state = _read_state(folder / STATE, ())
    if state is None:
        raise CampaignError(f"{folder}: contains no A/B run")
    return state.identity


def has_fewer_processes(folder: Path, num_processes: int) -> bool:
    """Whether the run in a folder has fewer processes a side than this; False where its state cannot be read."""
    try:
        state = _read_state(folder / STATE, ())
    except CampaignError:
        return False
    return state is not None and 0 < len(state.processes) < 2 * num_processes


def _read_state(path: Path, processes: Sequence[str]) -> State | None:
    content = read_state(path, SCHEMA, CampaignError, max_bytes=MAX_STATE_BYTES)
    if content is None:
        return None
    identity, names = content.get("identity"), content.get("processes", list(processes))
    is_list = isinstance(names, list) and all(isinstance(name, str) and _PROCESS.fullmatch(name) for name in names)
    if not isinstance(identity, dict) or not is_list:
        raise CampaignError(f"{path}: damaged; name another folder, or delete this one")
    return State(identity=identity, processes=tuple(names))


def _files(folder: Path, process: str) -> list[Path]:
    paths = [folder / f"{process}{suffix}" for suffix in ("", *_SUFFIXES)]
    return [path for path in paths if os.path.lexists(path)]


def _clear(folder: Path, state: State) -> None:
    """Delete what the run wrote; its state last, so that a deletion that was interrupted can be finished."""
    for process in state.processes:
        for path in _files(folder, process):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for name in (JUDGED, STATE):
        (folder / name).unlink(missing_ok=True)

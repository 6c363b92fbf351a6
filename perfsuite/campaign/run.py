"""Runs the processes of an A/B run one after the other, keeps a file of each, and resumes after an interruption."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from typing import TYPE_CHECKING, BinaryIO

from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.campaign.interruption import Interrupted, stop, terminated_as_interrupted
from perfsuite.campaign.plan import has_trainings
from perfsuite.campaign.process_log import complaint, last_line
from perfsuite.campaign.state import (
    STATE,
    check_results,
    claim,
    has_only_failures,
    process_names,
    unfinished_in_words,
)
from perfsuite.child_process import ended_in_words, started
from perfsuite.errors import CampaignError, ResultFileError
from perfsuite.folder_lock import folder_held
from perfsuite.formatting import duration_in_words
from perfsuite.run_folder import check_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.campaign.plan import CampaignPlan, Side

POLL_S = 0.5
"""Between two looks at a running process; it measures, and must not be disturbed."""


def run_campaign(
    plan: CampaignPlan, folder: Path, identity: dict[str, object], *, restart: bool, say: Callable[[str, bool], None]
) -> tuple[list[Path], list[Path], list[str]]:
    """Run what is not there yet.

    Args:
        plan: What.
        folder: Where files, logs and state are kept.
        identity: Of the plan, as it is now.
        restart: Whether to start over.
        say: Called with a line, and whether it is final or may be overwritten.

    Returns:
        The files of the baseline, those of the candidate, and notes.

    Raises:
        CampaignError: The folder contains another run, or a process failed.
        FolderInUseError: Another run is in the folder.
        Interrupted: Ctrl-C or SIGTERM.
    """
    folder = folder.absolute()  # the processes run elsewhere
    order = plan.order()
    taken: dict[int, float] = {}
    notes: list[str] = []
    files: dict[str, list[Path]] = {side.name: [] for side in plan.sides}
    processes = process_names(plan)
    check_folder(folder, STATE, CampaignError)
    with folder_held(folder, CampaignError) as lock, terminated_as_interrupted():
        claim(folder, identity, processes, restart=restart)
        check_results(folder, processes)
        for number, (side, process) in enumerate(zip(order, processes, strict=True), start=1):
            path = folder / f"{process}.json"
            label = f"[{number:{len(str(len(order)))}}/{len(order)}] {side.name:<9}"
            files[side.name].append(path)
            if path.exists():
                say(f"{label}  already measured: {path.name}", True)
                continue
            left = len(order) - number + 1
            begin = time.monotonic()
            note = _run_process(
                side,
                plan.arguments,
                path,
                lock=lock,
                tell=lambda text, label=label, left=left: say(  # type: ignore[misc]
                    f"{label}  {text}{_time_left(taken, left)}", False
                ),
            )
            taken[number] = time.monotonic() - begin
            if note is not None:
                notes.append(f"{path.name}: {note}")
            say(f"{label}  done in {duration_in_words(taken[number])}{_time_left(taken, left - 1)}", True)
    return files["baseline"], files["candidate"], notes


def trainings_folder(path: Path) -> Path:
    """Return where the process of a file trains: one of its own, which resumes what it was interrupted in."""
    return path.with_suffix("")


def _run_process(
    side: Side, arguments: tuple[str, ...], path: Path, *, lock: int, tell: Callable[[str], None]
) -> str | None:
    """Run one process to its end; a note if not all of it was measured."""
    part, log = path.with_suffix(".part.json"), path.with_suffix(".log")
    part.unlink(missing_ok=True)
    command = [side.python, "-m", "pytest", *arguments, f"--benchmark-json={part}"]
    if has_trainings(arguments):
        command.append(f"--perf-run-dir={trainings_folder(path)}")
    try:
        with log.open("wb") as output:
            status = run_to_end(
                command,
                folder=side.folder,
                variables=side.variables,
                output=output,
                lock=lock,
                tell=lambda: tell(last_line(log)),
            )
    except OSError as error:
        raise CampaignError(f"{side.python}: does not run: {error.strerror}") from None
    ending = f"{path.name}: the {side.name} {ended_in_words(status)}"
    where = f"all that it wrote: {log}"
    try:
        found = read_result_file(part)
    except ResultFileError as error:
        if status not in {0, 1}:
            raise CampaignError(f"{ending}: {complaint(log)}; {where}") from None
        raise CampaignError(f"{side.name}: no result: {error}; {where}") from None
    if status not in {0, 1} or not found.complete:
        raise CampaignError(f"{ending}{unfinished_in_words(found)}: {complaint(log)}; {where}")
    if not found.benchmarks and not has_only_failures(found, path.stem):
        raise CampaignError(
            f"{side.name}: no benchmark produced a result: {_first_failure(found) or complaint(log)}; {where}"
        )
    part.replace(path)
    return None if status == 0 else f"{_incomplete(found)}, see {log.name}"


def _first_failure(found: ResultFile) -> str | None:
    """Return why the first benchmark that was begun gave no result, or None where none says."""
    reasons = (outcome.reason for outcome in found.outcomes if outcome.outcome not in {"skipped", "not_run"})
    return next(reasons, None)


def _incomplete(found: ResultFile) -> str:
    """Return what is missing in a file of a process that ended with failures."""
    not_run = [outcome for outcome in found.outcomes if outcome.outcome == "not_run"]
    if not not_run:
        return "some benchmarks failed"
    return f"{len(not_run)} benchmarks were not run: {_first_failure(found) or not_run[0].reason}"


def run_to_end(
    command: list[str],
    *,
    folder: Path,
    variables: Mapping[str, str],
    output: BinaryIO,
    lock: int,
    tell: Callable[[], None],
) -> int:
    """Run a process, which holds the lock as well: it may outlive this one where nothing else ends it.

    Args:
        command: What to run.
        folder: Where.
        variables: Environment variables that are set for it.
        output: What it writes goes there.
        lock: Of the folder of the run, see `folder_locked`.
        tell: Called every half second while it runs.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the process was stopped.
        OSError: It cannot be started.
    """
    with started(
        command,
        held=lock,
        cwd=folder,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(POLL_S)
                tell()
        except KeyboardInterrupt:
            stop(process)
            raise Interrupted from None


def _time_left(taken: dict[int, float], num_left: int) -> str:
    if not taken or not num_left:
        return ""
    return f"  about {duration_in_words(sum(taken.values()) / len(taken) * num_left)} left"

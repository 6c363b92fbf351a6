"""Runs the processes of an A/B run one after the other, keeps a file of each, and goes on where it was."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from perfsuite.analysis.result_file import read_result_file
from perfsuite.campaign.plan import differences, has_trainings
from perfsuite.errors import CampaignError, ResultFileError
from perfsuite.files import write_atomically
from perfsuite.folder_lock import folder_locked
from perfsuite.metrics import duration_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perfsuite.analysis.result_file import ResultFile
    from perfsuite.campaign.plan import Plan, Side

STATE = "campaign.json"
JUDGED = "judged"
SCHEMA = "perfsuite-ab-1"

POLL_S = 0.5
"""Between two looks at a running process; it measures, and must not be disturbed."""

PATIENCE_S = 60.0
"""Until a process that was asked to stop is killed."""


class Interrupted(Exception):  # noqa: N818 - no error: the user wanted it
    """The run was stopped on the way; what is finished is kept."""


def run_campaign(
    plan: Plan, folder: Path, identity: dict[str, object], *, restart: bool, say: Callable[[str, bool], None]
) -> tuple[list[Path], list[Path], list[str]]:
    """Run what is not there yet.

    Args:
        plan: What.
        folder: Where files, logs and state are kept.
        identity: Of the plan, as it is now.
        restart: Whether to begin anew.
        say: Told a line, and whether it is final or may be written over.

    Returns:
        The files of the baseline, those of the candidate, and notes.

    Raises:
        CampaignError: The folder holds another run, or a process failed.
        FolderInUseError: Another run is in the folder.
        Interrupted: Ctrl-C or SIGTERM.
    """
    folder = folder.absolute()  # the processes run elsewhere
    order = plan.order()
    taken: dict[int, float] = {}
    notes: list[str] = []
    files: dict[str, list[Path]] = {side.name: [] for side in plan.sides}
    with _locked(folder), _terminated_as_interrupted():
        _claim(folder, identity, restart=restart)
        for number, side in enumerate(order, start=1):
            path = folder / f"{number:03d}-{side.name}.json"
            label = f"[{number:{len(str(len(order)))}}/{len(order)}] {side.name:<9}"
            files[side.name].append(path)
            if path.exists():
                say(f"{label}  there already: {path.name}", True)
                continue
            left = len(order) - number + 1
            begin = time.monotonic()
            note = _run_process(
                side,
                plan.arguments,
                path,
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


def mark_judged(folder: Path) -> None:
    """Note that a run was brought to its end: the same question again is to be measured again."""
    with contextlib.suppress(OSError):
        (folder / JUDGED).touch()


def is_judged(folder: Path) -> bool:
    """Whether a run was brought to its end, its verdicts written."""
    return (folder / JUDGED).exists()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder alone: two runs in it would measure under each other's load.

    Raises:
        CampaignError: The folder cannot be written.
        FolderInUseError: Another process holds it.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(folder_locked(folder))
        except OSError as error:
            raise CampaignError(f"{folder}: cannot be used: {error.strerror}") from None
        yield


def _claim(folder: Path, identity: dict[str, object], *, restart: bool) -> None:
    """Make the folder this run's, or see that it is."""
    state = folder / STATE
    try:
        if restart:
            _clear(folder)
        if state.exists():
            before = json.loads(state.read_text(encoding="utf-8"))
            if not isinstance(before, dict) or before.get("schema") != SCHEMA:
                raise CampaignError(f"{state}: not written by this perfsuite; name another folder, or --restart")
            differing = differences(before.get("identity", {}), identity)
            if differing is not None:
                raise CampaignError(
                    f"{folder}: holds another run: {differing}; --restart begins anew, or name another folder"
                )
            return
        others = sorted(folder.glob("[0-9][0-9][0-9]-*.json"))
        if others:
            raise CampaignError(f"{folder}: holds {others[0].name}, but not {STATE}; name another folder, or --restart")
        write_atomically(state, json.dumps({"schema": SCHEMA, "identity": identity}, indent=1))
    except (OSError, ValueError) as error:
        raise CampaignError(f"{folder}: cannot be used: {getattr(error, 'strerror', None) or error}") from None


def _clear(folder: Path) -> None:
    """Remove what an earlier run left: files, logs, state and trainings."""
    for pattern in ("[0-9][0-9][0-9]-*.json", "[0-9][0-9][0-9]-*.log", STATE, JUDGED):
        for path in folder.glob(pattern):
            path.unlink()
    for side in ("baseline", "candidate"):
        for path in folder.glob(f"[0-9][0-9][0-9]-{side}"):
            shutil.rmtree(path)


def _run_process(side: Side, arguments: tuple[str, ...], path: Path, *, tell: Callable[[str], None]) -> str | None:
    """Run one process to its end; a note if not all of it became numbers."""
    part, log = path.with_suffix(".part.json"), path.with_suffix(".log")
    part.unlink(missing_ok=True)
    command = [side.python, "-m", "pytest", *arguments, f"--benchmark-json={part}"]
    if has_trainings(arguments):
        command.append(f"--perf-run-dir={trainings_folder(path)}")
    process: subprocess.Popen[bytes] | None = None
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - the interpreter that the user names is to be run
                command,
                cwd=side.folder,
                env={**os.environ, **side.variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = process.wait(POLL_S)
                    break
                tell(_last_line(log))
        except BaseException as error:  # whatever it is, nothing may go on measuring unseen
            if process is not None:
                _stop(process)
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted from None
            if isinstance(error, OSError) and process is None:
                raise CampaignError(f"{side.python}: does not run: {error.strerror}") from None
            raise
    if status not in {0, 1}:
        raise CampaignError(
            f"{path.name}: the {side.name} ended with status {status}: {_complaint(log)}; all that it wrote: {log}"
        )
    try:
        found = read_result_file(part)
    except ResultFileError as error:
        raise CampaignError(f"{side.name}: no result: {error}; what it wrote: {log}") from None
    if not found.benchmarks:
        raise CampaignError(
            f"{side.name}: no benchmark produced a result: {_first_failure(found) or _complaint(log)}; "
            f"all that it wrote: {log}"
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


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let it end as after Ctrl-C, which it has already had if it came from the terminal."""
    with contextlib.suppress(KeyboardInterrupt):
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return
    process.kill()  # a second Ctrl-C
    process.wait()


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C: the process that runs must not be left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _last_line(log: Path) -> str:
    with contextlib.suppress(OSError):
        tail = log.read_bytes()[-2000:].decode("utf-8", "replace")
        lines = [line.strip() for line in re.split(r"[\r\n]+", tail) if line.strip()]
        if lines:
            return re.sub(r"\s+about .* left$", "", lines[-1])[:70]
    return "starting"


def _complaint(log: Path) -> str:
    """Return the line of a log that says what went wrong, as far as one does."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    marked = [line for line in lines if re.match(r"E  |ERROR|.*Error:|.*error:|.*outcomes\.Exit:", line)]
    return ((marked or lines or ["it said nothing"])[-1])[:200]


def _time_left(taken: dict[int, float], num_left: int) -> str:
    if not taken or not num_left:
        return ""
    return f"  about {duration_in_words(sum(taken.values()) / len(taken) * num_left)} left"

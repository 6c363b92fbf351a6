"""What to run after an A/B run: commands with its own files and settings, to be copied into a shell."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.statistics.significance import MIN_PROCESSES
from perfsuite.campaign.plan import DEFAULT_ARGUMENTS
from perfsuite.campaign.state import STATE, read_identity
from perfsuite.errors import CampaignError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.analysis.verdicts.compare import Comparison

SIDES = ("baseline", "candidate")

ENOUGH_PROCESSES = 5
"""A side, where there are too few for any verdict."""

_NAME = re.compile(r"[0-9]{3}-(?:baseline|candidate)\.json")


def more_processes_note(paths: Sequence[Path], comparison: Comparison) -> str | None:
    """Return the command that adds as many processes to an A/B run as open verdicts need; None where none would help.

    Args:
        paths: All files of the comparison.
        comparison: The verdicts on them.
    """
    folder = run_folder(paths)
    if folder is None:
        return None
    times = [one.time for one in comparison.benchmarks] + [one.time for one in comparison.trainings.verdicts]
    needed = [time.num_processes_needed for time in times if time.num_processes_needed is not None]
    sides = [len(comparison.sides.side(candidate=candidate)) for candidate in (False, True)]
    if comparison.typical is not None and min(sides) < MIN_PROCESSES:
        command = extending_command(folder, ENOUGH_PROCESSES)
        return None if command is None else f"for verdicts on time, {ENOUGH_PROCESSES} processes a side: {command}"
    command = extending_command(folder, max(needed)) if needed else None
    if command is None:
        return None
    of = "the one that needs" if len(needed) == 1 else f"the {len(needed):,} that need"
    return f"{max(needed)} processes a side are likely to settle {of} more; this keeps what is measured: {command}"


def run_folder(paths: Iterable[Path]) -> Path | None:
    """Return the folder of the A/B run that all these files are of; None where they are not of one."""
    found = list(paths)
    folders = {path.parent for path in found}
    if len(folders) != 1 or not all(_NAME.fullmatch(path.name) for path in found):
        return None
    (folder,) = folders
    return folder if os.path.isfile(folder / STATE) else None  # noqa: PTH113 - no error for a path that is too long


def extending_command(folder: Path, num_processes: int) -> str | None:
    """Return the command that runs more processes of an A/B run and keeps what is measured.

    Args:
        folder: Of the run.
        num_processes: A side, those that are measured included.

    Returns:
        The command, or None where the state of the run cannot be read.
    """
    try:
        identity = read_identity(folder)
    except CampaignError:
        return None
    sides = [identity.get(name) for name in SIDES]
    arguments = identity.get("arguments")
    if not (all(map(_is_side, sides)) and _are_texts(arguments)):
        return None
    words = ["perfsuite", "ab"]
    for name, side in zip(SIDES, sides, strict=True):
        words += _words_of_side(name, side)
    words += ["--run-dir", str(_from_here(folder)), "--processes", str(num_processes)]
    if tuple(arguments) != DEFAULT_ARGUMENTS:  # type: ignore[arg-type]
        words += ["--", *arguments]  # type: ignore[misc]
    return shlex.join(words)


def _words_of_side(name: str, side: Any) -> list[str]:
    words = [f"--{name}", side["python"]]
    if side["folder"] != str(Path.cwd()):
        words += [f"--dir-{name}", side["folder"]]
    for key, value in side["variables"].items():
        words += [f"--env-{name}", f"{key}={value}"]
    return words


def _is_side(side: object) -> bool:
    if not isinstance(side, dict):
        return False
    variables = side.get("variables")
    texts = [side.get("python"), side.get("folder")]
    return isinstance(variables, dict) and _are_texts([*texts, *variables, *variables.values()])


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def report_command(baseline: Sequence[Path], candidate: Sequence[Path], judging: Sequence[str]) -> str:
    """Return the command that makes a page of an A/B run.

    Args:
        baseline: Its files of that side.
        candidate: Those of the other.
        judging: Options that say what counts as a change.
    """
    return _joined("perfsuite report", _shell_words(candidate), "--baseline", _shell_words(baseline), judging) + (
        " -o report.html"
    )


def explain_command(baseline: Sequence[Path], candidate: Sequence[Path], judging: Sequence[str], name: str) -> str:
    """Return the command that shows the numbers behind the verdict on one benchmark of an A/B run; see above."""
    files = ("--baseline", _shell_words(baseline), "--candidate", _shell_words(candidate))
    return f"{_joined('perfsuite compare', *files, judging)} --explain {shlex.quote(name)}"


def _joined(*parts: str | Sequence[str]) -> str:
    return " ".join(part if isinstance(part, str) else shlex.join(part) for part in parts if part)


def _shell_words(paths: Sequence[Path]) -> str:
    """Return the files of one side as a pattern where a shell makes just these of it, else each."""
    folder, ending = paths[0].parent, paths[0].name.partition("-")[2]
    if set(folder.glob(f"*-{ending}")) == set(paths):
        return f"{shlex.quote(str(_from_here(folder)))}/*-{shlex.quote(ending)}"
    return shlex.join(str(_from_here(path)) for path in paths)


def _from_here(path: Path) -> Path:
    """Return a path as it is named from the current folder, where it lies in it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path

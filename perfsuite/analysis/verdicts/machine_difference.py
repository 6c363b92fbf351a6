"""Whether results are of one machine: verdicts are about code, and other silicon would be taken for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.verdicts.process_results import ProcessResult


def machines_differ(processes: Sequence[ProcessResult], *, ignore_host: bool = False) -> str | None:
    """Return why processes are not of one machine, and which option shows them; None if they are of one."""
    for name in ("GPU", "CPU") if ignore_host else ("GPU", "CPU", "host"):
        found = {process.machine.get(name, "unknown") for process in processes}
        if len(found) > 1:
            return _another(name, found)
    return _another_board(process.machine.get("board") for process in processes)


def training_machines_differ(trainings: Sequence[FullTraining], *, ignore_host: bool) -> str | None:
    """Return the same of full trainings, some of which may be replayed; what is unknown distinguishes nothing."""
    names = {"device": "device", "cpu": "CPU", **({} if ignore_host else {"host": "host"})}
    for column, name in names.items():
        found = {str(one.environment[column]) for one in trainings if one.environment[column] is not None}
        if len(found) > 1:
            return _another(name, found)
    return _another_board(one.environment["board"] for one in trainings)


def _another(name: str, found: Iterable[str]) -> str:
    return f"another {name}: {', '.join(sorted(found))}; --across gpu shows machines side by side, without verdicts"


def _another_board(boards: Iterable[str | None]) -> str | None:
    """Return why GPUs of one model are not the same board; a file of before boards were recorded is of any."""
    found = sorted({board for board in boards if board is not None})
    if len(found) < 2:  # noqa: PLR2004 - two boards
        return None
    return (
        f"another board of the same GPU: {', '.join(found)}; --across board shows boards side by side, without verdicts"
    )

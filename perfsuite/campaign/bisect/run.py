"""A whole bisection: the folder is held, what is missing is measured, and what is no longer needed is deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.campaign.bisect.folder import STATE, clear_checkouts, open_folder
from perfsuite.campaign.bisect.processes import Processes
from perfsuite.campaign.bisect.search import Search
from perfsuite.campaign.interruption import terminated_as_interrupted
from perfsuite.errors import CampaignError
from perfsuite.folder_lock import folder_held
from perfsuite.run_folder import check_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.campaign.bisect.question import Question
    from perfsuite.campaign.bisect.revisions import Revision
    from perfsuite.campaign.bisect.search import SearchOutcome, Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A bisection that finished.

    Attributes:
        question: What was asked.
        terms: When it decided.
        outcome: How it ended.
        good: One end.
        bad: The other.
        num_suspects: How many revisions there were to choose from at the beginning.
        num_processes: How many processes its decisions rest on.
        num_run: How many of them were run this time.
        duration_s: How long all of them ran, those of before an interruption included.
        folder: Of the run.
    """

    question: Question
    terms: Terms
    outcome: SearchOutcome
    good: Revision
    bad: Revision
    num_suspects: int
    num_processes: int
    num_run: int
    duration_s: float
    folder: Path


def run_bisection(
    question: Question, terms: Terms, folder: Path, *, restart: bool, say: Callable[[str, bool], None]
) -> Finished:
    """Search to the end.

    Args:
        question: What is bisected.
        terms: When it decides.
        folder: Where files, logs and state are kept.
        restart: Whether to start over.
        say: Called with a line, and whether it is final or may be overwritten.

    Raises:
        CampaignError: The folder contains another run, good or bad cannot be measured, or git failed.
        FolderInUseError: Another run is in the folder.
        Interrupted: Ctrl-C or SIGTERM.
    """
    shown, folder = folder, folder.absolute()  # the processes run elsewhere
    check_folder(folder, STATE, CampaignError)
    with folder_held(folder, CampaignError) as lock, terminated_as_interrupted():
        run = open_folder(folder, question.identity, restart=restart)
        if run.processes:
            say(f"{len(run.processes)} processes are measured already, and read from {shown}", True)
        suspects = question.make_suspects(folder)
        num_suspects = suspects.num_left()
        processes = Processes(
            run=run,
            places=question.make_places(folder),
            arguments=question.measuring.arguments,
            benchmark=question.measuring.benchmark,
            metric=question.measuring.metric,
            lock=lock,
            say=say,
        )
        outcome = Search(suspects, processes.measure, terms, lambda text: say(text, True)).run()
        clear_checkouts(folder)
    return Finished(
        question=question,
        terms=terms,
        outcome=outcome,
        good=suspects.good,
        bad=suspects.bad,
        num_suspects=num_suspects,
        num_processes=len(run.processes),
        num_run=processes.num_run,
        duration_s=processes.duration_s(),
        folder=shown,
    )

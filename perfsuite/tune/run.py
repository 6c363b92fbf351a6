"""A whole study: the search, then what was chosen is trained again and tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.errors import DataError
from perfsuite.folder_lock import folder_held
from perfsuite.records.study import chosen_trial
from perfsuite.run_folder import check_folder
from perfsuite.study_files import RECORD
from perfsuite.tune.retrain import retrain_all
from perfsuite.tune.search import StudySearch
from perfsuite.tune.workers import workers_started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.records.retraining import Retraining
    from perfsuite.records.study import Study
    from perfsuite.tune.plan import StudyPlan


def run_study(plan: StudyPlan, folder: Path, say: Callable[[str, bool], None]) -> tuple[Study, Retraining | None]:
    """Run what is missing of a study.

    Args:
        plan: What.
        folder: Where all of it is kept.
        say: Called with a line, and whether it is final or may be overwritten.

    Returns:
        The search with its trials, and what was retrained; None with no seeds for it, or with nothing chosen.

    Raises:
        DataError: The folder holds another study, or cannot be used.
        FolderInUseError: Another command works in it.
    """
    folder = folder.absolute()
    check_folder(folder, RECORD, DataError, option="--study")
    with folder_held(folder, DataError):
        search = StudySearch(plan, folder, say)
        with workers_started(plan.num_workers, search.report) as workers:
            study = search.run(workers)
            is_chosen = any(chosen_trial(study, name) is not None for name in study.precisions)
            if not (plan.seeds and is_chosen):
                return study, None
            return study, retrain_all(study, plan, folder, workers, say)

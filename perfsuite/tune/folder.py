"""The folder of a study: its record, what was retrained, and whether it is still the same study."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import DataError, RecordError, ResultFileError
from perfsuite.run_folder import difference
from perfsuite.study_files import RECORD, RETRAINING, read_study_file
from perfsuite.tune.storage import JOURNAL

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.records.retraining import Retraining
    from perfsuite.records.study import Study, StudyTrial

TRAININGS = "trainings"
"""The folder of what is retrained: a folder for each training, with its checkpoints."""


def claim(folder: Path, study: Study) -> Study:
    """Return the search of a folder as it was begun, with its trials, or begin it.

    Args:
        folder: It must be locked.
        study: As it would be begun now.

    Raises:
        DataError: The folder holds another study, or a damaged one.
    """
    try:
        before = read_study_file(folder / RECORD)
    except FileNotFoundError:
        write_study(folder, study)
        return study
    except ResultFileError as error:
        raise DataError(f"{error}; name another folder with --study") from None
    differing = difference(_identity(before), _identity(study))
    if differing is not None:
        raise DataError(f"{folder}: contains another study: {differing}; name another folder with --study")
    return before


def _identity(study: Study) -> dict[str, Any]:
    """Return what must be the same for a study to be resumed; its trials need not."""
    identity = study.to_json()
    for name in ("trials", "num_threads"):
        del identity[name]
    del identity["recipe"]["source"]
    return identity


def write_study(folder: Path, study: Study) -> None:
    """Write the record in one step; the same study is the same bytes.

    Raises:
        DataError: The disk is full.
    """
    _write(folder / RECORD, study.to_json())


def write_retraining(folder: Path, retraining: Retraining) -> None:
    """Write what was retrained in one step.

    Raises:
        DataError: The disk is full.
    """
    _write(folder / RETRAINING, retraining.to_json())


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        write_atomically(path, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def check_beginning(before: Study, trials: tuple[StudyTrial, ...], folder: Path) -> None:
    """Check that the journal has all trials of the record, as they were.

    Raises:
        DataError: One is missing, or another.
    """
    found = {trial.number: trial for trial in trials}
    for trial in before.trials:
        if found.get(trial.number) != trial:
            raise DataError(
                f"{folder}: trial {trial.number} of {RECORD} is not in {JOURNAL} as it was; one of them is damaged; "
                "name another folder with --study"
            )


def with_trials(study: Study, trials: tuple[StudyTrial, ...]) -> Study:
    """Return a study with these trials.

    Raises:
        DataError: They do not fit it.
    """
    try:
        return dataclasses.replace(study, trials=tuple(sorted(trials, key=lambda trial: trial.number)))
    except RecordError as error:
        raise DataError(str(error)) from None

"""The folder of a study: its record, what was retrained, and whether it is still the same study."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import DataError, RecordError, ResultFileError
from perfsuite.folder_lock import NAME as LOCK
from perfsuite.folder_lock import is_lock
from perfsuite.study_files import RECORD, RETRAINING, read_study_file
from perfsuite.tune.storage import JOURNAL

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.records.retraining import Retraining
    from perfsuite.records.study import Study, StudyTrial

TRAININGS = "trainings"
"""The folder of what is retrained: a folder for each training, with its checkpoints."""


def check_folder(folder: Path) -> None:
    """Check that the folder is new, empty or a study's, before anything is written to it.

    Raises:
        DataError: It belongs to the user.
    """
    try:
        names = {path.name for path in folder.iterdir() if not path.name.startswith(f".{RECORD}")}
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: cannot be used: {getattr(error, 'strerror', None) or error}") from None
    if LOCK in names and not is_lock(folder / LOCK):
        raise DataError(
            f"{folder}: contains a file {LOCK} that perfsuite did not write; name another folder with --study"
        )
    if RECORD not in names and names - {LOCK}:
        raise DataError(
            f"{folder}: contains files ({min(names - {LOCK})[:60]}), but no {RECORD}; name another folder with --study"
        )


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
    differing = difference(before, study)
    if differing is not None:
        raise DataError(f"{folder}: contains another study: {differing}; name another folder with --study")
    return before


def difference(before: Study, now: Study) -> str | None:
    """Return in words what distinguishes two studies, or None; their trials do not."""
    old, new = (_plain(study) for study in (before, now))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            return f"{name} was {_words(old.get(name))} and is {_words(new.get(name))}"
    return None


def _plain(study: Study) -> dict[str, Any]:
    """Return the fields of a study in one level: `recipe.epochs`."""
    found: dict[str, Any] = {}
    for name, value in study.to_json().items():
        if name in {"trials", "num_threads"}:
            continue
        if isinstance(value, dict):
            found |= {f"{name}.{key}": part for key, part in value.items() if (name, key) != ("recipe", "source")}
        else:
            found[name] = value
    return found


def _words(value: object) -> str:
    return json.dumps(value)[:100]


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

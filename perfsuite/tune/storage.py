"""The trials of a study in Optuna's own storage: a journal, appended to by one process, read by Optuna's tools too.

Of Optuna's storages that keep a file, the journal is the one whose damage can be seen and repaired: a line per step, of
JSON, so that nothing is unpickled, and a process that was killed leaves at most half of the last one. SQLite survives
too, and takes SQLAlchemy. Optuna's own lock of the file would stay when its owner is killed, and be waited for; here
the lock of the folder, which the operating system ends, lets one process write. Measured: see README.md.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any, cast

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from perfsuite.atomic_write import open_ordinary
from perfsuite.errors import DataError, RecordError
from perfsuite.formatting import first_line
from perfsuite.records.strict_json import read_dataclass, to_strict_json
from perfsuite.records.study import StudyTrial, check_trial
from perfsuite.tune.proposals import finished_trial, quiet, value_of
from perfsuite.tune.space import optuna_name, optuna_params

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.records.study import Setting, Study
    from perfsuite.tune.space import Space

JOURNAL = "optuna.journal"

STUDY_NAME = "perfsuite"

MAX_JOURNAL_BYTES = 256 * 1024**2
"""Of 10,000 trials of 60 epochs under two precisions: 100 MB."""

TRIAL = "trial"
"""The user attribute of a trial that keeps all of it, checked when it is read."""


class _HeldFolder:
    """The lock of the journal: the folder's, which is held already; of the form that Optuna calls."""

    def acquire(self) -> bool:
        """Return that it is held."""
        return True

    def release(self) -> None:
        """Leave it held until the command ends."""


class Store:
    """The journal of a study; the folder must be locked while it is used."""

    def __init__(self, folder: Path, study: Study, space: Space) -> None:
        """Open the journal, or begin one.

        Raises:
            DataError: It is damaged, or cannot be read or written.
        """
        self._path, self._plan, self._space = folder / JOURNAL, study, space
        _cut_half_line(self._path)
        try:
            with quiet():
                backend = JournalFileBackend(str(self._path), lock_obj=cast("Any", _HeldFolder()))
                self._study = optuna.create_study(
                    storage=optuna.storages.JournalStorage(backend), study_name=STUDY_NAME, load_if_exists=True
                )
        except OSError as error:
            raise DataError(f"{self._path}: cannot be used: {error.strerror}") from None
        except Exception as error:  # noqa: BLE001 - Optuna raises whatever a wrong line leads to
            raise self._damaged(first_line(error)) from None

    def _damaged(self, reason: str) -> DataError:
        return DataError(f"{self._path}: damaged: {reason:.200}; name another folder with --study")

    def finished(self) -> list[StudyTrial]:
        """Return the finished trials, by number.

        Raises:
            DataError: One is not a trial of this study.
        """
        found = []
        for number, trial in enumerate(self._trials()):
            if trial.state in {TrialState.RUNNING, TrialState.WAITING}:
                continue
            try:
                record = read_dataclass(StudyTrial, trial.user_attrs.get(TRIAL), f"trial {number}")
                check_trial(record, self._plan)
            except RecordError as error:
                raise self._damaged(str(error)) from None
            if record.number != number or trial.params != optuna_params(self._space, record.setting):
                raise self._damaged(f"trial {number} is not what its line says")
            found.append(record)
        return found

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def durations_s(self) -> list[float]:
        """Return how long each finished trial took."""
        spans = [trial.duration for trial in self._trials() if trial.state != TrialState.RUNNING]
        return [span.total_seconds() for span in spans if span is not None]

    def begin(self, number: int, setting: Setting) -> None:
        """Note that a trial begins, or begins again where the process that ran it was killed.

        Raises:
            DataError: It was begun with another setting, or the disk is full.
        """
        params = optuna_params(self._space, setting)
        trials = self._trials()
        if number < len(trials):
            if trials[number].params != params:
                raise self._damaged(f"trial {number} was begun with another setting")
            return
        distributions = {optuna_name(dimension): dimension.distribution for dimension in self._space}
        state = TrialState.RUNNING
        self._write(
            lambda: self._study.add_trial(
                optuna.trial.create_trial(state=state, params=params, distributions=distributions)
            )
        )

    def end(self, trial: StudyTrial) -> None:
        """Keep a finished trial.

        Raises:
            DataError: The disk is full.
        """
        whole = finished_trial(self._plan, self._space, trial)

        def write() -> None:
            running = Trial(self._study, self._trials()[trial.number]._trial_id)  # noqa: SLF001 - Optuna's own way
            running.set_user_attr(TRIAL, _plain(trial))
            for epoch, error in whole.intermediate_values.items():
                running.report(error, epoch)
            value = None if whole.state == TrialState.PRUNED else value_of(self._plan, trial)
            self._study.tell(trial.number, value, state=whole.state)

        self._write(write)

    def _write(self, write: Any) -> None:
        try:
            with quiet():
                write()
        except OSError as error:
            raise DataError(f"{self._path}: cannot be written: {error.strerror}") from None


def _plain(trial: StudyTrial) -> dict[str, Any]:
    return to_strict_json(dataclasses.asdict(trial))


def _cut_half_line(path: Path) -> None:
    """Remove the end of a line that a process was killed in the middle of.

    Raises:
        DataError: The file is no ordinary one, or larger than any journal.
    """
    try:
        with open_ordinary(path) as stream:
            content = stream.read(MAX_JOURNAL_BYTES + 1)
        if len(content) > MAX_JOURNAL_BYTES:
            raise DataError(f"{path}: more than {MAX_JOURNAL_BYTES:,} bytes, which no study has")
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path}: cannot be used: {error.strerror}") from None

"""The files of a study of hyperparameters, which may have been written by anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.errors import RecordError, ResultFileError
from perfsuite.records.retraining import Retraining, read_retraining
from perfsuite.records.study import Study, read_study
from perfsuite.small_files import read_json

if TYPE_CHECKING:
    from pathlib import Path

RECORD = "study.json"
RETRAINING = "retraining.json"

MAX_BYTES = 256 * 1024**2
"""A study of 20 trials of 5 epochs takes 20 KB, a thousand trainings of 10,000 test images 20 MB."""


def read_study_file(path: Path) -> Study:
    """Read a study.

    Raises:
        FileNotFoundError: There is none.
        ResultFileError: It is damaged.
    """
    try:
        return read_study(read_json(path, max_bytes=MAX_BYTES))
    except RecordError as error:
        raise ResultFileError(f"{path}: damaged: {error}") from None


def read_retraining_file(path: Path) -> Retraining | None:
    """Read what was retrained; None where there is no such file.

    Raises:
        ResultFileError: It is damaged.
    """
    try:
        return read_retraining(read_json(path, max_bytes=MAX_BYTES))
    except FileNotFoundError:
        return None
    except RecordError as error:
        raise ResultFileError(f"{path}: damaged: {error}") from None

"""Where something was measured, as columns: of a file's environment, or of the environment that a training had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.load.machine_info import versions_of
from perfsuite.analysis.load.result_file import commit_in_words, commit_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.records.environment import Environment
    from perfsuite.records.training import TrainingRecord

ENVIRONMENT_COLUMNS = (
    "device",
    "torch",
    "torchvision",
    "cuda",
    "cudnn",
    "driver",
    "power_limit_watts",
    "python",
    "cpu",
    "host",
    "board",
    "num_threads",
    "perfsuite",
    "commit",
)
"""What may distinguish two files, the most telling first."""


def file_environment(file: ResultFile, machine: dict[str, str]) -> dict[str, Any]:
    """Return the values of `ENVIRONMENT_COLUMNS` in which a file was written."""
    if file.environment is not None:
        return _values(file.environment, host=machine.get("host"))
    python = file.machine.get("python_version")
    return {
        **dict.fromkeys(ENVIRONMENT_COLUMNS),
        "device": machine.get("GPU"),
        "cpu": machine.get("CPU"),
        "host": machine.get("host"),
        **{name.lower(): version for name, version in versions_of(file).items()},
        "python": python if isinstance(python, str) else None,
        "commit": commit_of(file),
    }


def training_environment(record: TrainingRecord, of_file: dict[str, Any]) -> dict[str, Any]:
    """Return the values of `ENVIRONMENT_COLUMNS` in which a training was done; all None where that is unknown.

    The environment of the file is that of the training only where one process did the whole of it and wrote the file.

    Args:
        record: The training.
        of_file: The environment of the file that holds it.
    """
    if record.environment is not None:
        return _values(record.environment, host=None if record.replayed else of_file["host"])
    return dict.fromkeys(ENVIRONMENT_COLUMNS) if is_environment_unknown(record) else of_file


def is_environment_unknown(record: TrainingRecord) -> bool:
    """Whether a record of before schema 4 may have been trained in another environment than its file says."""
    return record.environment is None and (record.replayed or record.num_resumes > 0)


def unknown_environments_in_words(label: str, names: Iterable[str]) -> list[str]:
    """Return the note on trainings of a file whose environment is unknown, if there are any."""
    listed = list(names)
    if not listed:
        return []
    reason = "replayed or resumed by an older perfsuite, which did not record where they were trained"
    return [f"{label}: unknown training environment of {', '.join(listed)}: {reason}"]


def _values(environment: Environment, *, host: str | None) -> dict[str, Any]:
    known = {name: getattr(environment, name) for name in ENVIRONMENT_COLUMNS if name not in {"host", "commit"}}
    values = {**known, "host": host, "commit": commit_in_words(environment)}
    return {name: values[name] for name in ENVIRONMENT_COLUMNS}

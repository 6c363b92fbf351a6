"""What a reader of a comparison should know of its files, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.load.environment_columns import is_environment_unknown, unknown_environments_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.verdicts.process_results import ProcessResult

_SEVERAL = {
    "commit": "commits",
    "torch": "versions of torch",
    "torchvision": "versions of torchvision",
    "CUDA": "versions of CUDA",
    "cuDNN": "versions of cuDNN",
    "driver": "drivers",
    "NCCL": "versions of NCCL",
}


def about_file(process: ProcessResult) -> list[str]:
    """Return what a reader should know of a file."""
    unknown = [one.fullname for one in process.trainings if is_environment_unknown(one.record)]
    notes = unknown_environments_in_words(str(process.path), unknown)
    if not process.keys and not process.num_pairs and not process.trainings and not process.studies:
        notes.append(f"{process.path}: contains no results")
    if not process.complete:
        notes.append(f"{process.path}: the run was cut short; these are the benchmarks that were finished")
    return notes


def mixed_versions(name: str, side: Sequence[ProcessResult]) -> list[str]:
    """Return a note for everything in which the files of one side differ: a verdict is about all of them together."""
    notes = []
    for key, what in _SEVERAL.items():
        values = {process.commit if key == "commit" else process.versions.get(key) for process in side}
        known = sorted(value for value in values if value is not None)
        if len(known) > 1:
            notes.append(f"files of several {what} are taken together as the {name}: {', '.join(known)}")
    return notes


def not_compared(processes: Sequence[ProcessResult]) -> list[str]:
    """Return what of the files is not compared, or not with everything."""
    notes = []
    num_quick = sum(record.quick for process in processes for record in process.records.values())
    if num_quick:
        notes.append(f"measured with --perf-quick, and compared only with other quick results: {num_quick} results")
    num_pairs = sum(process.num_pairs for process in processes)
    if num_pairs:
        notes.append(
            f"interleaved pairs (-m interleaved, -m overhead) are not compared, they are ratios already: {num_pairs}"
        )
    return notes

"""Result files -> all that a page or a figure shows: results, verdicts, environments side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.figures.figure_data import FigureData
from perfsuite.analysis.frames.environment_names import choose_by_part
from perfsuite.analysis.frames.environments import (
    AXES,
    compare_environments,
    files_by_environment,
)
from perfsuite.analysis.frames.noise_floor import with_known_noise
from perfsuite.analysis.frames.results import results_of
from perfsuite.analysis.frames.scaling_steps import with_scaling_steps
from perfsuite.analysis.load.result_file import read_result_files
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.machine_difference import machines_differ
from perfsuite.analysis.verdicts.process_results import reduce_process
from perfsuite.analysis.verdicts.samples import join_sides
from perfsuite.errors import InvalidChoiceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfsuite.analysis.frames.environments import Across
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.analysis.verdicts.compare import Comparison


def gather(paths: Sequence[Path], baseline: Sequence[Path] = ()) -> FigureData:
    """Read files, each once, and judge what can be judged; see `figure_data_of`.

    Raises:
        ResultFileError: A file cannot be used.
    """
    files, old = read_result_files(paths), read_result_files(baseline)
    if not old:
        return figure_data_of(files)
    comparison = compare(join_sides(list(map(reduce_process, old)), list(map(reduce_process, files))))
    return figure_data_of(files, old, comparison)


def figure_data_of(
    files: Sequence[ResultFile],
    baseline: Sequence[ResultFile] = (),
    comparison: Comparison | None = None,
    *,
    against: str | None = None,
) -> FigureData:
    """Return all that a page or a figure shows.

    Args:
        files: Results to be shown; the candidate where there is a baseline.
        baseline: Results to compare them with.
        comparison: The verdicts on them; None without a baseline.
        against: Names the environment that the others are compared with, where there are several; None: the first.

    Raises:
        InvalidChoiceError: `against` names none of several environments, or there is a baseline as well.
    """
    results = with_known_noise(results_of(files))
    if comparison is None:
        return FigureData(results=results, across=_side_by_side(files, results, against))
    if against is not None:
        raise InvalidChoiceError("--against: with --baseline, its environment is what the others are compared with")
    old = results_of(baseline)
    together, of_baseline = with_scaling_steps(results_of([*baseline, *files])), with_scaling_steps(old)
    found = None
    if machines_differ(comparison.sides.processes) is not None or _several(together, "torch"):
        axes = _axes(together)
        one_environment = len(files_by_environment(of_baseline, axes)) == 1
        if axes and one_environment and not with_scaling_steps(results).benchmarks.empty:
            found = compare_environments(baseline, files, axes)
    return FigureData(results=results, baseline=old, comparison=comparison, across=found)


def _side_by_side(files: Sequence[ResultFile], results: Results, against: str | None) -> Across | None:
    """Compare the environments of the files with one of them.

    Raises:
        InvalidChoiceError: `against` names none of them, or there is only one.
    """
    results = with_scaling_steps(results)
    axes = _axes(results)
    environments = files_by_environment(results, axes) if axes else {}
    if len(environments) < 2:  # noqa: PLR2004 - nothing to compare
        if against is not None:
            raise InvalidChoiceError("--against: these files are of one environment; there is nothing to compare")
        return None
    chosen = next(iter(environments))
    if against is not None:
        chosen = choose_by_part("--against", against, dict.fromkeys(environments, ()))
    by_label = {file.path.name: file for file in files} | {str(file.path): file for file in files}
    own: list[ResultFile] = []
    others: list[ResultFile] = []
    for name, labels in environments.items():
        found = [by_label[label] for label in labels if label in by_label]
        if name == chosen:
            own += found
        else:
            others += found
    return compare_environments(own, others, axes) if own and others else None


def _several(results: Results, column: str) -> bool:
    return not results.benchmarks.empty and results.benchmarks[column].nunique() > 1


def _axes(results: Results) -> list[str]:
    axes = [name for name, columns in AXES.items() if _several(results, columns[0])]
    return [name for name in axes if name != "board" or "gpu" not in axes]  # another GPU is another board

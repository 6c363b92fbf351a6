"""Result files -> all that a page or a figure shows: results, verdicts, environments side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.figures.figure_data import FigureData
from perfsuite.analysis.frames.environments import AXES, compare_environments
from perfsuite.analysis.frames.noise_floor import with_known_noise
from perfsuite.analysis.frames.results import results_of
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.load.result_file import read_result_files
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.machine_difference import machines_differ
from perfsuite.analysis.verdicts.process_results import reduce_process
from perfsuite.analysis.verdicts.samples import join_sides

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
    comparison = compare(join_sides(*([reduce_process(file) for file in side] for side in (old, files))))
    return figure_data_of(files, old, comparison)


def figure_data_of(
    files: Sequence[ResultFile], baseline: Sequence[ResultFile] = (), comparison: Comparison | None = None
) -> FigureData:
    """Return all that a page or a figure shows.

    Args:
        files: Results to be shown; the candidate where there is a baseline.
        baseline: Results to compare them with.
        comparison: The verdicts on them; None without a baseline.
    """
    results = with_known_noise(results_of(files))
    if comparison is None:
        return FigureData(results=results, across=_side_by_side(files, results))
    together = results_of([*baseline, *files])
    found = None
    if machines_differ(comparison.sides.processes) is not None or _several(together, "torch"):
        axes = _axes(together)
        one_environment = len(_environments(results_of(baseline), axes)) == 1
        if axes and one_environment and not results.benchmarks.empty:
            found = compare_environments(baseline, files, axes)
    return FigureData(results=results, comparison=comparison, across=found)


def _side_by_side(files: Sequence[ResultFile], results: Results) -> Across | None:
    """Compare the environments of the files with that of the first of them."""
    axes = _axes(results)
    if not axes:
        return None
    environments = _environments(results, axes)
    first = next(iter(environments.values()))
    names = {file.path.name: file for file in files} | {str(file.path): file for file in files}
    own = [names[label] for label in first if label in names]
    others = [names[label] for labels in list(environments.values())[1:] for label in labels if label in names]
    return compare_environments(own, others, axes) if own and others else None


def _several(results: Results, column: str) -> bool:
    return not results.benchmarks.empty and results.benchmarks[column].nunique() > 1


def _axes(results: Results) -> list[str]:
    axes = [name for name, columns in AXES.items() if _several(results, columns[0])]
    return [name for name in axes if name != "board" or "gpu" not in axes]  # another GPU is another board


def _environments(results: Results, axes: Sequence[str]) -> dict[tuple[str, ...], list[str]]:
    """Return the labels of files by the values of their environment along those axes."""
    found: dict[tuple[str, ...], list[str]] = {}
    columns = [AXES[axis][0] for axis in axes]
    frame = results.benchmarks
    if frame.empty:
        return found
    for row in rows_of(frame[["file", *columns]].drop_duplicates("file")):
        found.setdefault(tuple(str(row[column]) for column in columns), []).append(str(row["file"]))
    return found

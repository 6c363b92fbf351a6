"""Result files -> all that a page or a figure shows: results, verdicts, environments side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.figures.figure_data import FigureData
from perfsuite.analysis.frames.environments import AXES, across
from perfsuite.analysis.frames.noise_floor import collect_with_noise_floor
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.verdicts.compare import compare
from perfsuite.analysis.verdicts.machine_difference import machines_differ
from perfsuite.analysis.verdicts.samples import join_sides, read_process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfsuite.analysis.frames.environments import Across
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.verdicts.compare import Comparison


def gather(files: Sequence[Path], baseline: Sequence[Path] = (), *, comparison: Comparison | None = None) -> FigureData:
    """Read files and judge what can be judged.

    Args:
        files: Results to be shown; the candidate where there is a baseline.
        baseline: Results to compare them with.
        comparison: The verdicts on them, if they were judged already.

    Raises:
        ResultFileError: A file cannot be used.
    """
    results = collect_with_noise_floor(files)
    if not baseline:
        return FigureData(results=results, across=_side_by_side(files, results))
    if comparison is None:
        comparison = compare(join_sides(*([read_process(path) for path in side] for side in (baseline, files))))
    found = None
    if machines_differ(comparison.sides.processes) is not None or _several(collect([*baseline, *files]), "torch"):
        axes = _axes(collect([*baseline, *files]))
        one_environment = len(_environments(collect(baseline), axes)) == 1
        found = across(baseline, files, axes) if axes and one_environment and not results.benchmarks.empty else None
    return FigureData(results=results, comparison=comparison, across=found)


def _side_by_side(files: Sequence[Path], results: Results) -> Across | None:
    """Compare the environments of the files with that of the first of them."""
    axes = _axes(results)
    if not axes:
        return None
    environments = _environments(results, axes)
    first = next(iter(environments.values()))
    names = {path.name: path for path in files} | {str(path): path for path in files}
    own = [names[label] for label in first if label in names]
    others = [names[label] for labels in list(environments.values())[1:] for label in labels if label in names]
    return across(own, others, axes) if own and others else None


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

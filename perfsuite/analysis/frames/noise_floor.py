"""What is known of the noise of a machine, added to its results."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.load.noise_file import NoiseFloor, default_noise_path, read_noise_floors
from perfsuite.errors import PerfsuiteError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

    from perfsuite.analysis.frames.results import Results


def known_noise_floors() -> tuple[dict[str, NoiseFloor], tuple[str, ...]]:
    """Return what is known of noise floors; a file that cannot be used is a note, for tables do without it."""
    try:
        return read_noise_floors(default_noise_path()), ()
    except PerfsuiteError as error:
        return {}, (f"noise floor not known: {error}",)


def collect_with_noise_floor(paths: Iterable[Path]) -> Results:
    """Read result files, and add what is known of the noise of their machines to their benchmarks.

    Raises:
        ResultFileError: A file cannot be used.
    """
    return with_known_noise(collect(paths))


def with_known_noise(results: Results) -> Results:
    """Return results with what is known of the noise of their machines."""
    floors, notes = known_noise_floors()
    return dataclasses.replace(
        results,
        benchmarks=results.benchmarks if not results.has_records else with_noise_floor(results.benchmarks, floors),
        notes=(*results.notes, *notes),
    )


def with_noise_floor(benchmarks: pd.DataFrame, floors: dict[str, NoiseFloor]) -> pd.DataFrame:
    """Return the benchmarks with what is known of the noise of their machines; as they are where nothing is.

    Args:
        benchmarks: As `collect` returns them, of files that are all perfsuite's.
        floors: By machine. Those of another torch are left out.

    Returns:
        More columns: `detectable_slowdown_ratio`, `process_sd_log` and `process_sd_num_dof` (scatter from process to
        process), `noise_measured` and `noise_num_processes` (when, and from how many processes a side).
    """
    if benchmarks.empty or not floors or not {"machine", "label", "torch"} <= set(benchmarks):
        return benchmarks
    rows = [_known_noise(row, floors) for row in rows_of(benchmarks[["machine", "label", "torch"]])]
    if not any(rows):
        return benchmarks
    found = benchmarks.copy()
    for name in _NOISE_COLUMNS:
        found[name] = [row.get(name) for row in rows]
    return found


_NOISE_COLUMNS = (
    "detectable_slowdown_ratio",
    "process_sd_log",
    "process_sd_num_dof",
    "noise_measured",
    "noise_num_processes",
)


def _known_noise(row: dict[Any, Any], floors: dict[str, NoiseFloor]) -> dict[str, Any]:
    floor, label = floors.get(str(row["machine"])), str(row["label"])
    if floor is None or floor.versions.get("torch") not in {None, row["torch"]}:
        return {}
    scatter = floor.process_scatter.get(label)
    if scatter is None and label not in floor.detectable_slowdown_ratio:
        return {}
    return {
        "detectable_slowdown_ratio": floor.detectable_slowdown_ratio.get(label),
        "process_sd_log": None if scatter is None else scatter.sd_log,
        "process_sd_num_dof": None if scatter is None else scatter.num_dof,
        "noise_measured": floor.measured,
        "noise_num_processes": floor.num_processes,
    }


def noise_notes(benchmarks: pd.DataFrame) -> list[str]:
    """Return what the detectable slowdowns of a table are, or how to measure them."""
    if "noise_measured" not in benchmarks:
        return ["detectable slowdown on this machine: not known; `perfsuite noise` measures it"]
    found = benchmarks[["noise_measured", "noise_num_processes"]].dropna().drop_duplicates()
    return [
        f"detectable: the smallest slowdown that {int(number)} processes a side detect here (A/A of {measured})"
        for measured, number in sorted(found.itertuples(index=False))
    ]

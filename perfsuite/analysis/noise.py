"""The noise floor: what an A/A run (the same code against itself) shows on a machine, saved there for later tables."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.collect import collect
from perfsuite.analysis.frames import rows_of
from perfsuite.analysis.machine_info import machine_key
from perfsuite.analysis.noise_file import NoiseFloor, default_noise_path, read_noise_floors
from perfsuite.analysis.statistics.intervals import Scatter
from perfsuite.analysis.tables import Column, Table, metric_column, text_column
from perfsuite.errors import PerfsuiteError, ResultFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pandas as pd

    from perfsuite.analysis.collect import Results
    from perfsuite.analysis.compare import Comparison
    from perfsuite.analysis.sides import Sides
    from perfsuite.records import Workload


def known_noise_floors() -> tuple[dict[str, NoiseFloor], tuple[str, ...]]:
    """Return what is known of noise floors; a file that cannot be used is a note, for tables do without it."""
    try:
        return read_noise_floors(default_noise_path()), ()
    except PerfsuiteError as error:
        return {}, (f"noise floor not known: {error}",)


def noise_floor(comparison: Comparison) -> NoiseFloor:
    """Return the noise floor that an A/A comparison shows.

    Raises:
        ResultFileError: Too few processes, several machines, or no benchmarks.
    """
    machines = sorted({machine_key(process.machine) for process in comparison.sides.processes})
    if not comparison.benchmarks:
        raise ResultFileError("these files hold no benchmarks; full trainings have no noise floor: run -m step")
    if len(machines) != 1:
        raise ResultFileError(f"a noise floor is that of one machine; these files are of {len(machines)}")
    known = {
        _name(benchmark.fullname, benchmark.workload): benchmark.time.mde95
        for benchmark in comparison.benchmarks
        if benchmark.time.mde95 is not None and math.isfinite(benchmark.time.mde95)
    }
    if not known:
        raise ResultFileError("too few processes for a noise floor: three a side at least, five or more are better")
    sides = comparison.sides
    return NoiseFloor(
        machine=machines[0],
        measured=dt.datetime.now(dt.UTC).date().isoformat(),
        num_processes=min(len(sides.side(candidate=False)), len(sides.side(candidate=True))),
        versions=sides.processes[0].versions,
        detectable_slowdown_ratio=known,
        process_scatter=_process_scatter(sides),
    )


def _process_scatter(sides: Sides) -> dict[str, Scatter]:
    """Return the standard deviation between the processes of a side, pooled over both sides, of each benchmark."""
    from perfsuite.analysis.statistics.effect import TYPICAL  # brings scipy, which tables of results do without

    found = {}
    for row, logs in enumerate(sides.logs[TYPICAL]):
        known = np.isfinite(logs)
        groups = [logs[known & (sides.is_candidate == candidate)] for candidate in (False, True)]
        num_dof = sum(max(len(group) - 1, 0) for group in groups)
        squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups if len(group))
        if num_dof and squares > 0:  # processes that all took exactly as long say nothing
            name = _name(sides.fullnames[row], sides.workloads[row])
            found[name] = Scatter(sd_log=math.sqrt(squares / num_dof), num_dof=num_dof)
    return found


def _name(fullname: str, workload: Workload | None) -> str:
    return fullname if workload is None else workload.label


def collect_with_noise_floor(paths: Iterable[Path]) -> Results:
    """Read result files, and add what is known of the noise of their machines to their benchmarks.

    Raises:
        ResultFileError: A file cannot be used.
    """
    results = collect(paths)
    floors, notes = known_noise_floors()
    return dataclasses.replace(
        results,
        benchmarks=results.benchmarks if not results.ours else with_noise_floor(results.benchmarks, floors),
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


def in_words(comparison: Comparison, floors: dict[str, NoiseFloor]) -> str | None:
    """Return what is known of the noise of a comparison's machine, as a note, or None."""
    machines = {machine_key(process.machine) for process in comparison.sides.processes}
    found = [floors[machine] for machine in machines if machine in floors]
    if len(machines) != 1 or not found:
        return None
    labels = {_name(one.fullname, one.workload) for one in comparison.benchmarks}
    ratios = sorted(ratio for name, ratio in found[0].detectable_slowdown_ratio.items() if name in labels)
    if not ratios:
        return None
    return (
        f"noise floor of this machine (A/A of {found[0].measured}, {found[0].num_processes} processes a side): "
        f"slowdowns of {ratios[0]:.1%} to {ratios[-1]:.1%} are detectable, by benchmark"
    )


def noise_table(floor: NoiseFloor, *, false_alarms: Sequence[str], notes: Sequence[str] = ()) -> Table:
    """Return a noise floor as a table."""
    rows = [
        {
            "benchmark": name,
            "detectable_slowdown_ratio": ratio,
            "process_sd_log": None if (scatter := floor.process_scatter.get(name)) is None else scatter.sd_log,
        }
        for name, ratio in sorted(floor.detectable_slowdown_ratio.items())
    ]
    alarms = (
        f"{len(false_alarms)} false alarms, the code being the same: {', '.join(false_alarms)[:300]}"
        if false_alarms
        else "no false alarm"
    )
    return Table(
        title=f"Noise floor, {floor.num_processes} processes a side: {floor.machine}",
        frame=rows,
        columns=(
            text_column("benchmark", foldable=True),
            metric_column("detectable_slowdown_ratio"),
            Column(heading="process sd %", show=_process_sd, numeric=True),
        ),
        notes=(
            "detectable: the smallest slowdown that would have been detected 95 times of 100",
            "process sd: how much the time differs from process to process; intervals of single runs contain it",
            alarms,
            *notes,
        ),
    )


def _process_sd(row: dict[str, Any]) -> str:
    return "-" if row["process_sd_log"] is None else f"{100 * row['process_sd_log']:.2f}"

"""The noise floor: what an A/A run (the same code against itself) shows on a machine, saved there for later tables."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.load.machine_info import machine_key
from perfsuite.analysis.load.noise_file import NoiseFloor
from perfsuite.analysis.statistics.intervals import Scatter
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from perfsuite.analysis.verdicts.compare import Comparison
    from perfsuite.analysis.verdicts.samples import Sides
    from perfsuite.records.workload import Workload


def noise_floor(comparison: Comparison) -> NoiseFloor:
    """Return the noise floor that an A/A comparison shows.

    Raises:
        ResultFileError: Too few processes, several machines, or no benchmarks.
    """
    machines = sorted({machine_key(process.machine) for process in comparison.sides.processes})
    if not comparison.benchmarks:
        raise ResultFileError("these files contain no benchmarks; full trainings have no noise floor: run -m step")
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

"""The noise floor: what an A/A run (the same code against itself) shows on a machine, saved there for later tables."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.collect import collect
from perfsuite.analysis.machine_info import machine_key
from perfsuite.analysis.statistics.intervals import Scatter
from perfsuite.analysis.tables import Column, Table, metric_column, text_column
from perfsuite.errors import ResultFileError
from perfsuite.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from perfsuite.analysis.collect import Results
    from perfsuite.analysis.compare import Comparison
    from perfsuite.analysis.sides import Sides
    from perfsuite.records import Workload

SCHEMA = "perfsuite-noise-2"

OLD_SCHEMA = "perfsuite-noise-1"
"""Without the scatter between processes; the detectable slowdown had another name."""

MOST_BYTES = 50_000_000
"""No file of ours is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """What an A/A run of one machine showed: the same code measured as baseline and as candidate.

    Attributes:
        machine: Which, as `machine_key` names it.
        measured: When, as a date.
        num_processes: A side.
        versions: Of torch and others.
        detectable_slowdown_ratio: The smallest slowdown that `num_processes` a side detect, minus 1, by benchmark:
            label of the workload, else full name.
        process_scatter: How much the time differs from process to process, by benchmark.
    """

    machine: str
    measured: str
    num_processes: int
    versions: dict[str, str]
    detectable_slowdown_ratio: dict[str, float]
    process_scatter: dict[str, Scatter] = dataclasses.field(default_factory=dict)


def default_noise_path() -> Path:
    """Return where noise floors are kept: what `PERFSUITE_NOISE` says, else in the user's folder for state."""
    named = os.environ.get("PERFSUITE_NOISE")
    if named:
        return Path(named).expanduser()
    state = os.environ.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "perfsuite" / "noise.json"
    try:
        return Path.home() / ".local" / "state" / "perfsuite" / "noise.json"
    except RuntimeError:  # a user without a home
        return Path("results") / "noise.json"


def known_noise_floors() -> tuple[dict[str, NoiseFloor], tuple[str, ...]]:
    """Return what is known of noise floors; a file that cannot be used is a note, for tables do without it."""
    try:
        return read_noise_floors(default_noise_path()), ()
    except ResultFileError as error:
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


def read_noise_floors(path: Path) -> dict[str, NoiseFloor]:
    """Read the noise floors of all machines; empty where there is no file.

    Raises:
        ResultFileError: It is not what `save_noise_floor` wrote.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ResultFileError(f"{path}: too large for a file of noise floors")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ResultFileError(
            f"{path}: cannot be read: {str(error)[:100]}; `perfsuite noise` writes a new one"
        ) from None
    known = isinstance(content, dict) and content.get("schema") in {SCHEMA, OLD_SCHEMA}
    machines = content.get("machines") if known else None
    if not isinstance(machines, dict):
        raise ResultFileError(f"{path}: not a file of noise floors; delete it, `perfsuite noise` writes a new one")
    is_old = content["schema"] == OLD_SCHEMA
    return {machine: _read(machine, values, path, old=is_old) for machine, values in machines.items()}


def _read(machine: str, values: Any, path: Path, *, old: bool) -> NoiseFloor:
    try:
        slowdowns = values["provable_ratio" if old else "detectable_slowdown_ratio"]
        ratios = {str(name): float(ratio) for name, ratio in slowdowns.items()}
        scatters = {} if old else {str(name): _scatter(one) for name, one in values["process_scatter"].items()}
        versions = {str(name): str(version) for name, version in values["versions"].items()}
        return NoiseFloor(
            machine=machine,
            measured=dt.date.fromisoformat(values["measured"]).isoformat(),
            num_processes=int(values["num_processes"]),
            versions=versions,
            detectable_slowdown_ratio={name: ratio for name, ratio in ratios.items() if 0 < ratio < math.inf},
            process_scatter=scatters,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultFileError(f"{path}: the noise floor of {machine[:60]!r} is damaged ({str(error)[:60]})") from None


def _scatter(values: Any) -> Scatter:
    scatter = Scatter(sd_log=float(values["sd_log"]), num_dof=int(values["num_dof"]))
    if not (0 < scatter.sd_log < math.inf and scatter.num_dof >= 1):
        raise ValueError(f"process_scatter: {values!r:.40}")
    return scatter


def save_noise_floor(floor: NoiseFloor, path: Path) -> None:
    """Keep a machine's noise floor.

    Benchmarks that were not measured this time keep what they had, if it was taken in the same way: with the same
    versions and as many processes. The older date stands for both then.

    Raises:
        ResultFileError: The file cannot be read or written.
    """
    floors = read_noise_floors(path)
    before = floors.get(floor.machine)
    if before is not None and (before.versions, before.num_processes) == (floor.versions, floor.num_processes):
        slowdowns = {**before.detectable_slowdown_ratio, **floor.detectable_slowdown_ratio}
        scatters = {**before.process_scatter, **floor.process_scatter}
        has_older = len(slowdowns) > len(floor.detectable_slowdown_ratio)
        floor = dataclasses.replace(
            floor,
            measured=min(before.measured, floor.measured) if has_older else floor.measured,
            detectable_slowdown_ratio=slowdowns,
            process_scatter=scatters,
        )
    floors[floor.machine] = floor
    content = {
        "schema": SCHEMA,
        "machines": {
            machine: {
                "measured": one.measured,
                "num_processes": one.num_processes,
                "versions": one.versions,
                "detectable_slowdown_ratio": one.detectable_slowdown_ratio,
                "process_scatter": {name: dataclasses.asdict(found) for name, found in one.process_scatter.items()},
            }
            for machine, one in floors.items()
        },
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content, indent=1))
    except OSError as error:
        raise ResultFileError(f"{path}: cannot be written: {error.strerror}") from None


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
    rows = [_known_noise(row, floors) for row in benchmarks[["machine", "label", "torch"]].to_dict("records")]
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

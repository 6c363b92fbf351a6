"""The noise floor: what the same code against itself shows on a machine, kept there, and used by later tables."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.machine_info import machine_key
from perfsuite.analysis.tables import Column, Table, text_column
from perfsuite.errors import ResultFileError
from perfsuite.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.collect import Results
    from perfsuite.analysis.compare import Comparison

SCHEMA = "perfsuite-noise-1"

MOST_BYTES = 50_000_000
"""No file of ours is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """What one machine can prove.

    Attributes:
        machine: Which, as `machine_key` names it.
        measured: When, as a date.
        num_processes: A side.
        versions: Of torch and others.
        provable_ratio: The smallest provable slowdown less 1, by benchmark: label of the workload, else full name.
    """

    machine: str
    measured: str
    num_processes: int
    versions: dict[str, str]
    provable_ratio: dict[str, float]


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
    """Return what is known of noise floors; a file that cannot be used is a note, for no table should want for it."""
    try:
        return read_noise_floors(default_noise_path()), ()
    except ResultFileError as error:
        return {}, (f"noise floor not known: {error}",)


def noise_floor(comparison: Comparison) -> NoiseFloor:
    """Return the noise floor that an A/A comparison shows.

    Raises:
        ResultFileError: Too few processes, or several machines.
    """
    machines = sorted({machine_key(process.machine) for process in comparison.sides.processes})
    if len(machines) != 1:
        raise ResultFileError(f"a noise floor is that of one machine; these files are of {len(machines)}")
    known = {
        _name(
            benchmark.fullname, None if benchmark.workload is None else benchmark.workload.label
        ): benchmark.time.mde95
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
        provable_ratio=known,
    )


def _name(fullname: str, label: str | None) -> str:
    return fullname if label is None else label


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
        raise ResultFileError(f"{path}: cannot be read: {str(error)[:100]}; `perfsuite noise` makes it anew") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ResultFileError(f"{path}: no file of noise floors; delete it, `perfsuite noise` makes it anew")
    machines = content.get("machines")
    if not isinstance(machines, dict):
        raise ResultFileError(f"{path}: no file of noise floors; delete it, `perfsuite noise` makes it anew")
    floors = {}
    for machine, values in machines.items():
        floors[machine] = _read(machine, values, path)
    return floors


def _read(machine: str, values: Any, path: Path) -> NoiseFloor:
    try:
        ratios = {str(name): float(ratio) for name, ratio in values["provable_ratio"].items()}
        versions = {str(name): str(version) for name, version in values["versions"].items()}
        return NoiseFloor(
            machine=machine,
            measured=dt.date.fromisoformat(values["measured"]).isoformat(),
            num_processes=int(values["num_processes"]),
            versions=versions,
            provable_ratio={name: ratio for name, ratio in ratios.items() if 0 < ratio < math.inf},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultFileError(f"{path}: the noise floor of {machine[:60]!r} is damaged ({str(error)[:60]})") from None


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
        kept = {name: ratio for name, ratio in before.provable_ratio.items() if name not in floor.provable_ratio}
        floor = dataclasses.replace(
            floor,
            measured=min(before.measured, floor.measured) if kept else floor.measured,
            provable_ratio={**kept, **floor.provable_ratio},
        )
    floors[floor.machine] = floor
    content = {
        "schema": SCHEMA,
        "machines": {
            machine: {
                "measured": one.measured,
                "num_processes": one.num_processes,
                "versions": one.versions,
                "provable_ratio": one.provable_ratio,
            }
            for machine, one in floors.items()
        },
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content, indent=1))
    except OSError as error:
        raise ResultFileError(f"{path}: cannot be written: {error.strerror}") from None


def add_noise_floor(results: Results, floors: dict[str, NoiseFloor]) -> tuple[str, ...]:
    """Add the column `provable_ratio` to the benchmarks of machines whose noise floor is known; notes that say so."""
    frame = results.benchmarks
    if frame.empty or not results.ours or "machine" not in frame:
        return ()
    values, used = [], set()
    for row in frame[["machine", "label", "torch"]].to_dict("records"):
        floor = floors.get(str(row["machine"]))
        fits = floor is not None and floor.versions.get("torch") in {None, row["torch"]}
        ratio = floor.provable_ratio.get(str(row["label"])) if floor is not None and fits else None
        values.append(ratio)
        if floor is not None and ratio is not None:
            used.add((floor.measured, floor.num_processes))
    if not used:
        return ("smallest provable slowdown here: not known; `perfsuite noise` measures it",)
    frame["provable_ratio"] = values
    return tuple(
        f"provable: the smallest slowdown that {number} processes a side can show here (A/A of {measured})"
        for measured, number in sorted(used)
    )


def in_words(comparison: Comparison, floors: dict[str, NoiseFloor]) -> str | None:
    """Return what is known of the noise of a comparison's machine, as a note, or None."""
    machines = {machine_key(process.machine) for process in comparison.sides.processes}
    found = [floors[machine] for machine in machines if machine in floors]
    if len(machines) != 1 or not found:
        return None
    labels = {
        _name(one.fullname, None if one.workload is None else one.workload.label) for one in comparison.benchmarks
    }
    ratios = sorted(ratio for name, ratio in found[0].provable_ratio.items() if name in labels)
    if not ratios:
        return None
    return (
        f"noise floor of this machine (A/A of {found[0].measured}, {found[0].num_processes} processes a side): "
        f"slowdowns of {ratios[0]:.1%} to {ratios[-1]:.1%} can be proved, by benchmark"
    )


def noise_table(floor: NoiseFloor, *, false_alarms: Sequence[str], notes: Sequence[str] = ()) -> Table:
    """Return a noise floor as a table."""
    rows = [{"benchmark": name, "provable_ratio": ratio} for name, ratio in sorted(floor.provable_ratio.items())]
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
            Column(heading="provable %", show=lambda row: f"{100 * row['provable_ratio']:.1f}", numeric=True),
        ),
        notes=("provable: the smallest slowdown that would have been shown 95 times of 100", alarms, *notes),
    )

"""The file of noise floors: what A/A runs showed, by machine; read field by field, since anybody may have edited it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfsuite.analysis.statistics.intervals import Scatter  # noqa: TC001 - read_dataclass reads the type
from perfsuite.atomic_write import write_atomically
from perfsuite.errors import RecordError, ResultFileError
from perfsuite.paths import expanded
from perfsuite.records.strict_json import read_dataclass
from perfsuite.small_files import read_json

SCHEMA = "perfsuite-noise-2"

OLD_SCHEMA = "perfsuite-noise-1"
"""Without the scatter between processes; the detectable slowdown had another name."""

MAX_BYTES = 50_000_000
"""No file that perfsuite writes is larger."""


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
    """Return where noise floors are kept: what `PERFSUITE_NOISE` says, else in the user's folder for state.

    Raises:
        InvalidChoiceError: `PERFSUITE_NOISE` begins with the home folder of a user that is not known.
    """
    named = os.environ.get("PERFSUITE_NOISE")
    if named:
        return expanded("PERFSUITE_NOISE", named)
    state = os.environ.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "perfsuite" / "noise.json"
    try:
        return Path.home() / ".local" / "state" / "perfsuite" / "noise.json"
    except RuntimeError:  # a user without a home
        return Path("results") / "noise.json"


def read_noise_floors(path: Path) -> dict[str, NoiseFloor]:
    """Read the noise floors of all machines; empty where there is no file.

    Raises:
        ResultFileError: It is not what `save_noise_floor` wrote.
    """
    advice = "delete it, `perfsuite noise` writes a new one"
    try:
        content = read_json(path, max_bytes=MAX_BYTES)
    except FileNotFoundError:
        return {}
    except ResultFileError as error:
        raise ResultFileError(f"{error}; {advice}") from None
    known = isinstance(content, dict) and content.get("schema") in (SCHEMA, OLD_SCHEMA)
    machines = content.get("machines") if known else None
    if not isinstance(machines, dict):
        raise ResultFileError(f"{path}: not a file of noise floors; {advice}")
    floors = {}
    for machine, values in machines.items():
        try:
            floors[machine] = _read(machine, values, old=content["schema"] == OLD_SCHEMA)
        except RecordError as error:
            raise ResultFileError(
                f"{path}: the noise floor of {machine[:60]!r} is damaged ({error}); {advice}"
            ) from None
    return floors


def _read(machine: str, values: Any, *, old: bool) -> NoiseFloor:
    """Return one noise floor, every value within what an A/A run can show.

    Raises:
        RecordError: A field is missing, of the wrong type or out of its range.
    """
    if isinstance(values, dict):
        values = {**values, "machine": machine}
        if old:
            values["detectable_slowdown_ratio"] = values.pop("provable_ratio", None)
            values["process_scatter"] = {}
    floor = read_dataclass(NoiseFloor, values, "floor")
    if isinstance(values, dict) and "process_scatter" not in values:
        raise RecordError("floor.process_scatter is missing")
    try:
        dt.date.fromisoformat(floor.measured)
    except ValueError:
        raise RecordError("floor.measured is not a date") from None
    _check_range("num_processes", floor.num_processes, 1, MAX_COUNT)
    for name, ratio in floor.detectable_slowdown_ratio.items():
        _check_range(f"detectable_slowdown_ratio of {name[:60]!r}", ratio, 0.0, MAX_RATIO)
    for name, scatter in floor.process_scatter.items():
        _check_range(f"sd_log of {name[:60]!r}", scatter.sd_log, MIN_SD_LOG, MAX_SD_LOG)
        _check_range(f"num_dof of {name[:60]!r}", scatter.num_dof, 1, MAX_COUNT)
    detectable = {name: ratio for name, ratio in floor.detectable_slowdown_ratio.items() if ratio > 0}
    return dataclasses.replace(floor, detectable_slowdown_ratio=detectable)


MAX_RATIO = 1e6
"""Of a detectable slowdown; no comparison needs more."""

MIN_SD_LOG, MAX_SD_LOG = 1e-12, 10.0
"""No clock resolves less; processes that differ by more than a factor of 20,000."""

MAX_COUNT = 1_000_000


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise RecordError(f"{name} is {value:g}; from {least:g} to {most:g} is possible")


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

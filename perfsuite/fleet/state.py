"""The folder of a fleet: `fleet.json`, and a result file for each slot that is finished. What is there is the truth.

A fleet is resumed by its files: each says which slot it is the result of. Nothing else in the folder is ever deleted or
written over.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.load.fleet_place import FLEET_KEY
from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.atomic_write import write_atomically
from perfsuite.errors import FleetError, ResultFileError
from perfsuite.fleet.schedule import Slot
from perfsuite.run_folder import read_state as read_state_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from perfsuite.analysis.load.result_file import ResultFile

STATE = "fleet.json"
LOGS = "logs"
SCHEMA = "perfsuite-fleet-1"
MAX_STATE_BYTES = 16_000_000
MAX_NAME_CHARACTERS = 60

_LIKE_OWN = re.compile(r"[^-]+(-[^-]+){3,}\.json")
"""How result files are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished slot.

    Attributes:
        path: Of its file.
        slot: Which.
        node: Where it ran.
        duration_s: How long its process took, in seconds.
        file: Its content.
    """

    path: Path
    slot: Slot
    node: str
    duration_s: float
    file: ResultFile


def safe_name(node: str) -> str:
    """Return the name of a node as it is used in names of files: nodes are named by whoever runs them."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", node).strip("._-")[:MAX_NAME_CHARACTERS]
    return name or "node"


def result_stem(slot: Slot, node: str) -> str:
    """Return the name of a result file, without its ending."""
    return f"{slot.kind}-{safe_name(node)}-{slot.environment}-{slot.name}"


def now() -> str:
    """Return the time as it stands in files: ISO 8601, UTC."""
    return dt.datetime.now(tz=dt.UTC).isoformat(timespec="seconds")


def read_state(folder: Path) -> dict[str, Any] | None:
    """Return what `fleet.json` holds, or None where there is none.

    Raises:
        FleetError: It is damaged.
    """
    path = folder / STATE
    content = read_state_file(path, SCHEMA, FleetError, max_bytes=MAX_STATE_BYTES)
    if content is None:
        return None
    shapes = {"id": str, "identity": dict, "num_nodes": dict, "versions": dict, "progress": dict, "num_slots": int}
    for name, shape in shapes.items():
        if not isinstance(content.get(name), shape):
            raise FleetError(f"{path}: damaged ({name}); name another folder")
    numbers = content["num_nodes"].values()
    if not all(isinstance(number, int) and 0 < number <= 10**6 for number in numbers):
        raise FleetError(f"{path}: damaged (num_nodes); name another folder")
    return content


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write `fleet.json` in one step.

    Raises:
        FleetError: The disk is full.
    """
    try:
        write_atomically(folder / STATE, json.dumps({"schema": SCHEMA, **state}, indent=1) + "\n")
    except OSError as error:
        raise FleetError(f"{folder / STATE}: cannot be written: {error.strerror}") from None


def read_results(folder: Path, fleet_id: str) -> tuple[dict[Slot, Result], list[str]]:
    """Return the results that are there, and a line for each file that is not used.

    Args:
        folder: Of the fleet.
        fleet_id: Of the fleet; files of others are not read.

    Raises:
        FleetError: A file of this fleet is damaged: better known before hours are spent on the rest.
    """
    found: dict[Slot, Result] = {}
    notes = []
    for path in _json_files(folder):
        try:
            file = read_result_file(path)
        except ResultFileError as error:
            if not _LIKE_OWN.fullmatch(path.name):
                notes.append(f"{error}; not counted")
                continue
            raise FleetError(f"{error}; move it away, and the same command measures it again") from None
        result = _result(path, file, fleet_id)
        if result is None:
            notes.append(f"{path.name}: is not of this fleet, and not counted")
        elif result.slot in found:
            notes.append(f"{path.name}: the same repetition as {found[result.slot].path.name}, and not counted")
        else:
            found[result.slot] = result
    return found, notes


def _json_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.glob("*.json") if path.name != STATE and not path.name.startswith("."))
    except OSError as error:
        raise FleetError(f"{folder}: cannot be read: {error.strerror}") from None


def _result(path: Path, file: ResultFile, fleet_id: str) -> Result | None:
    """Return what a file is the result of; None where it, or its name, says something else."""
    own = file.machine.get(FLEET_KEY)
    if not isinstance(own, dict) or own.get("fleet") != fleet_id:
        return None
    names = {key: own.get(key) for key in ("kind", "node", "environment", "slot")}
    duration_s = own.get("duration_s")
    if not all(isinstance(name, str) for name in names.values()) or not isinstance(duration_s, int | float):
        return None
    slot = Slot(kind=str(names["kind"]), environment=str(names["environment"]), name=str(names["slot"]))
    node = str(names["node"])
    if path.name != f"{result_stem(slot, node)}.json":
        return None
    return Result(path=path, slot=slot, node=node, duration_s=float(duration_s), file=file)


def keep_result(folder: Path, slot: Slot, node: str, data: bytes, own: Mapping[str, Any]) -> Result:
    """Check the result of a process, add where it comes from, and write it in one step.

    Args:
        folder: Of the fleet.
        slot: Which.
        node: Where it ran.
        data: What pytest-benchmark wrote there.
        own: What is added to `machine_info`.

    Raises:
        FleetError: It cannot be written.
        ResultFileError: It is no complete result; the message says in what.
    """
    stem = result_stem(slot, node)
    path, part = folder / f"{stem}.json", folder / f".{stem}.part"
    content = _content(data, stem)
    content["machine_info"][FLEET_KEY] = dict(own)
    try:
        write_atomically(part, json.dumps(content, indent=1))
        try:
            file = read_result_file(part)
            if not file.complete:
                raise ResultFileError(f"{stem}: its process did not finish")
            if not file.benchmarks:
                raise ResultFileError(f"{stem}: no benchmark produced a result")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise FleetError(f"{path}: cannot be written: {error.strerror}") from None
    return Result(path=path, slot=slot, node=node, duration_s=float(own["duration_s"]), file=file)


def _content(data: bytes, stem: str) -> dict[str, Any]:
    try:
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ResultFileError(f"{stem}: its result is not JSON: {str(error)[:100]}") from None
    if not isinstance(content, dict):
        raise ResultFileError(f"{stem}: its result is not an object")
    machine = content.get("machine_info")
    content["machine_info"] = machine if isinstance(machine, dict) else {}
    return content


def keep_log(folder: Path, slot: Slot, node: str, text: str) -> Path:
    """Keep the log of a process; the path is returned even where it cannot be written."""
    path = folder / LOGS / f"{result_stem(slot, node)}.log"
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, text)
    except OSError:
        return path  # a log is no reason to end
    return path


def clear(folder: Path, fleet_id: str) -> None:
    """Delete what the fleet wrote; `fleet.json` last, so that a deletion that was interrupted can be finished.

    Raises:
        FleetError: Something cannot be deleted.
    """
    try:
        for path in _json_files(folder):
            if _is_own(path, fleet_id):
                path.unlink()
        if (folder / LOGS).is_dir() and not (folder / LOGS).is_symlink():
            shutil.rmtree(folder / LOGS)
        (folder / STATE).unlink(missing_ok=True)
    except OSError as error:
        raise FleetError(f"{folder}: cannot be cleared: {error.strerror}") from None


def _is_own(path: Path, fleet_id: str) -> bool:
    try:
        return os.path.isfile(path) and _result(path, read_result_file(path), fleet_id) is not None  # noqa: PTH113
    except ResultFileError:
        return False

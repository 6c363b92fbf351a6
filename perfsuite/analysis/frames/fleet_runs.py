"""What one process measured on one node of a fleet, reduced to what comparing nodes needs."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfsuite.analysis.load.brief import in_processes
from perfsuite.analysis.load.machine_info import machine_of, versions_of
from perfsuite.analysis.load.result_file import commit_of, fingerprint, read_result_file, short_commit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from perfsuite.analysis.load.benchmark_entry import Benchmark
    from perfsuite.analysis.load.result_file import ResultFile
    from perfsuite.records.telemetry import Spread, Telemetry

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRun:
    """What one process measured on one node.

    Attributes:
        file: Where it was read.
        fleet_node: The fleet's name of the node, or None where no fleet ran it.
        host: Name of the machine, or None.
        board: Which of its GPUs, or None.
        kind: Nodes of one kind are nominally equal: the fleet's name for it, else the GPU, else the CPU.
        environment: Which versions were measured: the fleet's name for them, else the version of torch.
        run_ids: What identifies the process: copies of a file have the same.
        is_quick: Whether it was a first answer (`--perf-quick`).
        cells: Names of what it measured.
        logs: Logarithm of the median of the rounds in seconds, of each cell.
        properties: What the machine is said to be, by a name in words.
        readings: What the hardware did, by name: medians over cells, largest values of temperatures and counts.
        throttle_ratio: Share of the readings at which a reason held the clocks down, by reason: mean over cells.
        absent: Reasons for readings that there are not, by name.
    """

    file: str
    fleet_node: str | None
    host: str | None
    board: str | None
    kind: str
    environment: str
    run_ids: frozenset[str]
    is_quick: bool
    cells: tuple[str, ...]
    logs: tuple[float, ...]
    properties: dict[str, str] = field(default_factory=dict)
    readings: dict[str, float] = field(default_factory=dict)
    throttle_ratio: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def read_runs(paths: Sequence[Path]) -> tuple[NodeRun, ...]:
    """Read files and keep only what comparing nodes needs; many files in several processes.

    Raises:
        ResultFileError: A file cannot be used.
    """
    return tuple(_shared(run) for run in in_processes(read_run, paths))


def read_run(path: Path) -> NodeRun:
    """Read one file; see `reduce_run`.

    Raises:
        ResultFileError: It cannot be used.
    """
    return reduce_run(read_result_file(path, brief=True))


def reduce_run(file: ResultFile) -> NodeRun:
    """Reduce a file to what comparing nodes needs: steps and benchmarks of others, no trainings, pairs or studies."""
    machine = machine_of(file)
    versions = versions_of(file)
    measured = [one for one in file.benchmarks if _is_measured(one)]
    cells = [one.cell for one in measured if one.cell is not None]
    telemetry = [cell.telemetry for cell in cells if cell.telemetry is not None]
    fleet = file.fleet
    if fleet is None:
        kind = machine.get("GPU") or machine.get("CPU") or UNKNOWN
        environment = f"torch {versions['torch']}" if "torch" in versions else "any"
    else:
        kind, environment = fleet.kind, fleet.environment
    return NodeRun(
        file=str(file.path),
        fleet_node=None if fleet is None else fleet.node,
        host=machine.get("host"),
        board=machine.get("board"),
        kind=kind,
        environment=environment,
        run_ids=_run_ids(file),
        is_quick=any(cell.quick for cell in cells),
        cells=_distinct([_name(one) for one in measured]),
        logs=tuple(math.log(one.stats["time_median_s"]) for one in measured),
        properties=_properties(file, versions),
        readings=_readings(telemetry),
        throttle_ratio=_throttle_ratio(telemetry),
        absent=dict(telemetry[0].absent) if telemetry else {},
    )


def _run_ids(file: ResultFile) -> frozenset[str]:
    own = [one for one in file.benchmarks if not one.replayed]
    run_ids = frozenset(one.run_id for one in own if one.run_id is not None)
    return run_ids or frozenset([fingerprint(own, file.written)])


def _is_measured(benchmark: Benchmark) -> bool:
    is_of_cells = benchmark.record is None or benchmark.cell is not None
    return is_of_cells and benchmark.stats.get("time_median_s", 0.0) > 0


def _name(benchmark: Benchmark) -> str:
    if benchmark.cell is None:
        return benchmark.fullname
    workload = benchmark.cell.workload
    return f"{workload.label} {workload.model_digest[:6]}".rstrip()


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Return names with a number where one stands again in its file."""
    counts: Counter[str] = Counter()
    found = []
    for name in names:
        counts[name] += 1
        found.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return tuple(found)


def _properties(file: ResultFile, versions: dict[str, str]) -> dict[str, str]:
    ours = file.environment
    found: dict[str, str | None] = dict(versions)
    found["commit"] = short_commit(commit_of(file))
    if ours is not None:
        numbers = {
            "power limit": (ours.power_limit_watts, "W"),
            "max SM clock": (ours.max_sm_clock_mhz, "MHz"),
            "max memory clock": (ours.max_memory_clock_mhz, "MHz"),
            "GPU memory": (None if ours.gpu_memory_bytes is None else round(ours.gpu_memory_bytes / 2**30, 1), "GiB"),
        }
        found |= {name: None if value is None else f"{value:,g} {unit}" for name, (value, unit) in numbers.items()}
        found |= {"CPU": ours.cpu, "cores": str(ours.num_cpus), "threads": str(ours.num_threads)}
        found |= {"python": ours.python, "perfsuite": ours.perfsuite, "system": ours.system}
    return {name: value for name, value in found.items() if value is not None}


def _readings(telemetry: Sequence[Telemetry]) -> dict[str, float]:
    if not telemetry:
        return {}

    def middle(name: str) -> float | None:
        spreads: list[Spread] = [spread for one in telemetry if (spread := getattr(one, name)) is not None]
        return statistics.median(spread.median for spread in spreads) if spreads else None

    def numbers(name: str) -> list[float]:
        return [value for one in telemetry if (value := getattr(one, name)) is not None]

    hottest = [one.temperature_celsius.maximum for one in telemetry if one.temperature_celsius is not None]
    found: dict[str, float | None] = {
        "SM clock": middle("sm_clock_mhz"),
        "memory clock": middle("memory_clock_mhz"),
        "power": middle("power_watts"),
        "temperature": max(hottest, default=None),
    }
    for name, key, reduce in (
        ("max SM clock", "max_sm_clock_mhz", max),
        ("ECC errors", "num_ecc_errors", sum),
        ("other processes", "num_other_processes", max),
        ("background CPU", "background_cpu_ratio", statistics.median),
        ("steal time", "steal_ratio", statistics.median),
    ):
        values = numbers(key)
        found[name] = float(reduce(values)) if values else None
    return {name: value for name, value in found.items() if value is not None}


def _throttle_ratio(telemetry: Sequence[Telemetry]) -> dict[str, float]:
    known = [one.throttle_ratio for one in telemetry if one.throttle_ratio is not None]
    names = sorted({name for one in known for name in one})
    return {name: statistics.fmean(one.get(name, 0.0) for one in known) for name in names}


def _shared(run: NodeRun) -> NodeRun:
    """Return a run whose names are those of the runs before: each that came from another process has its own copies."""
    return dataclasses.replace(run, cells=_shared_cells(run.cells))


@functools.lru_cache(maxsize=1024)
def _shared_cells(cells: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sys.intern(cell) for cell in cells)

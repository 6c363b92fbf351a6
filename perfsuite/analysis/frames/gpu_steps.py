"""Training steps by network, precision, batch size and environment: all processes pooled, and what has no result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite import thesis
from perfsuite.analysis.frames.gpu_environments import PHASE
from perfsuite.analysis.frames.largest_batch import BatchMemory
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.frames.speedup import time_ratio
from perfsuite.analysis.statistics.intervals import bare_ratio, geometric_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from perfsuite.analysis.frames.gpu_environments import EnvironmentIndex
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Ratio

RESIDENT = ("parameters_bytes", "optimizer_bytes")
"""What is alive at every moment of a step; the gradients only where they are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What is compared between environments: a network and how its step is done, but for precision and batch size.

    The type of the device is not part of it: a CPU and a GPU do the same.
    """

    model: str
    image_size: int
    memory_format: str
    compile_mode: str
    gradients: str
    cudnn_benchmark: bool
    num_classes: int
    cuda_graphs: bool
    model_digest: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steps:
    """A training step in an environment, by all processes that measured it.

    Attributes:
        network: Which network.
        environment: Label of the environment.
        precision: Name of the precision.
        batch_size: N.
        images_per_second: N over the geometric mean of the processes' median times.
        energy_per_image_joules: Mean over the processes that measured it; None where none did.
        memory: What it took.
        frame: Its rows of `Results.benchmarks`, one a process, with their numbers in the column `row`.
    """

    network: Network
    environment: str
    precision: str
    batch_size: int
    images_per_second: float
    energy_per_image_joules: float | None
    memory: BatchMemory
    frame: pd.DataFrame

    @property
    def num_processes(self) -> int:
        """How many processes measured it."""
        return len(self.frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A training step without a result.

    Attributes:
        network: Which network.
        environment: Label of the environment.
        precision: Name of the precision.
        batch_size: N.
        outcome: `out_of_memory`, `failed`, `skipped` and so on.
    """

    network: Network
    environment: str
    precision: str
    batch_size: int
    outcome: str


def measured_steps(results: Results, index: EnvironmentIndex) -> list[Steps]:
    """Return the training steps of some results, in their order."""
    frame = results.benchmarks
    if frame.empty:
        return []
    frame = frame.assign(row=range(len(frame)))
    groups: dict[tuple[Network, str, str, int], list[int]] = {}
    for number, row in enumerate(rows_of(frame)):
        if row["phase"] == PHASE and is_known(row["time_median_s"]) and row["time_median_s"] > 0:
            key = (_network(row), index.of_row(row).label, row["precision"], int(row["batch_size"]))
            groups.setdefault(key, []).append(number)
    return [_steps(*key, frame.iloc[numbers].drop_duplicates("run_id")) for key, numbers in groups.items()]


def _steps(network: Network, environment: str, precision: str, batch_size: int, frame: pd.DataFrame) -> Steps:
    rows = rows_of(frame)
    energies = _known(rows, "energy_per_image_joules")
    return Steps(
        network=network,
        environment=environment,
        precision=precision,
        batch_size=batch_size,
        images_per_second=batch_size / geometric_mean(frame["time_median_s"]),
        energy_per_image_joules=sum(energies) / len(energies) if energies else None,
        memory=BatchMemory(
            batch_size=batch_size,
            peak_bytes=max(
                (*_known(rows, "peak_allocated_bytes"), *_known(rows, "predicted_peak_bytes")), default=None
            ),
            resident_bytes=_resident_bytes(network, rows),
        ),
        frame=frame,
    )


def _resident_bytes(network: Network, rows: Sequence[Mapping[str, Any]]) -> float | None:
    parts = (*RESIDENT, "gradients_bytes") if network.gradients == thesis.GRADIENTS else RESIDENT
    found = [_known(rows, part) for part in parts]
    return sum(min(values) for values in found) if all(found) else None


def _known(rows: Iterable[Mapping[str, Any]], key: str) -> list[float]:
    """Return the values of a column that are known and above 0."""
    values: list[Any] = [row.get(key) for row in rows]
    return [float(value) for value in values if is_known(value) and value > 0]


def missing_steps(results: Results, index: EnvironmentIndex) -> list[Missing]:
    """Return the training steps that ended without a result, one for each way in which they did."""
    found = [
        Missing(
            network=_network(row),
            environment=index.of_file(row["file"]).label,
            precision=row["precision"],
            batch_size=int(row["batch_size"]),
            outcome=row["outcome"],
        )
        for row in rows_of(results.outcomes)
        if row["phase"] == PHASE
    ]
    return list(dict.fromkeys(found))


def _network(row: Mapping[str, Any]) -> Network:
    return Network(
        model=str(row["model"]),
        image_size=int(row["image_size"]),
        memory_format=str(row["memory_format"]),
        compile_mode=str(row["compile_mode"]),
        gradients=str(row["gradients"]),
        cudnn_benchmark=bool(row["cudnn_benchmark"]),
        num_classes=int(row["num_classes"]),
        cuda_graphs=bool(row["cuda_graphs"]),
        model_digest=str(row["model_digest"]),
    )


def compared_batch_sizes(steps: Iterable[Steps], environments: Sequence[str]) -> dict[str, int]:
    """Return at which batch size each environment is compared: one that as many as possible measured.

    Of several such sizes that of the thesis's recipe, else the largest. An environment that measured only others has
    one of its own in the same order; one without any step has the common one.

    Args:
        steps: Of one network.
        environments: Labels of all.
    """
    sizes: dict[str, set[int]] = {}
    for one in steps:
        sizes.setdefault(one.environment, set()).add(one.batch_size)
    counts = Counter(size for own in sizes.values() for size in own)
    common = most_common_size(counts)
    chosen = {}
    for environment in environments:
        own = sizes.get(environment, set())
        size = common
        if own and common not in own:
            size = most_common_size({size: counts[size] for size in own})
        if size is not None:
            chosen[environment] = size
    return chosen


def most_common_size(counts: Mapping[int, int]) -> int | None:
    """Return the batch size with the highest count; of several that of the thesis's recipe, else the largest."""

    def rank(size: int) -> tuple[int, bool, int]:
        return counts[size], size == thesis.BATCH_SIZE, size

    return max(counts, key=rank, default=None)


def speed_ratio(steps: Steps, baseline: Steps, results: Results) -> Ratio:
    """Return the images per second of steps over those of others, at the same batch size.

    With an interval over processes where there are two or more a side; of one process a side as `time_ratio` has it.
    One process against several gives none: the scatter of the one is not known.
    """
    numbers = steps.num_processes, baseline.num_processes
    if min(numbers) == 1 < max(numbers):
        return bare_ratio(steps.images_per_second / baseline.images_per_second)
    return time_ratio(baseline.frame, steps.frame, results)[2]

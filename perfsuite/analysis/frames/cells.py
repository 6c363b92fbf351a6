"""What figures are made of: results, distinguished in words, one cell for all processes that measured it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS
from perfsuite.analysis.frames.labels import phase_rank, place_words, span, workload_words
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.statistics.intervals import geometric_mean
from perfsuite.formatting import counted
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from perfsuite.analysis.frames.results import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One workload in one environment, by all processes that measured it.

    Attributes:
        place: The environment in words; empty where there is only one.
        workload: Values of `WORKLOAD_COLUMNS`.
        label: Network and what else varies but precision and phase.
        time_s: Median time of an iteration, geometric mean over processes.
        metrics: The other metrics; of several processes the median.
        rows: Of the frame.
        num_rounds: Rounds of all processes together.
    """

    place: str
    workload: dict[str, Any]
    label: str
    time_s: float | None
    metrics: dict[str, Any]
    rows: tuple[int, ...]
    num_rounds: int

    @property
    def num_processes(self) -> int:
        """How many processes measured it."""
        return len(self.rows)


def measured_cells(results: Results) -> list[Cell]:
    """Return the cells of the suite among the results, in their order."""
    frame = results.benchmarks
    if frame.empty or "run_id" not in frame:
        return []
    place, label = place_words(frame), workload_words(frame[frame["model"].notna()])
    groups: dict[tuple[Any, ...], list[tuple[int, dict[str, Any]]]] = {}
    for index, row in enumerate(rows_of(frame)):
        if is_known(row["model"]):
            key = (place(row), *(row[column] for column in WORKLOAD_COLUMNS))
            groups.setdefault(key, []).append((index, row))
    return [
        _cell(key, [row for _, row in found], [index for index, _ in found], label) for key, found in groups.items()
    ]


def _cell(
    key: tuple[Any, ...],
    rows: list[dict[str, Any]],
    indices: list[int],
    label: Callable[[Mapping[Any, Any]], str],
) -> Cell:
    workload = dict(zip(WORKLOAD_COLUMNS, key[1:], strict=True))
    times = [row["time_median_s"] for row in rows]
    return Cell(
        place=str(key[0]),
        workload=workload,
        label=label(workload),
        time_s=geometric_mean(pd.Series(times)) if all(is_known(time) and time > 0 for time in times) else None,
        metrics={name: _typical([row.get(name) for row in rows]) for name in (*METRICS, "bound")},
        rows=tuple(indices),
        num_rounds=sum(int(row["num_rounds"]) for row in rows if is_known(row["num_rounds"])),
    )


def _typical(values: Sequence[Any]) -> Any:
    known = [value for value in values if is_known(value)]
    if not known:
        return None
    return known[0] if isinstance(known[0], str) else float(statistics.median(known))


def by_phase(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Return cells by phase, the whole training step first; those of one network stand together."""
    groups: dict[str, list[Cell]] = {}
    for cell in sorted(_by_label(cells), key=lambda cell: phase_rank(cell.workload["phase"])):
        groups.setdefault(cell.workload["phase"], []).append(cell)
    return groups


def by_network(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Return cells by their label: the network, and what else varies but precision and phase."""
    groups: dict[str, list[Cell]] = {}
    for cell in _by_label(cells):
        groups.setdefault(cell.label, []).append(cell)
    return groups


def _by_label(cells: Sequence[Cell]) -> list[Cell]:
    labels = list(dict.fromkeys(cell.label for cell in cells))
    places = list(dict.fromkeys(cell.place for cell in cells))
    return sorted(cells, key=lambda cell: (labels.index(cell.label), places.index(cell.place)))


def n_words(cells: Sequence[Cell]) -> str:
    """Return how much stands behind figures: `n = 20 to 31 rounds of 1 process`."""
    processes = sorted({cell.num_processes for cell in cells})
    rounds = sorted({cell.num_rounds for cell in cells})
    return f"n = {span(rounds)} rounds of {counted(span(processes), 'process')}"


def processes_words(cells: Sequence[Cell]) -> str:
    """Return how many processes stand behind figures: `n = 5 processes`."""
    processes = span([cell.num_processes for cell in cells])
    return f"n = {counted(processes, 'process')}"

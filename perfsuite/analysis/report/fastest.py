"""Which GPU is the fastest for each network, in words; or which environment, where the GPU is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfsuite.analysis.frames.device_names import short_device_names
from perfsuite.analysis.frames.labels import PHASE_TITLES
from perfsuite.analysis.frames.ratio_text import ratio_text
from perfsuite.analysis.frames.speedup import time_ratio
from perfsuite.analysis.report.answers import Answer, small_table
from perfsuite.formatting import significant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.frames.cells import Cell
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Ratio


def fastest_answer(figure_data: FigureData) -> Answer | None:
    """Return the answer of the first screen, where several GPUs or environments measured the same network."""
    results = figure_data.results
    phase, cells = _first_phase(figure_data.cells)
    devices = {_device(results, cell) for cell in cells}
    names = short_device_names(devices)
    by_gpu = len(devices) > 1
    groups = [names[_device(results, cell)] if by_gpu else cell.place for cell in cells]
    best = _best_cells(cells, groups)
    rows = [_fastest_of(model, of_model, results) for model, of_model in best.items() if len(of_model) > 1]
    if not rows:
        return None
    what = "GPU" if by_gpu else "environment"
    winners = {row.group for row in rows}
    lead = f"{winners.pop()} for every network" if len(winners) == 1 else f"the fastest {what} differs by network"
    context = f"{PHASE_TITLES[phase]}, each at its best precision and batch"
    settings = {row.settings for row in rows}
    is_shared = len(settings) == 1
    if is_shared:  # said once, above the rows
        context += "".join(f": {shared}" for shared in settings if shared)
    texts = [(row.model, row.place, row.speed, "" if is_shared else row.settings, row.over_next) for row in rows]
    tables, more = small_table(("", "fastest", "images/s", "with", "times as fast as the next"), texts)
    return Answer(
        question=f"Which {what} is the fastest?",
        lead=lead,
        context=context,
        tables=tables,
        lines=more,
        target="across",
    )


def _first_phase(cells: Sequence[Cell]) -> tuple[str, list[Cell]]:
    """Return the first phase that was measured, in the order in which phases are shown, and its cells."""
    measured = [cell for cell in cells if cell.time_s is not None]
    for phase in PHASE_TITLES:
        found = [cell for cell in measured if cell.workload["phase"] == phase]
        if found:
            return phase, found
    return "", []


def _best_cells(cells: Sequence[Cell], groups: Sequence[str]) -> dict[str, dict[str, Cell]]:
    """Return the fastest cell of each group, by network."""
    best: dict[str, dict[str, Cell]] = {}
    for cell, group in zip(cells, groups, strict=True):
        of_model = best.setdefault(str(cell.workload["model"]), {})
        if group not in of_model or _images_per_second(cell) > _images_per_second(of_model[group]):
            of_model[group] = cell
    return best


class _Fastest(NamedTuple):
    """The fastest GPU or environment for a network."""

    model: str
    group: str
    place: str
    speed: str
    settings: str
    over_next: str


def _fastest_of(model: str, best: Mapping[str, Cell], results: Results) -> _Fastest:
    """Return the fastest of the best cells of each GPU or environment, and how far ahead it is."""
    ranked = sorted(best.items(), key=lambda item: -_images_per_second(item[1]))
    (group, first), (next_group, second) = ranked[:2]
    return _Fastest(
        model=model,
        group=group,
        place=first.place,
        speed=significant(_images_per_second(first), 3),
        settings=_settings(first),
        over_next=f"{_over(first, second, results)} {next_group}",
    )


def _device(results: Results, cell: Cell) -> str:
    row = results.benchmarks.iloc[cell.rows[0]]
    return str(row["device"] or row["cpu"])


def _images_per_second(cell: Cell) -> float:
    assert cell.time_s is not None  # noqa: S101 - for the type checker: the others are left out
    return float(cell.workload["batch_size"]) / cell.time_s


def _settings(cell: Cell) -> str:
    return f"{cell.workload['precision']}, batch {cell.workload['batch_size']}"


def _over(first: Cell, second: Cell, results: Results) -> str:
    """Return how many times as fast the first is, with its interval where the batch is the same; else its speed."""
    if first.workload["batch_size"] != second.workload["batch_size"]:
        return f"{significant(_images_per_second(second), 3)} images/s:"
    return f"{ratio_text(_time_ratio(second, first, results), brief=True)}"


def _time_ratio(numerator: Cell, denominator: Cell, results: Results) -> Ratio:
    return time_ratio(_frame(results, numerator.rows), _frame(results, denominator.rows), results)[2]


def _frame(results: Results, rows: Sequence[int]) -> pd.DataFrame:
    return results.benchmarks.iloc[list(rows)].assign(row=list(rows))

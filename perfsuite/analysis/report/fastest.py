"""Which GPU is the fastest for each network, in words; or which environment, where the GPU is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.frames.device_names import short_device_names
from perfsuite.analysis.frames.labels import PHASE_TITLES
from perfsuite.analysis.frames.ratio_text import ratio_text
from perfsuite.analysis.frames.speedup import time_ratio
from perfsuite.analysis.report.answers import Answer, small_table
from perfsuite.formatting import significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.frames.cells import Cell
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Ratio


def fastest_answer(figure_data: FigureData) -> Answer | None:
    """Return the answer of the first screen, where several GPUs or environments measured the same network."""
    cells = [cell for cell in figure_data.cells if cell.time_s is not None]
    phase = next((name for name in PHASE_TITLES if any(cell.workload["phase"] == name for cell in cells)), None)
    cells = [cell for cell in cells if cell.workload["phase"] == phase]
    results = figure_data.results
    devices = {_device(results, cell) for cell in cells}
    names = short_device_names(devices)
    by_gpu = len(devices) > 1
    rows = []
    winners: set[str] = set()
    settings: set[str] = set()
    for model in dict.fromkeys(str(cell.workload["model"]) for cell in cells):
        best: dict[str, Cell] = {}
        for cell in (cell for cell in cells if cell.workload["model"] == model):
            group = names[_device(results, cell)] if by_gpu else cell.place
            if group not in best or _images_per_second(cell) > _images_per_second(best[group]):
                best[group] = cell
        if len(best) > 1:
            (winner, first), (second_name, second), *_ = sorted(
                best.items(), key=lambda item: -_images_per_second(item[1])
            )
            winners.add(winner)
            settings.add(_settings(first))
            speed = significant(_images_per_second(first), 3)
            rows.append((model, first.place, speed, _settings(first), f"{_over(first, second, results)} {second_name}"))
    if not rows:
        return None
    what = "GPU" if by_gpu else "environment"
    lead = f"{winners.pop()} for every network" if len(winners) == 1 else f"the fastest {what} differs by network"
    shared = settings.pop() if len(settings) == 1 else ""
    if shared:
        rows = [(*row[:3], "", row[4]) for row in rows]
    tables, more = small_table(("", "fastest", "images/s", "with", "times as fast as the next"), rows)
    return Answer(
        question=f"Which {what} is the fastest?",
        lead=lead,
        context=f"{PHASE_TITLES[str(phase)]}, each at its best precision and batch{shared and f': {shared}'}",
        tables=tables,
        lines=more,
        target="across",
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

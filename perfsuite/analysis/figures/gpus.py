"""Which GPU: how many images a second each trains, network by network, the fastest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.figures.axis import Axis, upper_limit
from perfsuite.analysis.figures.legend import precision_swatches
from perfsuite.analysis.figures.panels import Drawing
from perfsuite.analysis.figures.ratio_marks import drawn_values
from perfsuite.analysis.figures.row_marks import Bar
from perfsuite.analysis.figures.row_panel import Row, drawn_panels, rows_panels
from perfsuite.analysis.figures.style import precision_color
from perfsuite.analysis.frames.cells import by_network, n_words
from perfsuite.analysis.frames.labels import enumerate_words
from perfsuite.metrics import METRICS
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Panel
    from perfsuite.analysis.frames.cells import Cell


def gpus_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the throughput of a whole training step on every GPU, a panel and an axis per network.

    A row is a GPU at its fastest precision; a thin bar below is FP32, where that is another one.
    """
    steps = [cell for cell in figure_data.cells if cell.workload["phase"] == "train_step" and cell.time_s]
    if len({cell.place for cell in steps}) < 2:  # noqa: PLR2004 - one place is no choice
        return None
    panels: list[Panel] = []
    findings = []
    bars: list[Bar] = []
    for network, cells in by_network(steps).items():
        by_place: dict[str, list[Cell]] = {}
        for cell in cells:
            by_place.setdefault(cell.place, []).append(cell)
        fastest = {place: _fastest(members) for place, members in by_place.items()}
        ranked = sorted(fastest.items(), key=lambda item: _rate(item[1]), reverse=True)
        rows = [_row(place, by_place[place]) for place, _ in ranked]
        n = n_words(list(fastest.values()))
        axis = Axis(label=f"images/s; {n}", limits=(0, upper_limit(drawn_values(rows))))
        panels += rows_panels(network, "Images a second", rows, axis)
        for row in rows:
            bars += row.bars
        findings.append(f"{network}: {rows[0].label} {rows[0].value}")
    drawn, not_drawn = drawn_panels(panels)
    colors = {bar.color for bar in bars}
    precisions = [name for name in map(_precision, steps) if precision_color(name) in colors]
    notes = ["thin: FP32 on the same GPU"] if any(bar.thin for bar in bars) else []
    return Drawing(
        kind="gpus",
        title="Images a second of a whole training step, each GPU at its fastest precision",
        finding=f"The fastest: {enumerate_words(findings)}.",
        panels=drawn,
        legend=tuple(precision_swatches(precisions)),
        notes=(*notes, *not_drawn),
    )


def _rate(cell: Cell) -> float:
    return float(cell.workload["batch_size"]) / (cell.time_s or 1.0)


def _fastest(cells: Sequence[Cell]) -> Cell:
    return max(cells, key=_rate)


def _row(place: str, cells: Sequence[Cell]) -> Row:
    best = _fastest(cells)
    bars = [_bar(place, best, thin=False)]
    if _precision(best) != BASELINE:
        bars += [_bar(place, cell, thin=True) for cell in cells if _precision(cell) == BASELINE]
    shown = METRICS["images_per_second"].show(_rate(best))
    return Row(label=place, value=f"{shown}, {_precision(best)}", bars=tuple(bars))


def _precision(cell: Cell) -> str:
    return str(cell.workload["precision"])


def _bar(place: str, cell: Cell, *, thin: bool) -> Bar:
    rate, precision = _rate(cell), _precision(cell)
    tip = f"{place}, {cell.label} {precision}: {METRICS['images_per_second'].show(rate)} images/s"
    return Bar(start=0, width=rate, color=precision_color(precision), tip=tip, thin=thin)

"""Baseline against candidate as a forest plot."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from perfsuite.analysis.figures.axis import ratio_axis
from perfsuite.analysis.figures.legend import sample_swatches, verdict_swatches
from perfsuite.analysis.figures.panels import Drawing
from perfsuite.analysis.figures.ratio_marks import drawn_values
from perfsuite.analysis.figures.row_marks import Point
from perfsuite.analysis.figures.row_panel import MAX_ROWS, Row, drawn_panels, rows_panels
from perfsuite.analysis.figures.style import INK, MUTED, VERDICT_COLORS
from perfsuite.analysis.frames.change_text import percent_change_text, percent_text
from perfsuite.analysis.frames.labels import workload_words
from perfsuite.analysis.verdicts.ranking import ranked
from perfsuite.analysis.verdicts.verdict_words import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.axis import Axis
    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Panel, Swatch
    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison


PANEL_ROWS = 8
"""A forest of more rows is set in two or three panels, which wide pages show side by side."""


def verdicts_chart(figure_data: FigureData, most: int | None = None) -> Drawing | None:
    """Draw changes of time with their intervals, and each process as a dot; the worst verdicts first.

    Args:
        figure_data: What it is about.
        most: How many of them; None: all.
    """
    comparison = figure_data.comparison
    if comparison is None:
        return None
    known = [benchmark for benchmark in ranked(comparison) if benchmark.time.ratio is not None]
    if not known:
        return None
    shown = known if most is None else known[:most]
    processes = _process_ratios(comparison)
    rows = [
        _row(benchmark, label, processes.get(benchmark.fullname, {}))
        for benchmark, label in zip(shown, _labels(shown), strict=True)
    ]
    effects = {benchmark.min_effect for benchmark in shown}
    effect = effects.pop() if len(effects) == 1 else None
    title = "Verdicts: time of the candidate over the baseline"
    if any(benchmark.time.ratio_low is not None for benchmark in shown):
        title += ", with 95% intervals"
    axis = _axis(rows, _processes_words(comparison), effect)
    drawn, not_drawn = drawn_panels(_panels(rows, axis))
    forest, _ = drawn_panels(rows_panels("time: candidate / baseline", "Changes of time", rows, axis, in_columns=True))
    return Drawing(
        kind="verdicts",
        title=title,
        finding=_finding(comparison, len(shown), len(known)),
        panels=drawn,
        legend=tuple(_legend(shown, rows)),
        notes=(*_notes(comparison, shown, effect), *not_drawn),
        forest=forest,
    )


def _process_ratios(comparison: Comparison) -> dict[str, dict[bool, list[float]]]:
    """Return the time of every process over the geometric mean of the baseline's, by benchmark and side.

    Sides: True for the candidate. Nothing where typical rounds were not judged.
    """
    if comparison.typical is None:
        return {}
    sides = comparison.sides
    logs = sides.logs[comparison.typical.quantile]
    found = {}
    for index, fullname in enumerate(sides.fullnames):
        middle = logs[index][~sides.is_candidate]
        middle = middle[np.isfinite(middle)]
        if middle.size == 0:
            continue
        ratios = np.exp(logs[index] - middle.mean())
        is_known = np.isfinite(ratios)
        found[fullname] = {
            False: ratios[is_known & ~sides.is_candidate].tolist(),
            True: ratios[is_known & sides.is_candidate].tolist(),
        }
    return found


def _finding(comparison: Comparison, num_shown: int, num_known: int) -> str:
    counts = ", ".join(f"{num} {verdict}" for verdict, num in comparison.count().items())
    finding = f"{counts[:1].upper()}{counts[1:]}"
    if num_known > num_shown:
        finding += f"; the {num_shown} most notable of {num_known} are drawn"
    return f"{finding}."


def _processes_words(comparison: Comparison) -> str:
    old = len(comparison.sides.side(candidate=False))
    new = len(comparison.sides.side(candidate=True))
    noun = "process" if max(old, new) == 1 else "processes"
    return f"n = {new} and {old} {noun}"


def _axis(rows: Sequence[Row], processes: str, effect: float | None) -> Axis:
    band = None if effect is None else (1 / (1 + effect), 1 + effect)
    quantity = "candidate / baseline, x (below 1: faster)"
    return ratio_axis(quantity, drawn_values(rows), 0.05, n=processes, band=band)


def _panels(rows: Sequence[Row], axis: Axis) -> list[Panel]:
    """Return panels of about as many rows each, at least one per `PANEL_ROWS` up to three."""
    num_panels = max(min(3, math.ceil(len(rows) / PANEL_ROWS)), math.ceil(len(rows) / MAX_ROWS))
    num_rows = math.ceil(len(rows) / num_panels)
    panels: list[Panel] = []
    for start in range(0, len(rows), num_rows):
        title = "time: candidate / baseline" if start == 0 else "time, continued"
        panels += rows_panels(title, "Changes of time", rows[start : start + num_rows], axis)
    return panels


def _legend(shown: Sequence[BenchmarkVerdict], rows: Sequence[Row]) -> list[Swatch]:
    legend = verdict_swatches(benchmark.time.verdict for benchmark in shown)
    if any(len(row.points) > 1 for row in rows):
        legend += sample_swatches("a process")
    return legend


def _notes(comparison: Comparison, shown: Sequence[BenchmarkVerdict], effect: float | None) -> tuple[str, ...]:
    notes = []
    if effect is not None:
        notes.append(f"grey: within {100 * effect:.3g}%, which does not count as a change")
    if any(benchmark.time.by_tail for benchmark in shown):
        notes.append("slowest rounds: their mean is drawn, because they regressed, not the typical rounds")
    if comparison.typical is not None and comparison.typical.judged.any() and not comparison.typical.interleaved:
        notes.append("not interleaved: the sides ran one after the other, which cannot separate code from drift")
    return tuple(notes)


def _labels(benchmarks: Sequence[BenchmarkVerdict]) -> list[str]:
    """Name benchmarks by what distinguishes them: the workload where it is known, else the end of their name."""
    workloads = [dataclasses.asdict(one.workload) for one in benchmarks if one.workload is not None]
    words = workload_words(pd.DataFrame(workloads), but=()) if workloads else None
    labels = []
    for benchmark in benchmarks:
        if benchmark.workload is None or words is None:
            labels.append(benchmark.short_label)
        else:
            label = words(dataclasses.asdict(benchmark.workload))
            labels.append(label.replace("train_step", "step"))
    return labels


def _row(benchmark: BenchmarkVerdict, label: str, processes: dict[bool, list[float]]) -> Row:
    time = benchmark.time
    ratio, low, high = time.ratio or 1.0, time.ratio_low, time.ratio_high
    if time.by_tail and time.tail is not None:
        ratio, low, high = time.tail.ratio, time.tail.ratio_low, time.tail.ratio_high
        label = f"{label}, slowest rounds"
        processes = {}  # their ratios are those of typical rounds
    value = percent_change_text(ratio, low, high)
    if low is None or high is None:
        value += " [no interval]"
    memory = benchmark.memory
    if memory is not None and memory.verdict == "regressed":
        label = f"{label}, uses more memory"
    tip = f"{benchmark.fullname}: time {time.verdict}, {value}; {time.reason}"
    point = Point(value=ratio, color=VERDICT_COLORS[time.verdict], tip=tip, low=low, high=high)
    return Row(
        label=f"{SYMBOLS[time.verdict]} {label}",
        value=value,
        points=(point, *_process_points(label, processes)),
    )


def _process_points(label: str, processes: dict[bool, list[float]]) -> list[Point]:
    points = []
    for is_candidate, ratios in processes.items():
        side, color = ("candidate", INK) if is_candidate else ("baseline", MUTED)
        for ratio in ratios:
            tip = f"{label}: a process of the {side}, {percent_text(ratio)} against the mean of the baseline"
            points.append(Point(value=ratio, color=color, tip=tip, look="process"))
    return points

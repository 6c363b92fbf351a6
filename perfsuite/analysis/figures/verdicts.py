"""Baseline against candidate as a forest plot."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.row_panel import MAX_ROWS, Point, Row, rows_panel, spread_limits
from perfsuite.analysis.figures.style import BETTER, SAME, UNSURE, WORSE
from perfsuite.analysis.frames.labels import workload_words
from perfsuite.analysis.verdicts.metric_verdict import WORST_FIRST, percent
from perfsuite.analysis.verdicts.ranking import ranked
from perfsuite.analysis.verdicts.verdict_words import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.verdicts.metric_verdict import Verdict

COLORS: dict[Verdict, str] = {
    "failed": WORSE,
    "regressed": WORSE,
    "improved": BETTER,
    "unchanged": SAME,
    "inconclusive": UNSURE,
    "missing": UNSURE,
    "new": BETTER,
    "incomparable": UNSURE,
}

PANEL_ROWS = 8
"""A forest of more rows is set in two or three panels, which wide pages show side by side."""

FARTHEST = 4.0
"""Ratios beyond this (and below its inverse) stand at the edge: one outlier must not hide the others."""


def verdicts_chart(figure_data: FigureData, most: int = 2 * MAX_ROWS) -> Drawing | None:
    """Draw changes of time with their intervals, the worst verdicts first, at most so many."""
    comparison = figure_data.comparison
    if comparison is None:
        return None
    known = [benchmark for benchmark in ranked(comparison) if benchmark.time.ratio is not None]
    if not known:
        return None
    shown = known[:most]
    rows = [_row(benchmark, label) for benchmark, label in zip(shown, _labels(shown), strict=True)]
    effects = {benchmark.min_effect for benchmark in shown}
    effect = effects.pop() if len(effects) == 1 else None
    values = [value for row in rows for point in row.points for value in (point.value, point.low, point.high) if value]
    limits = spread_limits([min(max(value, 1 / FARTHEST), FARTHEST) for value in values], 1.0, 0.05)
    sides = [len(comparison.sides.side(candidate=side)) for side in (False, True)]
    intervals = any(benchmark.time.ratio_low is not None for benchmark in shown)
    num = f"n = {sides[1]} and {sides[0]} process{'' if max(sides) == 1 else 'es'}"
    counts = ", ".join(f"{num} {verdict}" for verdict, num in comparison.count().items())
    cut = f"; the {len(shown)} most notable of {len(known)} are drawn" if len(known) > len(shown) else ""
    size = math.ceil(len(rows) / min(3, math.ceil(len(rows) / PANEL_ROWS)))
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    titles = ["time: candidate / baseline", *["time, continued"] * (len(parts) - 1)]
    return Drawing(
        kind="verdicts",
        title=f"Verdicts: time of the candidate over the baseline{', with 95% intervals' if intervals else ''}",
        finding=f"{counts[:1].upper()}{counts[1:]}{cut}.",
        panels=tuple(
            rows_panel(
                title,
                "Changes of time",
                part,
                axis=f"candidate / baseline, x (below 1: faster); {num}",
                limits=limits,
                reference=1.0,
                band=None if effect is None else (1 / (1 + effect), 1 + effect),
            )
            for title, part in zip(titles, parts, strict=True)
        ),
        legend=tuple(
            Swatch(label=f"{SYMBOLS[verdict]} {verdict}", color=COLORS[verdict], look="point")
            for verdict in WORST_FIRST
            if any(benchmark.verdict == verdict for benchmark in shown)
        ),
        notes=_notes(comparison, shown, effect),
    )


def _notes(comparison: Comparison, shown: Sequence[BenchmarkVerdict], effect: float | None) -> tuple[str, ...]:
    notes = []
    if effect is not None:
        notes.append(f"grey: within {100 * effect:.3g}%, which does not count as a change")
    if any(benchmark.time.by_tail for benchmark in shown):
        notes.append("slowest rounds: drawn is their mean, for it is they that regressed, not typical rounds")
    if comparison.typical is not None and comparison.typical.judged.any() and not comparison.typical.interleaved:
        notes.append("not interleaved: the sides ran one after the other, which cannot separate code from drift")
    return tuple(notes)


def _labels(benchmarks: Sequence[BenchmarkVerdict]) -> list[str]:
    """Name benchmarks by what tells them apart: the workload where it is known, else the end of their name."""
    workloads = [dataclasses.asdict(one.workload) for one in benchmarks if one.workload is not None]
    words = workload_words(pd.DataFrame(workloads), but=()) if workloads else None
    return [
        one.fullname.rsplit("::", 1)[-1]
        if one.workload is None or words is None
        else words(dataclasses.asdict(one.workload)).replace("train_step", "step")
        for one in benchmarks
    ]


def _row(benchmark: BenchmarkVerdict, label: str) -> Row:
    time = benchmark.time
    ratio, low, high = time.ratio or 1.0, time.ratio_low, time.ratio_high
    if time.by_tail and time.tail is not None:
        ratio, low, high = time.tail.ratio, time.tail.ratio_low, time.tail.ratio_high
        label = f"{label}, slowest rounds"
    value = f"{percent(ratio)} [no interval]"
    if low is not None and high is not None:
        value = f"{percent(ratio)[:-1]} [{percent(low)[:-1]}, {percent(high)[:-1]}]%"
    tip = f"{benchmark.fullname}: {benchmark.verdict}, {value}; {time.reason}"
    return Row(
        label=f"{SYMBOLS[benchmark.verdict]} {label}",
        value=value,
        points=(Point(value=ratio, color=COLORS[benchmark.verdict], tip=tip, low=low, high=high),),
    )

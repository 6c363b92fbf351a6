"""Baseline against candidate as a forest plot."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.ratio_marks import ratio_limits
from perfsuite.analysis.figures.row_panel import MAX_ROWS, Point, Row, rows_panel
from perfsuite.analysis.figures.style import BETTER, SAME, UNSURE, WORSE
from perfsuite.analysis.frames.labels import workload_words
from perfsuite.analysis.verdicts.metric_verdict import WORST_FIRST, percent
from perfsuite.analysis.verdicts.ranking import ranked
from perfsuite.analysis.verdicts.verdict_words import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Panel
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
    title = "Verdicts: time of the candidate over the baseline"
    if any(benchmark.time.ratio_low is not None for benchmark in shown):
        title += ", with 95% intervals"
    return Drawing(
        kind="verdicts",
        title=title,
        finding=_finding(comparison, len(shown), len(known)),
        panels=tuple(_panels(rows, _processes(comparison), effect)),
        legend=tuple(_legend(shown)),
        notes=_notes(comparison, shown, effect),
    )


def _finding(comparison: Comparison, num_shown: int, num_known: int) -> str:
    counts = ", ".join(f"{num} {verdict}" for verdict, num in comparison.count().items())
    finding = f"{counts[:1].upper()}{counts[1:]}"
    if num_known > num_shown:
        finding += f"; the {num_shown} most notable of {num_known} are drawn"
    return f"{finding}."


def _processes(comparison: Comparison) -> str:
    old = len(comparison.sides.side(candidate=False))
    new = len(comparison.sides.side(candidate=True))
    noun = "process" if max(old, new) == 1 else "processes"
    return f"n = {new} and {old} {noun}"


def _panels(rows: Sequence[Row], processes: str, effect: float | None) -> list[Panel]:
    """Return one to three panels of about as many rows each."""
    num_panels = min(3, math.ceil(len(rows) / PANEL_ROWS))
    num_rows = math.ceil(len(rows) / num_panels)
    limits = ratio_limits(rows, 0.05)
    band = None if effect is None else (1 / (1 + effect), 1 + effect)
    panels = []
    for start in range(0, len(rows), num_rows):
        title = "time: candidate / baseline" if start == 0 else "time, continued"
        panel = rows_panel(
            title,
            "Changes of time",
            rows[start : start + num_rows],
            axis=f"candidate / baseline, x (below 1: faster); {processes}",
            limits=limits,
            reference=1.0,
            band=band,
        )
        panels.append(panel)
    return panels


def _legend(shown: Sequence[BenchmarkVerdict]) -> list[Swatch]:
    verdicts = {benchmark.verdict for benchmark in shown}
    return [
        Swatch(label=f"{SYMBOLS[verdict]} {verdict}", color=COLORS[verdict], look="point")
        for verdict in WORST_FIRST
        if verdict in verdicts
    ]


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
    labels = []
    for benchmark in benchmarks:
        if benchmark.workload is None or words is None:
            labels.append(benchmark.fullname.rsplit("::", 1)[-1])
        else:
            label = words(dataclasses.asdict(benchmark.workload))
            labels.append(label.replace("train_step", "step"))
    return labels


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

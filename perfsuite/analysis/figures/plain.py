"""Benchmarks that are not the suite's: how their times are distributed, and the slowest of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.figures.axis import Axis, set_ticks, upper_limit
from perfsuite.analysis.figures.panels import Drawing, Panel, second_line
from perfsuite.analysis.figures.row_labels import without_common_beginning
from perfsuite.analysis.figures.row_marks import Point
from perfsuite.analysis.figures.row_panel import MAX_ROWS, Row, drawn_panels, rows_panels
from perfsuite.analysis.figures.style import FP32
from perfsuite.analysis.frames.labels import name_column, place_words, span, titled
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.statistics.intervals import geometric_mean
from perfsuite.formatting import counted, duration, plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Marks

NUM_SLOWEST = 10
"""Where there are more benchmarks than fit in a panel, these are drawn by name, and all of them as a distribution."""

MAX_PLACES = 6
"""Places of which times are drawn; more are not read in a figure."""

FAR_APART = 30.0
"""Times that differ by more stand on a logarithmic axis."""

NUM_BINS = 30
"""Of a distribution; for few benchmarks the square root of their number."""

DISTRIBUTION_INCHES = 1.9


def plain_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the medians of benchmarks that are not the suite's, the slowest first, all places on one axis."""
    frame = figure_data.results.benchmarks
    if frame.empty or "time_median_s" not in frame:
        return None
    foreign = frame[frame["model"].isna() & (frame["time_median_s"] > 0)]
    if foreign.empty:
        return None
    place = place_words(foreign)
    foreign = foreign.assign(place=[place(row) for row in rows_of(foreign)])
    all_places = list(dict.fromkeys(foreign["place"]))
    places = all_places[:MAX_PLACES]
    foreign = foreign[foreign["place"].isin(places)]
    medians = foreign.groupby("fullname", sort=False)["time_median_s"].agg(geometric_mean)
    slowest = medians.sort_values(ascending=False, kind="stable")
    is_cut = len(slowest) > MAX_ROWS
    chosen = slowest.head(NUM_SLOWEST if is_cut else MAX_ROWS).index.tolist()
    drawn = foreign[foreign["fullname"].isin(chosen)]
    names, beginning = _short_names(foreign, chosen)
    rows = _rows(drawn, chosen, names, places)
    panels: list[Panel] = []
    title = "benchmarks"
    if is_cut:
        title = f"the slowest {len(chosen)} of {len(slowest):,}"
        panels += [_distribution(where, foreign[foreign["place"] == where]["time_median_s"]) for where in places]
    panels += rows_panels(title, "Medians", rows, _axis(drawn))
    kept, not_drawn = drawn_panels(panels)
    notes = []
    if beginning:
        notes.append(f"names without their common beginning, {beginning}")
    if drawn.groupby(["place", "fullname"]).size().max() > 1:
        notes.append("line: from the fastest run to the slowest")
    if len(all_places) > len(places):
        notes.append(f"{len(all_places) - len(places)} more places are not drawn; the table has them all")
    slow = max((row for row in rows if row.points), key=lambda row: row.points[0].value)
    return Drawing(
        kind="plain",
        title=f"Median times of {plural(len(slowest), 'benchmark')}",
        finding=f"The slowest: {slow.name}, {slow.value}.",
        panels=kept,
        notes=(*notes, *not_drawn),
    )


def _short_names(foreign: pd.DataFrame, fullnames: Sequence[str]) -> tuple[dict[str, str], str]:
    """Return what names each benchmark, and what was left out of all names."""
    labels = dict(zip(foreign["fullname"], foreign[name_column(foreign)], strict=True))
    short, beginning = without_common_beginning([str(labels[name]) for name in fullnames])
    return dict(zip(fullnames, short, strict=True)), beginning


def _axis(drawn: pd.DataFrame) -> Axis:
    times = drawn["time_median_s"].tolist()
    num_runs = span([int(count) for count in drawn.groupby(["place", "fullname"]).size()])
    n = f"n = {counted(num_runs, 'run')} of each"
    if max(times) > FAR_APART * min(times):
        limits = (min(times) / 1.5, max(times) * 1.5)
        return Axis(label=f"median time of an iteration (logarithmic); {n}", limits=limits, scale="log time")
    return Axis(label=f"median time of an iteration; {n}", limits=(0.0, upper_limit(times)), scale="time")


def _rows(drawn: pd.DataFrame, fullnames: Sequence[str], names: Mapping[str, str], places: Sequence[str]) -> list[Row]:
    """Return a row per benchmark, or one for each of its places below its name."""
    rows = []
    by_name = dict(iter(drawn.groupby("fullname", sort=False)))
    for fullname in fullnames:
        runs = by_name[fullname]
        for where in places:
            group, label = (names[fullname], where) if len(places) > 1 else ("", names[fullname])
            rows.append(_median_row(group, label, runs[runs["place"] == where]))
    return rows


def _median_row(group: str, label: str, runs: pd.DataFrame) -> Row:
    """Return the row of a benchmark by all its runs in one place."""
    if runs.empty:
        return Row(group=group, label=label, value="not measured")
    median = geometric_mean(runs["time_median_s"])
    name = f"{group} {label}".strip()
    point = Point(value=median, color=FP32, tip=f"{name}: median {duration(median)}")
    if len(runs) > 1:
        low, high = float(runs["time_median_s"].min()), float(runs["time_median_s"].max())
        tip = f"{point.tip}, {duration(low)} to {duration(high)} in {len(runs)} runs"
        point = dataclasses.replace(point, tip=tip, low=low, high=high)
    return Row(group=group, label=label, value=duration(median), points=(point,))


def _distribution(where: str, medians: pd.Series[float]) -> Panel:
    """Return how the medians of all benchmarks of a place are distributed, on a logarithmic axis."""
    times = medians.to_numpy(float)
    num_bins = max(1, min(NUM_BINS, round(len(times) ** 0.5)))
    low, high = times.min() / 1.05, times.max() * 1.05
    edges = np.geomspace(low, high, num_bins + 1)
    counts, _ = np.histogram(times, edges)
    quartiles = np.percentile(times, [25, 50, 75])
    words = ", ".join(duration(value) for value in quartiles)
    title = titled(f"all {len(times):,} benchmarks", where)

    def draw(axes: Axes, marks: Marks) -> None:
        from matplotlib.patches import Rectangle

        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(0, 1.08 * counts.max())
        set_ticks(axes, "log time")
        axes.grid(visible=True, axis="y")
        for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True):
            bar = Rectangle((start, 0), end - start, count, facecolor=FP32, edgecolor="none", zorder=2)
            axes.add_artist(bar)
            marks.add(bar, f"{plural(int(count), 'benchmark')} from {duration(start)} to {duration(end)}")
        axes.set_xlabel(f"median time of an iteration (logarithmic)\nn = {len(times):,} medians", linespacing=1.35)
        axes.set_ylabel("benchmarks")

    return Panel(
        title=title,
        finding=f"Distribution of {len(times):,} median times; quartiles {words}",
        draw=draw,
        height=DISTRIBUTION_INCHES + second_line(title),
        margins=(0.6, 0.14, 0.57, 0.36 + second_line(title)),
    )

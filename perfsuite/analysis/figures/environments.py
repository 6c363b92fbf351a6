"""Machines or versions side by side: the speed of each against the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.figures.axis import ratio_axis
from perfsuite.analysis.figures.legend import precision_swatches
from perfsuite.analysis.figures.panels import Drawing
from perfsuite.analysis.figures.ratio_marks import (
    bracket_legend,
    bracket_words,
    drawn_values,
    processes_of,
    ratio_point,
)
from perfsuite.analysis.figures.row_panel import Row, drawn_panels, rows_panels
from perfsuite.analysis.figures.style import OTHER_PRECISION, precision_color
from perfsuite.analysis.frames.change_text import speed_text
from perfsuite.analysis.frames.labels import phase_rank, workload_words
from perfsuite.analysis.frames.ratio_text import ratio_of_row
from perfsuite.analysis.frames.rows import is_known, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.figures.axis import Axis
    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Panel, Swatch
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Ratio


def across_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the speed in every other environment against the first, a panel each, all of them on one axis."""
    found = figure_data.across
    if found is None:
        return None
    workloads = _workloads(figure_data.results)
    rows_by_environment: dict[str, list[Row]] = {}
    ratios: list[Ratio] = []
    for entry in sorted(found.changes, key=lambda entry: _order(workloads.get(entry["label"]))):
        time_ratio = ratio_of_row(entry, "ratio")
        if time_ratio is not None:
            speed = time_ratio.inverse()
            ratios.append(speed)
            row = _row(entry, workloads.get(entry["label"]), speed, speed_text(time_ratio))
            rows_by_environment.setdefault(entry["environment"], []).append(row)
    if not rows_by_environment:
        return None
    all_rows = [row for rows in rows_by_environment.values() for row in rows]
    axis = _axis(all_rows, ratios)
    baseline = found.short_names[found.baseline]
    panels: list[Panel] = []
    ranges = []
    for environment in found.environments[1:]:
        rows = rows_by_environment.get(environment, [])
        name = found.short_names[environment]
        if rows:
            panels += rows_panels(name, f"Speed on {name} against {baseline}", rows, axis)
            ranges.append(_range_words(name, rows))
    drawn, not_drawn = drawn_panels(panels)
    notes = ["no verdicts: the sides differ in machine or version on purpose"]
    num_without = len(found.changes) - len(ratios)
    if num_without:
        notes.append(f"{num_without} that only one of two environments measured are not drawn")
    return Drawing(
        kind="across",
        title=f"Speed against {baseline}{bracket_words(ratios)}",
        finding=f"Against {baseline}: {'; '.join(ranges)}.",
        panels=drawn,
        legend=(*_precisions(workloads, all_rows), *bracket_legend(ratios)),
        notes=(*notes, *not_drawn),
    )


def _axis(rows: Sequence[Row], ratios: Sequence[Ratio]) -> Axis:
    quantity = "speed / the baseline's (above 1: faster), x"
    return ratio_axis(quantity, drawn_values(rows), 0.1, n=processes_of(ratios))


def _precisions(workloads: Mapping[str, Workload], rows: Sequence[Row]) -> list[Swatch]:
    """Return the precisions whose colours are drawn: benchmarks of others have one colour, and no entry."""
    colors = {point.color for row in rows for point in row.points}
    names = sorted({workload["precision"] for workload in workloads.values()})
    return precision_swatches((name for name in names if precision_color(name) in colors), look="point")


Workload = dict[str, Any]
"""What is drawn of a workload: its network in words, its precision, its phase."""


def _workloads(results: Results) -> dict[str, Workload]:
    """Return the workloads of the suite's own benchmarks by the label that both sides are matched by."""
    frame = results.benchmarks
    if frame.empty or "label" not in frame:
        return {}
    own = frame[frame["model"].notna()]
    network = workload_words(own)
    names = list(dict.fromkeys(network(row) for row in rows_of(own)))
    found = {}
    for row in rows_of(own):
        name = network(row)
        found[str(row["label"])] = {
            "network": name,
            "rank": names.index(name),
            "precision": str(row["precision"]),
            "phase": str(row["phase"]),
        }
    return found


def _order(workload: Workload | None) -> tuple[int, int]:
    """Return where a row stands: by network, the whole training step first; other benchmarks stay as they are."""
    return (0, 0) if workload is None else (workload["rank"], phase_rank(workload["phase"]))


def _row(entry: Mapping[str, Any], workload: Workload | None, speed: Ratio, words: str) -> Row:
    group, label, color = "", str(entry["label"]).rsplit("::", 1)[-1], OTHER_PRECISION
    if workload is not None:
        group, color = workload["network"], precision_color(workload["precision"])
        label = f"{workload['phase'].replace('_', ' ')} {workload['precision']}"
    tip = f"{entry['label']} on {entry['environment']}: {words}"
    if is_known(entry.get("memory_ratio")):
        tip += f"; {entry['memory_ratio']:.2f}x the peak memory"
    return Row(
        group=group,
        label=label,
        value=words,
        points=(ratio_point(speed, color=color, tip=tip, look="dot"),),
    )


def _range_words(environment: str, rows: Sequence[Row]) -> str:
    ends = sorted(rows, key=lambda row: row.points[0].value)
    texts = [f"{row.points[0].value:.3g}x ({row.name})" for row in (ends[0], ends[-1])]
    return f"{environment} {' to '.join(dict.fromkeys(texts))} the speed"

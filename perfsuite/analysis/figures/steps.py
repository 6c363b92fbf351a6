"""What AMP gives, and what a training step is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.figures.axis import Axis, upper_limit
from perfsuite.analysis.figures.legend import precision_swatches
from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.ratio_marks import (
    bracket_legend,
    bracket_words,
    drawn_values,
    processes_of,
    ratio_points,
)
from perfsuite.analysis.figures.row_labels import group_and_label
from perfsuite.analysis.figures.row_marks import Bar
from perfsuite.analysis.figures.row_panel import Row, drawn_panels, rows_panels, rows_words
from perfsuite.analysis.figures.style import MUTED, SEQUENCE, precision_color
from perfsuite.analysis.frames.cells import by_network, n_words
from perfsuite.analysis.frames.labels import (
    PHASE_TITLES,
    enumerate_words,
    phase_rank,
    place_words,
    span,
    workload_words,
)
from perfsuite.analysis.frames.pairs import COMPARISONS, pairs_frame
from perfsuite.analysis.frames.ratio_text import ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.formatting import significant
from perfsuite.metrics import METRICS
from perfsuite.records.workload import PHASES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Panel
    from perfsuite.analysis.frames.cells import Cell
    from perfsuite.analysis.statistics.intervals import Ratio

NO_GAIN = "speed-up over FP32 (1 = no gain), x"


def speedup_chart(figure_data: FigureData) -> Drawing | None:
    """Draw the speed-up of AMP over FP32 per network and environment, a panel per phase."""
    frame = figure_data.speedups
    if frame.empty:
        return None
    place, network = place_words(figure_data.results.benchmarks), workload_words(figure_data.results.benchmarks)
    records = rows_of(frame)
    networks = list(dict.fromkeys(network(row) for row in records))
    records.sort(key=lambda row: (phase_rank(row["phase"]), networks.index(network(row))))
    several = frame["precision"].nunique() > 1
    by_phase: dict[str, list[tuple[Row, Ratio]]] = {}
    for record in records:
        precision = record["precision"] if several else ""
        group, label = group_and_label(network(record), place(record), precision)
        ratio = _speedup(record)
        row = _speedup_row(group, label, ratio, record["precision"], _speeds(record))
        by_phase.setdefault(record["phase"], []).append((row, ratio))
    ratios = [ratio for rows in by_phase.values() for _, ratio in rows]
    limit = upper_limit([*drawn_values([row for rows in by_phase.values() for row, _ in rows]), 1.0])
    panels: list[Panel] = []
    for phase, rows in by_phase.items():
        title = PHASE_TITLES.get(phase, phase)
        n = processes_of([ratio for _, ratio in rows])
        axis = Axis(label=f"{NO_GAIN}; {n}", limits=(0.0, limit), reference=1.0)
        panels += rows_panels(title, f"Speed-up of a {title} over FP32", [row for row, _ in rows], axis)
    drawn, not_drawn = drawn_panels(panels)
    precisions = list(dict.fromkeys(frame["precision"].tolist()))
    return Drawing(
        kind="speedup",
        title=f"{enumerate_words(sorted(precisions))} vs FP32: speed-up{bracket_words(ratios)}",
        finding=_speedup_finding(records, place),
        panels=drawn,
        legend=(*precision_swatches(precisions), *bracket_legend(ratios)),
        notes=not_drawn,
    )


def _speedup(row: Mapping[Any, Any]) -> Ratio:
    ratio = ratio_of_row(row, "speedup_ratio")
    assert ratio is not None  # noqa: S101 - for the type checker: every row of this frame has one
    return ratio


def _speeds(row: Mapping[Any, Any]) -> str:
    rate = METRICS["images_per_second"]
    speeds = f"{rate.show(row['baseline_images_per_second'])} -> {rate.show(row['images_per_second'])} images/s"
    return f"{row['speedup_source']}; {speeds}"


def _speedup_row(group: str, label: str, ratio: Ratio, precision: str, details: str) -> Row:
    name = " ".join(part for part in (group, label, "" if precision in label else precision) if part)
    tip = f"{name}: {ratio_text(ratio)} over FP32, {details}"
    return Row(
        group=group,
        label=label,
        value=ratio_text(ratio, brief=True),
        bars=(Bar(start=0, width=ratio.ratio, color=precision_color(precision), tip=tip),),
        points=ratio_points(ratio, tip=tip),
    )


def _speedup_finding(records: Sequence[Mapping[Any, Any]], place: Any) -> str:
    """Return the range of speed-ups of the first phase, with the intervals or spreads of its ends, and what they are.

    The first sentence is short: it is the caption of a page.
    """
    phase = records[0]["phase"]
    ends = sorted((row for row in records if row["phase"] == phase), key=lambda row: float(row["speedup_ratio"]))
    what = "A whole training step runs at" if phase == "train_step" else f"A {PHASE_TITLES.get(phase, phase)} runs at"
    texts = [ratio_text(_speedup(row)) for row in (ends[0], ends[-1])]
    names = []
    for row in (ends[0], ends[-1]):
        where = f" on {place(row)}" if place(row) else ""
        names.append(f"{row['model']} {row['precision']}{where}")
    finding = f"{what} {' to '.join(dict.fromkeys(texts))} the speed of FP32."
    if len(ends) == 1:
        return f"{finding} It is that of {names[0]}."
    return f"{finding} The lowest is that of {names[0]}; the highest, of {names[1]}."


def interleaved_chart(figure_data: FigureData) -> Drawing | None:
    """Draw speed-ups that were measured interleaved."""
    frame = pairs_frame(figure_data.results, COMPARISONS["interleaved"])
    if frame.empty:
        return None
    place, network = place_words(frame), workload_words(frame, but=("precision",))
    rows: list[Row] = []
    ratios: list[Ratio] = []
    for record in rows_of(frame):
        time_ratio = ratio_of_row(record, "time_ratio")
        if time_ratio is None:
            continue
        ratio = time_ratio.inverse()
        ratios.append(ratio)
        group, label = group_and_label(network(record), place(record), record["precision"])
        details = f"in {record['num_blocks']} interleaved blocks"
        rows.append(_speedup_row(group, label, ratio, record["precision"], details))
    if not rows:
        return None
    groups = list(dict.fromkeys(row.group for row in rows))
    rows.sort(key=lambda row: groups.index(row.group))
    n = f"n = {span(frame['num_blocks'].tolist())} blocks, {processes_of(ratios).removeprefix('n = ')}"
    axis = Axis(label=f"{NO_GAIN}; {n}", limits=(0, upper_limit([*drawn_values(rows), 1.0])), reference=1.0)
    drawn, not_drawn = drawn_panels(rows_panels("whole training step", "Speed-up over FP32", rows, axis))
    return Drawing(
        kind="interleaved",
        title=f"Speed-up measured interleaved{bracket_words(ratios)}",
        finding=f"Interleaved: {rows_words(rows)}.",
        panels=drawn,
        legend=(*precision_swatches(frame["precision"]), *bracket_legend(ratios)),
        notes=not_drawn,
    )


PARTS = (("forward", SEQUENCE[0]), ("backward", SEQUENCE[1]), ("the rest of the step", SEQUENCE[2]))


def phases_chart(figure_data: FigureData) -> Drawing | None:
    """Draw what a training step's time is made of: forward, backward, and what the whole takes beyond them.

    A panel per network, all its environments and precisions on one axis: as long as a bar is, as long it takes.
    """
    panels: list[Panel] = []
    words = []
    for network, cells in by_network([cell for cell in figure_data.cells if cell.time_s is not None]).items():
        phases_by_row: dict[tuple[str, str], dict[str, Cell]] = {}
        for cell in cells:
            phases_by_row.setdefault((cell.place, cell.workload["precision"]), {})[cell.workload["phase"]] = cell
        whole = {key: phases for key, phases in phases_by_row.items() if set(PHASES) <= set(phases)}
        if not whole:
            continue
        rows = [_phase_row(place, precision, phases) for (place, precision), phases in whole.items()]
        used = [cell for phases in whole.values() for cell in phases.values()]
        axis = Axis(label=f"median time, ms; {n_words(used)}", limits=(0, upper_limit(drawn_values(rows))))
        words.append(f"{network}: {rows_words(rows)}")
        panels += rows_panels(network, "Time of a training step and its phases", rows, axis)
    if not panels:
        return None
    drawn, not_drawn = drawn_panels(panels)
    return Drawing(
        kind="phases",
        title="What the time of a training step is made of",
        finding=f"{words[0]}.",
        panels=drawn,
        legend=(
            *(Swatch(label=name, color=color) for name, color in PARTS),
            Swatch(label="the whole step, measured by itself", color=MUTED),
        ),
        notes=(
            "each phase is measured by itself, so they may add up to more than the step; the rest: optimizer, scaling",
            *not_drawn,
        ),
    )


def _phase_row(place: str, precision: str, cells: Mapping[str, Cell]) -> Row:
    forward, backward, step = (1e3 * (cells[name].time_s or 0) for name in ("forward", "backward", "train_step"))
    rest = step - forward - backward
    _, label = group_and_label("", place, precision)
    bars, start = [], 0.0
    for (name, color), width in zip(PARTS, (forward, backward, rest), strict=True):
        if width <= 0:
            continue  # phases measured apart may add up to more than the whole
        tip = f"{label} {name}: {significant(width)} ms, {width / step:.0%} of {significant(step)} ms"
        bars.append(Bar(start=start, width=width, color=color, tip=tip))
        start += width
    tip = f"{label} whole training step, measured by itself: {significant(step)} ms"
    bars.append(Bar(start=0, width=step, color=MUTED, tip=tip, thin=True))
    return Row(label=label, value=f"{significant(step)} ms", bars=tuple(bars))

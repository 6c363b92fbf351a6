"""What AMP gives, what a training step is made of, and how rounds are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.figures.panels import Drawing, Swatch
from perfsuite.analysis.figures.ratio_marks import bracket_legend, bracket_words, processes_of, ratio_points
from perfsuite.analysis.figures.row_panel import Bar, Row, rows_panel, rows_words, upper_limit
from perfsuite.analysis.figures.style import MUTED, SEQUENCE, precision_color
from perfsuite.analysis.frames.cells import Cell, n_words
from perfsuite.analysis.frames.labels import (
    PHASE_TITLES,
    enumerate_words,
    panel_title,
    phase_rank,
    place_words,
    span,
    titled,
    workload_words,
)
from perfsuite.analysis.frames.pairs import COMPARISONS, pairs_frame
from perfsuite.analysis.frames.ratio_text import ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.formatting import significant
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.statistics.intervals import Ratio


def speedup_chart(figure_data: FigureData) -> Drawing | None:
    """Draw what AMP gives against FP32 per network and phase, a panel per phase and environment."""
    frame = figure_data.speedups
    if frame.empty:
        return None
    place, label = place_words(figure_data.results.benchmarks), workload_words(figure_data.results.benchmarks)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in sorted(rows_of(frame), key=lambda row: phase_rank(row["phase"])):
        groups.setdefault((place(row), row["phase"]), []).append({str(key): value for key, value in row.items()})
    several = frame["precision"].nunique() > 1
    ratios = [_speedup(row) for rows in groups.values() for row in rows]
    limits = (0.0, upper_limit(_ends(ratios)))
    panels = []
    for (where, phase), rows in groups.items():
        drawn = [_speedup_row(row, f"{label(row)} {row['precision']}" if several else label(row)) for row in rows]
        panels.append(
            rows_panel(
                panel_title(where, phase),
                f"Speed-up of a {PHASE_TITLES.get(phase, phase)} over FP32",
                drawn,
                axis=f"speed-up over FP32 (1 = no gain), x; {processes_of([_speedup(row) for row in rows])}",
                limits=limits,
                reference=1.0,
            )
        )
    return Drawing(
        kind="speedup",
        title=f"{enumerate_words(sorted(frame['precision'].unique()))} vs FP32: speed-up{bracket_words(ratios)}",
        finding=speedup_in_words(groups),
        panels=tuple(panels),
        legend=(
            *(Swatch(label=name, color=precision_color(name)) for name in dict.fromkeys(frame["precision"].tolist())),
            *bracket_legend(ratios),
        ),
    )


def _speedup(row: dict[str, Any]) -> Ratio:
    ratio = ratio_of_row(row, "speedup_ratio")
    assert ratio is not None  # noqa: S101 - for the type checker: every row of this frame has one
    return ratio


def _ends(ratios: Sequence[Ratio]) -> list[float]:
    return [ratio.ratio if ratio.high is None else max(ratio.ratio, ratio.high) for ratio in ratios]


def _speedup_row(row: dict[str, Any], label: str) -> Row:
    ratio = _speedup(row)
    rate = METRICS["images_per_second"]
    tip = (
        f"{label}, {row['precision']}: {ratio_text(ratio)} over FP32, {row['speedup_source']}; "
        f"{rate.show(row['baseline_images_per_second'])} -> {rate.show(row['images_per_second'])} images/s"
    )
    color = precision_color(row["precision"])
    return Row(
        label=label,
        value=ratio_text(ratio, brief=True),
        bars=(Bar(start=0, width=ratio.ratio, color=color, tip=tip),),
        points=ratio_points(ratio, tip=tip),
    )


def speedup_in_words(groups: dict[tuple[str, str], list[dict[str, Any]]]) -> str:
    """Return the range of speed-ups of the first phase, with the intervals or spreads of its ends."""
    (where, phase), rows = next(iter(groups.items()))
    ends = sorted(rows, key=lambda row: float(row["speedup_ratio"]))
    texts = [ratio_text(_speedup(row)) for row in (ends[0], ends[-1])]
    names = [f"{row['model']} {row['precision']}" for row in (ends[0], ends[-1])]
    what = f"A {PHASE_TITLES.get(phase, phase)} runs at" if phase != "train_step" else "A whole training step runs at"
    at = f" on {where}" if where else ""
    if len(ends) == 1:
        return f"{what} {texts[0]} the speed of FP32{at} ({names[0]})."
    return f"{what} {texts[0]} ({names[0]}) to {texts[1]} ({names[1]}) the speed of FP32{at}."


def interleaved_chart(figure_data: FigureData) -> Drawing | None:
    """Draw speed-ups that were measured interleaved."""
    frame = pairs_frame(figure_data.results, COMPARISONS["interleaved"])
    if frame.empty:
        return None
    place, label = place_words(frame), workload_words(frame, but=("precision",))
    groups: dict[str, list[Row]] = {}
    ratios: list[Ratio] = []
    for row in rows_of(frame):
        time_ratio = ratio_of_row(row, "time_ratio")
        if time_ratio is None:
            continue
        ratio = time_ratio.inverse()
        ratios.append(ratio)
        color = precision_color(row["precision"])
        name = f"{label(row)} {row['precision']}"
        tip = f"{name}: {ratio_text(ratio)} over {row['baseline_precision']}, in {row['num_blocks']} interleaved blocks"
        groups.setdefault(place(row), []).append(
            Row(
                label=name,
                value=ratio_text(ratio, brief=True),
                bars=(Bar(start=0, width=ratio.ratio, color=color, tip=tip),),
                points=ratio_points(ratio, tip=tip),
            )
        )
    n = f"n = {span(frame['num_blocks'].tolist())} blocks, {processes_of(ratios).removeprefix('n = ')}"
    return Drawing(
        kind="interleaved",
        title=f"Speed-up measured interleaved{bracket_words(ratios)}",
        finding=f"Interleaved: {rows_words([row for rows in groups.values() for row in rows])}.",
        panels=tuple(
            rows_panel(
                titled("whole training step", where),
                "Speed-up over FP32",
                rows,
                axis=f"speed-up over FP32 (1 = no gain), x; {n}",
                limits=(0, upper_limit(_ends(ratios))),
                reference=1.0,
            )
            for where, rows in groups.items()
        ),
        legend=(
            *(Swatch(label=name, color=precision_color(name)) for name in dict.fromkeys(frame["precision"])),
            *bracket_legend(ratios),
        ),
    )


PARTS = (("forward", SEQUENCE[0]), ("backward", SEQUENCE[1]), ("the rest of the step", SEQUENCE[6]))


def phases_chart(figure_data: FigureData) -> Drawing | None:
    """Draw what a training step's time is made of: forward, backward, and what the whole takes beyond them."""
    found: dict[tuple[str, str], dict[str, dict[str, Cell]]] = {}
    for cell in figure_data.cells:
        if cell.time_s is not None:
            phases = found.setdefault((cell.place, cell.label), {}).setdefault(cell.workload["precision"], {})
            phases[cell.workload["phase"]] = cell
    panels, words, used = [], [], []
    for (where, label), precisions in found.items():
        whole = {name: cells for name, cells in precisions.items() if set(PHASE_TITLES) <= set(cells)}
        if not whole:
            continue
        used += [cell for cells in whole.values() for cell in cells.values()]
        rows = [_phase_row(name, cells) for name, cells in whole.items()]
        ends = [bar.start + bar.width for row in rows for bar in row.bars]
        words.append(f"{label}: {rows_words(rows)}")
        panels.append(
            rows_panel(
                titled(label, where),
                f"Time of a training step and its phases, {words[-1]}",
                rows,
                axis=f"median time, ms; {n_words([cell for cells in whole.values() for cell in cells.values()])}",
                limits=(0, upper_limit(ends)),
            )
        )
    if not panels:
        return None
    return Drawing(
        kind="phases",
        title="What the time of a training step is made of",
        finding=f"{words[0]}.",
        panels=tuple(panels),
        legend=(
            *(Swatch(label=name, color=color) for name, color in PARTS),
            Swatch(label="the whole step, measured by itself", color=MUTED),
        ),
        notes=(
            "each phase is measured by itself, so they may add up to more than the step; the rest: optimizer, scaling",
        ),
    )


def _phase_row(precision: str, cells: dict[str, Cell]) -> Row:
    forward, backward, step = (1e3 * (cells[name].time_s or 0) for name in ("forward", "backward", "train_step"))
    rest = step - forward - backward
    bars, start = [], 0.0
    for (name, color), width in zip(PARTS, (forward, backward, rest), strict=True):
        if width <= 0:
            continue  # phases measured apart may add up to more than the whole
        share = f", {width / step:.0%} of {significant(step)} ms"
        bars.append(
            Bar(start=start, width=width, color=color, tip=f"{precision} {name}: {significant(width)} ms{share}")
        )
        start += width
    tip = f"{precision} whole training step, measured by itself: {significant(step)} ms"
    bars.append(Bar(start=0, width=step, color=MUTED, tip=tip, thin=True))
    return Row(label=precision, value=f"{significant(step)} ms", bars=tuple(bars))

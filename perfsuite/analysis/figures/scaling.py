"""How efficient several devices are, against the ideal line, and where the time of their steps goes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.figures.axis import Axis
from perfsuite.analysis.figures.curves import DASHES, MAX_CURVES, Line, label_ends, with_count
from perfsuite.analysis.figures.panels import Drawing, Panel, Swatch, second_line
from perfsuite.analysis.figures.ratio_marks import SPREAD_WORDS, bracket_legend, bracket_words, processes_of
from perfsuite.analysis.figures.row_marks import INTERVAL_POINTS, SPREAD_POINTS, Bar
from perfsuite.analysis.figures.row_panel import Row, drawn_panels, rows_panels
from perfsuite.analysis.figures.style import INK, MUTED, SEQUENCE, precision_color
from perfsuite.analysis.frames.labels import enumerate_words, place_words, titled, workload_words
from perfsuite.analysis.frames.ratio_text import percent_ratio_text, ratio_of_row
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.scaling import scaling_frame
from perfsuite.formatting import plural
from perfsuite.records.numerics import Curve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.curves import Dash
    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Marks
    from perfsuite.analysis.statistics.intervals import Ratio

    Entry = Mapping[str, Any]

COMPUTING, SHARING, COMMUNICATION = SEQUENCE[1], SEQUENCE[4], SEQUENCE[3]
"""Of the parts of a step."""

LINE_DASHES: tuple[Dash, ...] = ("solid", "dashed", "dotted", "dash-dotted")

IDEAL_PERCENT = 100.0

PANEL_INCHES = 2.6

EFFICIENCY = ": efficiency"
"""How the titles of panels end that show efficiency, not what it is lost to."""

MAX_SIDEWAYS = 0.12
"""How far the lines of one world size are set apart, so that their intervals can be seen, in steps of the axis."""


def scaling_chart(figure_data: FigureData) -> Drawing | None:
    """Draw efficiency against world size with the ideal line, and below it the parts of a step, for each network."""
    frame = scaling_frame(figure_data.results)
    if frame.empty:
        return None
    rows = rows_of(frame)
    place = place_words(frame)
    name = _line_namer(frame)
    subjects: dict[tuple[str, str], list[Entry]] = {}
    for row in rows:
        subjects.setdefault((_network(row, frame), place(row)), []).append(row)
    panels: list[Panel] = []
    all_ratios: list[Ratio] = []
    for (network, where), members in subjects.items():
        panels.append(_efficiency_panel(titled(f"{network}{EFFICIENCY}", where), members, name))
        panels += _parts_panels(titled(f"{network}: where a step's time goes", where), members, name)
        all_ratios += [_ratio(row, "efficiency_ratio") for row in members]
    drawn, not_drawn = drawn_panels(panels)
    has_parts, has_unknown = (bool(known.any()) for known in (_has_communication(frame), ~_has_communication(frame)))
    parts = (
        Swatch(label="as one device alone", color=COMPUTING),
        Swatch(label="lost to sharing the machine", color=SHARING),
        Swatch(label="communication", color=COMMUNICATION),
    )
    unknown = (Swatch(label="lost in all", color=MUTED, look="hatch"),) if has_unknown else ()
    return Drawing(
        kind="scaling",
        title=f"Efficiency of several devices{bracket_words(all_ratios)}",
        finding=_finding(rows, name, place),
        panels=drawn,
        legend=(
            Swatch(label="ideal: 100%", color=MUTED, look="dashed"),
            *(parts if has_parts else parts[:1]),
            *unknown,
            *bracket_legend(all_ratios),
        ),
        notes=(*_notes(frame), *not_drawn),
    )


def efficiency_only(drawing: Drawing, most: int) -> Drawing:
    """Return the first panels of a figure that show efficiency, and what of its legend is drawn there."""
    panels = [panel for panel in drawing.panels if panel.title.partition("\n")[0].endswith(EFFICIENCY)]
    legend = tuple(swatch for swatch in drawing.legend if swatch.look not in {"box", "hatch"})
    return dataclasses.replace(drawing, panels=tuple(panels[:most]), legend=legend, notes=())


def _has_communication(frame: pd.DataFrame) -> pd.Series[bool]:
    return frame["communication_ratio"].notna()


def _ratio(row: Entry, name: str) -> Ratio:
    ratio = ratio_of_row(row, name)
    assert ratio is not None  # noqa: S101 - for the type checker: every row has it
    return ratio


def _network(row: Entry, frame: pd.DataFrame) -> str:
    """Return what names the network of a row, with its digest where several have its name."""
    is_shared = frame.loc[frame["model"] == row["model"], "model_digest"].nunique(dropna=False) > 1
    return f"{row['model']} ({row['model_digest'][:6]})" if is_shared and row["model_digest"] else str(row["model"])


def _line_namer(frame: pd.DataFrame) -> Callable[[Entry], str]:
    """Return what names a line within its panel: its precision and strategy, and what else varies between lines."""
    weak = frame[frame["scaling"] == "weak"]
    # On strong scaling the batch of a rank follows from the number of ranks.
    batches = weak["batch_size"].nunique() > 1
    unsaid = ("model", "model_digest", "phase", "precision", *(() if batches else ("batch_size",)))
    words = workload_words(frame, but=unsaid)
    backends = [column for column in ("backend", "backend_version") if frame[column].nunique() > 1]

    def name(row: Entry) -> str:
        fields = {**row, "world_size": None}  # which is the axis
        extra = [] if row["strategy"] == USUAL_STRATEGY else [str(row["strategy"])]
        extra += [] if row["compression"] == "none" else [HOOK.format(row["compression"])]
        extra += [] if row["scaling"] == "weak" else [str(row["scaling"])]
        extra += [str(row[column]) for column in backends]
        return " ".join(part for part in (str(row["precision"]), words(fields), *extra) if part)

    return name


USUAL_STRATEGY = "ddp"
"""That goes without saying beside others."""

HOOK = "{} hook"
"""Short for a compression of gradients: names at the ends of lines have little room."""


def _lines(members: Sequence[Entry]) -> dict[int, list[Entry]]:
    lines: dict[int, list[Entry]] = {}
    for row in members:
        lines.setdefault(int(row["line"]), []).append(row)
    return lines


def _efficiency_panel(title: str, members: Sequence[Entry], name: Callable[[Entry], str]) -> Panel:
    """Return efficiency against world size, a line per precision, strategy and what else varies."""
    all_lines = list(_lines(members).values())
    lines = all_lines[:MAX_CURVES]
    sizes = sorted({int(row["world_size"]) for row in members})
    ratios = [_ratio(row, "efficiency_ratio").times(IDEAL_PERCENT) for line in lines for row in line]
    where = title.replace("\n", ", ")
    label = with_count("efficiency in % against the number of ranks", len(lines), len(all_lines), "lines")
    n = processes_of([_ratio(row, "efficiency_ratio") for row in members]).partition(",")[0]
    longest = max(len(name(line[0])) for line in lines)

    def draw(axes: Axes, marks: Marks) -> None:
        from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

        axes.axhline(IDEAL_PERCENT, color=MUTED, linewidth=1.0, linestyle=DASHES["dashed"], zorder=1.5)
        ends = []
        for number, line in enumerate(lines):
            aside = MAX_SIDEWAYS * (number - (len(lines) - 1) / 2) / max(len(lines) - 1, 1)
            xs = [sizes.index(int(row["world_size"])) + aside for row in line]
            dash = LINE_DASHES[number % len(LINE_DASHES)]
            ends.append(_draw_line(axes, marks, line, xs, dash, (where, name(line[0]))))
        axes.set_xlim(-0.35, len(sizes) - 1 + 0.35)
        low = min([IDEAL_PERCENT, *(ratio.low if ratio.low is not None else ratio.ratio for ratio in ratios)])
        high = max([IDEAL_PERCENT, *(ratio.high if ratio.high is not None else ratio.ratio for ratio in ratios)])
        room = 0.06 * max(high - low, 2.0)
        axes.set_ylim(low - room, high + room)
        axes.xaxis.set_major_locator(FixedLocator(list(range(len(sizes)))))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{sizes[round(value)]}"))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%"))
        axes.grid(visible=True, axis="y")
        axes.set_xlabel(f"{label}\n{n}", linespacing=1.35)
        label_ends(axes, ends)

    words = [
        f"{name(line[0])} {_percent(line[-1])} with {plural(int(line[-1]['world_size']), 'rank')}" for line in lines
    ]
    return Panel(
        title=title,
        finding=f"{where}: {enumerate_words(words)}",
        draw=draw,
        height=PANEL_INCHES + second_line(title),
        margins=(0.5, 0.26 + 0.068 * min(longest, 17), 0.57, 0.36 + second_line(title)),
    )


def _draw_line(
    axes: Axes, marks: Marks, line: Sequence[Entry], xs: Sequence[float], dash: Dash, names: tuple[str, str]
) -> tuple[float, float, Line]:
    """Draw a line with its intervals; return where it ends, for its name.

    Args:
        axes: Where.
        marks: Of the panel.
        line: Its rows, by world size.
        xs: Where each of them stands.
        dash: What distinguishes it from others of its colour.
        names: What the panel is of, and the line.
    """
    where, name = names
    color = precision_color(line[0]["precision"])
    ratios = [_ratio(row, "efficiency_ratio") for row in line]
    ys = [IDEAL_PERCENT * ratio.ratio for ratio in ratios]
    axes.plot(xs, ys, color=color, linewidth=1.3, linestyle=DASHES[dash], zorder=2.5)
    for x, y, ratio, row in zip(xs, ys, ratios, line, strict=True):
        if ratio.low is not None and ratio.high is not None:
            is_spread = ratio.basis == "one run"
            ends = [IDEAL_PERCENT * ratio.low, IDEAL_PERCENT * ratio.high]
            width = SPREAD_POINTS if is_spread else INTERVAL_POINTS
            axes.plot([x, x], ends, color=INK, linewidth=width, zorder=3, solid_capstyle="butt")
            if not is_spread:
                axes.plot([x, x], ends, "_", color=INK, markersize=6, markeredgewidth=1.2, zorder=3)
        (dot,) = axes.plot([x], [y], "o", color=color, markersize=4.0, zorder=4)
        spread = f"; {SPREAD_WORDS}" if ratio.basis == "one run" else ""
        ranks = plural(int(row["world_size"]), "rank")
        marks.add(dot, f"{where}, {name}, {ranks}: efficiency {percent_ratio_text(ratio, brief=True)}{spread}")
    curve = Curve(name=name, x=tuple(xs), y=tuple(ys))
    return xs[-1], ys[-1], Line(curve=curve, name=name, color=color, dash=dash)


def _percent(row: Entry) -> str:
    return percent_ratio_text(_ratio(row, "efficiency_ratio"), brief=True)


def _parts_panels(title: str, members: Sequence[Entry], name: Callable[[Entry], str]) -> tuple[Panel, ...]:
    """Return the parts of a step, stacked, a row per world size of each line; one rank loses nothing to others."""
    shown = [row for row in members if row["world_size"] > 1] or list(members)
    rows = [_parts_row(row, name(row)) for row in shown]
    ends = [bar.start + bar.width for row in rows for bar in row.bars]
    n = processes_of([_ratio(row, "efficiency_ratio") for row in shown]).partition(",")[0]
    axis = Axis(label=f"share of a step, %; {n}", limits=(0.0, max([IDEAL_PERCENT, *ends]) * 1.01))
    return rows_panels(title, "Where a step's time goes", rows, axis)


def _parts_row(row: Entry, name: str) -> Row:
    """Return a row whose parts add up to a whole step; a part that was measured below 0 is drawn as none."""
    efficiency = IDEAL_PERCENT * float(row["efficiency_ratio"])
    ranks = plural(int(row["world_size"]), "rank")
    label = f"{name}, {ranks}"
    if row["communication_ratio"] is None:
        lost = IDEAL_PERCENT - efficiency
        parts = [("as one device alone", efficiency, COMPUTING, False), ("lost in all", lost, MUTED, True)]
        value = f"lost {lost:.1f}%"
    else:
        communication = IDEAL_PERCENT * float(row["communication_ratio"])
        sharing = IDEAL_PERCENT - efficiency - communication
        parts = [
            ("as one device alone", efficiency, COMPUTING, False),
            ("lost to sharing the machine", sharing, SHARING, False),
            ("communication", communication, COMMUNICATION, False),
        ]
        value = f"sharing {sharing:.1f}%, exchange {communication:.1f}%"
    bars, start = [], 0.0
    for what, percent, color, is_unknown in parts:
        if percent > 0:
            tip = f"{label}: {what} {percent:.1f}% of a step"
            bars.append(Bar(start=start, width=percent, color=color, tip=tip, hatched=is_unknown))
            start += percent
    return Row(group=name, label=ranks, value=value, bars=tuple(bars))


def _finding(rows: Sequence[Entry], name: Callable[[Entry], str], place: Callable[[Entry], str]) -> str:
    """Return the efficiency of the most ranks of each line, in words."""
    last: dict[int, Entry] = {int(row["line"]): row for row in rows}
    words = []
    for row in list(last.values())[:MAX_WORDS]:
        subject = " ".join(part for part in (str(row["model"]), name(row), place(row)) if part)
        words.append(f"{subject} {_percent(row)} of ideal on {plural(int(row['world_size']), 'rank')}")
    more = f" and {len(last) - MAX_WORDS} more" if len(last) > MAX_WORDS else ""
    return f"{', '.join(words)}{more}."


MAX_WORDS = 6


def _notes(frame: pd.DataFrame) -> list[str]:
    notes = ["efficiency: images/s of all ranks over N times those of one device alone, in the same processes"]
    if "strong" in set(frame["scaling"]):
        notes.append("strong: the ranks share a batch; what a smaller batch loses is counted as sharing")
    if (frame["compression"] != "none").any():
        notes.append("hook: gradients are exchanged in another type")
    known = frame[frame["communication_ratio"].notna() & (frame["world_size"] > 1)]
    sharing = 1 - known["efficiency_ratio"] - known["communication_ratio"]
    if ((known["communication_ratio"] < 0) | (sharing < 0)).any():
        notes.append("a part that was measured below 0 is not drawn; its number is in words")
    return notes

"""What to switch on here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.columns import place_columns
from perfsuite.analysis.frames.labels import differs, place_words, shared_in_words
from perfsuite.analysis.frames.ratio_text import MORE_SWITCHES, bracket_notes, ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.frames.switches import EAGER, switches_frame
from perfsuite.analysis.tables.shared_columns import (
    notes_of,
    place_table_columns,
    throughput_heading,
    warnings_column,
)
from perfsuite.analysis.tables.table import Column, Priority, Table, metric_column, shown, text_column
from perfsuite.formatting import significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Ratio


def switches_table(results: Results) -> Table:
    """Return a row for each combination of switches: speed-up, memory, what it costs to start, or why there is none."""
    frame = switches_frame(results)
    if frame.empty:
        note = "no switches were measured: pytest benchmarks -m switches does that"
        return Table(title="What to switch on here", frame=frame, columns=(), notes=(note, *notes_of(results)))
    columns = shown(
        *place_table_columns(frame),
        text_column("subject", "network", shown_when=differs(frame, "subject"), priority=Priority.KEY),
        text_column("switched_on", priority=Priority.KEY),
        Column(heading="speed-up", show=_speedup, numeric=True, priority=Priority.MAIN),
        metric_column("images_per_second", heading=throughput_heading(frame), priority=Priority.NORMAL),
        metric_column("peak_allocated_bytes", priority=Priority.NORMAL),
        metric_column("memory_ratio", priority=Priority.MAIN),
        metric_column("start_s", priority=Priority.MAIN),
        Column(heading="pays off after", show=_break_even, numeric=True, priority=Priority.NORMAL),
        warnings_column(frame),
        text_column("reason", "not measured", foldable=True, shown_when=bool((frame["reason"] != "").any())),
    )
    ratios = [ratio_of_row(row, "speedup_ratio") for row in rows_of(frame)]
    about = frame.drop(
        columns=[column for column in ("memory_format", "compile_mode", "cuda_graphs") if column in frame]
    )
    subject = "" if differs(frame, "subject") else f" for {frame['subject'].iloc[0]}"
    return Table(
        title=f"What to switch on here{subject}: a training step{shared_in_words(about)}",
        frame=frame,
        columns=columns,
        legend=(
            "speed-up over the eager FP32 step, each measured interleaved with it; a drift cancels",
            *bracket_notes(ratios, spread_of="blocks", more=MORE_SWITCHES),
            f"{throughput_heading(frame)}: of the eager step, the median over all blocks, times the speed-up",
            "start s: until the first step was done; compiling and capturing included, nothing compiled before is used",
            "pays off after: the steps that make up for the longer start; -: a step is not faster",
        ),
        notes=(*_best(frame), *notes_of(results)),
    )


def _speedup(row: dict[str, Any]) -> str:
    ratio = ratio_of_row(row, "speedup_ratio")
    if ratio is None:
        return "1.00x" if row["switched_on"] == EAGER and row["reason"] == "" else "-"
    return ratio_text(ratio, brief=True)


def _break_even(row: dict[str, Any]) -> str:
    steps = row.get("break_even_steps")
    return f"{steps:,.0f} steps" if is_known(steps) else "-"


def _best(frame: pd.DataFrame) -> list[str]:
    """Return in words, for each network and place, what was fastest, and what cannot be told from it."""
    found = []
    place = place_words(frame)
    several = differs(frame, "subject")
    measured = frame[frame["reason"] == ""]
    for _, rows in measured.groupby(["subject", *place_columns(frame)], sort=False, dropna=False):
        with_ratios = [(ratio_of_row(row, "speedup_ratio"), row) for row in rows_of(rows)]
        known = [(ratio, row) for ratio, row in with_ratios if ratio is not None]
        if not known:
            continue
        best, row = max(known, key=lambda pair: pair[0].ratio)
        names = [row["subject"] if several else "", place(row)]
        where = "".join(f"{name}: " for name in names if name)
        if best.low is None or best.low <= 1:
            found.append(f"{where}nothing is faster than the eager FP32 step beyond its scatter")
            continue
        others = [other["switched_on"] for ratio, other in known if other is not row and _overlap(ratio, best)]
        found.append(f"{where}fastest here: {_fastest_in_words(row, best, others)}")
    return found


def _fastest_in_words(row: dict[str, Any], speedup: Ratio, others: Sequence[str]) -> str:
    """Return what was fastest with what it costs, and the others that it cannot be told from."""
    text = f"{row['switched_on']}, {ratio_text(speedup, brief=True)}"
    if is_known(row["memory_ratio"]):
        text += f", {row['memory_ratio']:.2f}x the memory"
    if is_known(row["start_s"]):
        text += f", {significant(row['start_s'], 3)} s to start"
    if others:
        text += f"; not distinguishable from it by these brackets: {', '.join(others)}"
    return text


def _overlap(one: Any, other: Any) -> bool:
    if None in {one.low, one.high, other.low, other.high}:
        return False
    return bool(one.low <= other.high and other.low <= one.high)

"""How well several devices scale, in the report: the answer of the first screen, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.labels import place_words
from perfsuite.analysis.frames.ratio_text import percent_ratio_text, ratio_of_row
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.scaling import at_most_ranks, failed_checks_in_words, scaling_frame
from perfsuite.analysis.report.answers import MAX_NAMED, Answer, first_lines, small_table
from perfsuite.formatting import plural
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.figures.figure_data import FigureData

    Entry = Mapping[str, Any]

SECTION = "scaling"


def scaling_answer(figure_data: FigureData) -> Answer | None:
    """Return the answer of the first screen: how close to ideal the most devices come, and what communication takes."""
    frame = scaling_frame(figure_data.results)
    if frame.empty:
        return None
    rows = at_most_ranks(rows_of(frame))
    shown = pd.DataFrame(rows)
    failed = failed_checks_in_words(figure_data.results)
    tables, more = small_table(
        ("", "of ideal", "communication", "images/s", "AMP vs FP32"),
        [_texts(row, shown) for row in rows],
    )
    lead = scaling_lead(rows)
    if failed:
        lead = f"FAILED: gradients of {plural(_num_failed(rows_of(frame)), 'step')} are not what they should be. {lead}"
    return Answer(
        question="How well does it scale?",
        lead=lead,
        tables=tables,
        lines=(*more, *first_lines(failed, MAX_NAMED)),
        tone="bad" if failed else "plain",
        target=SECTION,
    )


def scaling_words(figure_data: FigureData) -> tuple[str, ...]:
    """Return the lead of the section; nothing where nothing was measured on several devices."""
    frame = scaling_frame(figure_data.results)
    return () if frame.empty else (scaling_lead(at_most_ranks(rows_of(frame))),)


def scaling_items(figure_data: FigureData) -> tuple[str, ...]:
    """Return the checks of gradients that do not hold."""
    return tuple(failed_checks_in_words(figure_data.results))


def scaling_lead(rows: Sequence[Entry]) -> str:
    """Return the answer in a line: `2 GPUs: 94% of ideal; 5% of a step is communication`.

    Args:
        rows: Of `scaling_frame`, all of one world size.
    """
    ranks = int(rows[0]["world_size"])
    noun = "GPU" if rows[0]["device_type"] == "cuda" else "rank"
    text = f"{plural(ranks, noun)}: {_percents([row['efficiency_ratio'] for row in rows])} of ideal"
    shares = [row["communication_ratio"] for row in rows if row["communication_ratio"] is not None]
    return f"{text}; {_percents(shares)} of a step is communication" if shares and ranks > 1 else text


def _percents(ratios: Sequence[float]) -> str:
    """Return a range of shares in whole percents: `94%`, `87% to 94%`."""
    ends = [f"{100 * max(ratio, 0.0):.0f}%" for ratio in (min(ratios), max(ratios))]
    return " to ".join(dict.fromkeys(ends))


def _num_failed(rows: Sequence[Entry]) -> int:
    return sum(row["num_failed_checks"] > 0 for row in rows)


def _texts(row: Entry, frame: pd.DataFrame) -> tuple[str, ...]:
    efficiency, communication = (ratio_of_row(row, f"{name}_ratio") for name in ("efficiency", "communication"))
    amp = row["amp_speedup_ratio"]
    return (
        _name(row, frame),
        "" if efficiency is None else percent_ratio_text(efficiency, brief=True),
        "" if communication is None else percent_ratio_text(communication, brief=True),
        METRICS["images_per_second"].show(row["images_per_second"]),
        "" if amp is None else METRICS["speedup_ratio"].show(amp),
    )


def _name(row: Entry, frame: pd.DataFrame) -> str:
    """Return what names a row among others of its world size."""
    parts = [str(row["model"]), str(row["precision"])]
    if frame["batch_size"].nunique() > 1:
        parts.append(f"b{row['batch_size']}")
    if frame["strategy"].nunique() > 1:
        parts.append(str(row["strategy"]))
    if row["compression"] != "none":
        parts.append(f"{row['compression']}-gradients")
    if row["scaling"] != "weak":
        parts.append(str(row["scaling"]))
    if frame["backend"].nunique() > 1:
        parts.append(str(row["backend"]))
    return " ".join([*parts, place_words(frame)(row)]).strip()

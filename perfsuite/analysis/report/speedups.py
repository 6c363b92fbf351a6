"""AMP vs FP32 in words: speed and memory of the whole training step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.labels import PHASE_TITLES, compared_name, place_words, workload_words
from perfsuite.analysis.frames.pairs import pairs_frame
from perfsuite.analysis.frames.ratio_text import bracket_notes, is_interval, ratio_columns, ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.report.answers import MAX_NAMED, MAX_ROWS, Answer, small_table
from perfsuite.formatting import significant
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Ratio

Row = dict[str, Any]


def speedups_answer(figure_data: FigureData) -> Answer | None:
    """Return the answer of the first screen, where FP32 and another precision were measured."""
    frame, source = figure_data.speedups, figure_data.results.benchmarks
    if frame.empty:
        frame = source = interleaved_speedups(figure_data.results)
    if frame.empty:
        return None
    phase = next(name for name in (*PHASE_TITLES, *frame["phase"]) if (frame["phase"] == name).any())
    rows = rows_of(frame[frame["phase"] == phase])
    speedups = [ratio_of_row(row, "speedup_ratio") for row in rows]
    memories = _memory_ratios(rows)
    lead = f"{_times([float(row['speedup_ratio']) for row in rows])} as fast"
    if memories:
        lead += f", {saved_memory(memories)}"
    compared = compared_name(frame["precision"], "another precision")
    place = place_words(source)
    by_place: dict[str, list[Row]] = {}
    for row in rows:
        by_place.setdefault(place(row), []).append(row)
    if len(by_place) == 1:
        label = workload_words(source)
        most = MAX_ROWS
        heads, texts = _by_workload(rows, label, several=frame["precision"].nunique() > 1)
    else:
        most = MAX_NAMED
        heads, texts = _by_place(by_place)
    tables, more = small_table(heads, texts, most=most)
    notes = bracket_notes(speedups, spread_of="rounds or interleaved blocks", more="")
    return Answer(
        question=f"{compared} vs FP32 ({PHASE_TITLES.get(phase, phase)})",
        lead=lead,
        tables=tables,
        lines=(*more, *(notes if len(by_place) == 1 else [])),
        tone=_tone(speedups),
        target="speedup",
    )


def interleaved_speedups(results: Results) -> pd.DataFrame:
    """Return what `speedup_frame` returns of steps, of interleaved pairs; their memory is unknown."""
    frame = pairs_frame(results, ("speedup",))
    rows = []
    for row in rows_of(frame[frame["baseline_precision"] == BASELINE] if "baseline_precision" in frame else frame):
        ratio = ratio_of_row(row, "time_ratio")
        if ratio is None:
            continue
        speeds = {
            "baseline_images_per_second": row["batch_size"] / row["baseline_time_s"],
            "images_per_second": row["batch_size"] / row["time_s"],
        }
        rows.append({**row, **speeds, **ratio_columns("speedup_ratio", ratio.inverse())})
    return pd.DataFrame(rows)


def _memory_ratios(rows: Iterable[Row]) -> list[float]:
    return [float(row["memory_ratio"]) for row in rows if is_known(row.get("memory_ratio"))]


def _by_workload(
    rows: Sequence[Row], label: Callable[[Mapping[Any, Any]], str], *, several: bool
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return a row for each network, and precision where there are several."""
    texts: list[tuple[str, ...]] = []
    for row in rows:
        ratio = ratio_of_row(row, "speedup_ratio")
        speed = "unknown" if ratio is None else ratio_text(ratio, brief=True)
        memories = _memory_ratios([row])
        memory = saved_memory(memories, brief=True) if memories else ""
        name = f"{label(row)} {row['precision']}" if several else label(row)
        speeds = [significant(row[key], 3) for key in ("baseline_images_per_second", "images_per_second")]
        texts.append((name, speed, " -> ".join(speeds), memory))
    return ("", "speed", "images/s", "memory"), texts


def _by_place(by_place: Mapping[str, Sequence[Row]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return a row for each place: what its networks have in common."""
    texts: list[tuple[str, ...]] = []
    for where, rows in by_place.items():
        memories = _memory_ratios(rows)
        memory = saved_memory(memories, brief=True) if memories else ""
        texts.append((where, _times([float(row["speedup_ratio"]) for row in rows]), memory))
    return ("", "speed", "memory"), texts


def _times(ratios: Sequence[float]) -> str:
    """Return `1.50x to 2.10x`, or one number where both are printed the same."""
    ends = (f"{min(ratios):.2f}x", f"{max(ratios):.2f}x")
    return " to ".join(dict.fromkeys(ends))


def saved_memory(ratios: Sequence[float], *, brief: bool = False) -> str:
    """Return ratios of memory as `36% to 44% less memory`; what is more is called more.

    Args:
        ratios: Memory over that of FP32.
        brief: Whether it stands under a heading that says what it is: `-44% to -36%`.
    """
    low, high = round(100 * (min(ratios) - 1)), round(100 * (max(ratios) - 1))
    if brief:
        return " to ".join(dict.fromkeys(f"{end:+d}%" for end in (low, high)))
    if high < 0:
        return f"{' to '.join(dict.fromkeys(f'{-end}%' for end in (high, low)))} less memory"
    if low > 0:
        return f"{' to '.join(dict.fromkeys(f'{end}%' for end in (low, high)))} more memory"
    return "the same memory" if low == high else f"{low:+d}% to {high:+d}% memory"


def _tone(speedups: Sequence[Ratio | None]) -> str:
    """Return `good` only where intervals show that all are faster; the spread within one run shows nothing."""
    if not all(is_interval(ratio) for ratio in speedups):
        return "plain"
    return "good" if all(ratio is not None and (ratio.low or 0) > 1 for ratio in speedups) else "unsure"

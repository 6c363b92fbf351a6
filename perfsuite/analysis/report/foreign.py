"""Benchmarks of other projects, in words: how their times are distributed, and which take longest."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.columns import place_columns
from perfsuite.analysis.frames.labels import place_words
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.report.answers import Answer, SmallTable, small_table
from perfsuite.analysis.report.short_names import short_names
from perfsuite.formatting import duration, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.figure_data import FigureData

NUM_SLOWEST = 10

DECADES = {-9: "1 ns", -8: "10 ns", -7: "100 ns", -6: "1 us", -5: "10 us", -4: "100 us", -3: "1 ms", -2: "10 ms"}
DECADES |= {-1: "100 ms", 0: "1 s", 1: "10 s", 2: "100 s", 3: "1,000 s"}
"""Powers of ten of a second."""


def foreign_answer(figure_data: FigureData) -> Answer | None:
    """Return the answer of the first screen, where there are benchmarks that are not the suite's."""
    times = _times(figure_data)
    if not times:
        return None
    seconds = sorted(times.values())
    num_names = len({name for name, _ in times})
    slowest = sorted(times.items(), key=lambda item: -item[1])
    rows = [(f"{name} ({place})" if place else name, duration(time)) for (name, place), time in slowest]
    if len(rows) <= NUM_SLOWEST:
        lead = (
            f"{plural(num_names, 'benchmark')}: {' to '.join(dict.fromkeys(map(duration, (seconds[0], seconds[-1]))))}"
        )
        tables, _ = small_table(("", "median"), rows, most=NUM_SLOWEST)
    else:
        lead = f"Half of {num_names:,} benchmarks take less than {duration(statistics.median(seconds))}"
        top, _ = small_table((f"the {NUM_SLOWEST} slowest", "median"), rows, most=NUM_SLOWEST)
        tables = (_distribution(seconds), *top)
    return Answer(
        question="How long do they take?",
        lead=lead,
        context=f"{duration(seconds[0])} to {duration(seconds[-1])}" if len(rows) > NUM_SLOWEST else "",
        tables=tables,
        target="plain",
    )


def _times(figure_data: FigureData) -> dict[tuple[str, str], float]:
    """Return the median time in seconds by name and place, the geometric mean where there are several runs."""
    frame = figure_data.results.benchmarks
    if frame.empty or "time_median_s" not in frame:
        return {}
    foreign = frame[frame["model"].isna() & (frame["time_median_s"] > 0)]
    if foreign.empty:
        return {}
    names = short_names(foreign["fullname"])
    places = place_columns(foreign)
    wheres = [""] * len(foreign)
    if places:
        place = place_words(foreign)
        wheres = [place(row) for row in rows_of(foreign[places])]
    logs: dict[tuple[str, str], list[float]] = {}
    for one, where, time_s in zip(foreign["fullname"], wheres, foreign["time_median_s"].tolist(), strict=True):
        logs.setdefault((names[one], where), []).append(math.log(time_s))
    return {key: math.exp(statistics.fmean(found)) for key, found in logs.items()}


def _distribution(seconds: Sequence[float]) -> SmallTable:
    """Return how many lie in each power of ten."""
    counts = Counter(min(max(math.floor(math.log10(time)), min(DECADES)), max(DECADES)) for time in seconds)
    rows = tuple(
        (_decade(power), f"{counts[power]:,}", _percent(counts[power], len(seconds)))
        for power in range(min(counts), max(counts) + 1)
    )
    return SmallTable(heads=("time", "benchmarks", "share"), rows=rows)


def _percent(num: int, of: int) -> str:
    return "under 1%" if 0 < num < of / 100 else f"{num / of:.0%}"


def _decade(power: int) -> str:
    start = DECADES[power]
    return f"{start} and more" if power == max(DECADES) else f"{start} to {DECADES[power + 1]}"

"""Hardware telemetry, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS, differing_columns
from perfsuite.analysis.frames.labels import has_any, shared_in_words
from perfsuite.analysis.tables.roofline import identity_columns
from perfsuite.analysis.tables.shared_columns import distinguishing_columns, notes_of
from perfsuite.analysis.tables.table import Priority, Table, metric_column, shown, text_column

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results

CPU_LOADS = {"background_cpu_ratio", "steal_ratio"}


_PRIORITIES = {
    "memory_clock_median_mhz": Priority.DETAIL,
    "power_median_watts": Priority.MAIN,
    "temperature_max_celsius": Priority.DETAIL,
    "throttled_ratio": Priority.MAIN,
    "steal_ratio": Priority.DETAIL,
}

NO_TELEMETRY = "these results carry no telemetry"


def telemetry_table(results: Results) -> Table:
    """Return what the hardware did while the rounds were timed."""
    frame = results.benchmarks
    title = f"Hardware telemetry{shared_in_words(frame)}"
    keys = [
        key
        for key in (
            *("sm_clock_median_mhz", "memory_clock_median_mhz", "power_median_watts", "temperature_max_celsius"),
            *("throttled_ratio", "energy_per_image_joules", "background_cpu_ratio", "steal_ratio"),
        )
        if has_any(frame, key, zero=True)
    ]
    if not keys:
        reasons = sorted({str(reason) for reason in frame.get("telemetry_absent", pd.Series(dtype=object)).dropna()})
        notes = [f"no telemetry: {reason}" for reason in reasons] or [NO_TELEMETRY]
        return Table(title=title, frame=frame.iloc[0:0], columns=(), notes=(*notes, *notes_of(results)))
    return Table(
        title=title,
        frame=frame[["fullname", *differing_columns(frame), *WORKLOAD_COLUMNS, *keys, "throttle_reasons"]],
        columns=shown(
            *distinguishing_columns(frame),
            *identity_columns(frame),
            *(metric_column(key, priority=_PRIORITIES.get(key)) for key in keys),
            text_column("throttle_reasons", "throttled by", shown_when=bool(frame["throttle_reasons"].notna().any())),
        ),
        legend=tuple(_reading_notes(keys)),
        notes=notes_of(results),
    )


def _reading_notes(keys: list[str]) -> list[str]:
    notes = []
    if set(keys) - CPU_LOADS:
        notes.append("clocks, power: median of the readings; mJ/image: over a window of 2 s or more")
    if set(keys) & CPU_LOADS:
        notes.append("background load, steal time: what other processes and other virtual machines took of the cores")
    return notes

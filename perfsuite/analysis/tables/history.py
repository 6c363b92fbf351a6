"""A history as a table and as JSON: changes of level, the newest first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import row_change_text
from perfsuite.analysis.history.run_values import PLACES, TIME
from perfsuite.analysis.statistics.change_points import MIN_RUNS_OF_CHANGE
from perfsuite.analysis.tables.table import Column, Priority, Table, text_column
from perfsuite.analysis.verdicts.verdict_words import STYLES
from perfsuite.formatting import duration, plural, printable_json, utc_text
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.history.index import IndexedRun
    from perfsuite.analysis.history.series import Change, History, SeriesChanges

SCHEMA = "perfsuite-history-2"

SPARKS = "▁▂▃▄▅▆▇█"
NUM_SPARKS = 24
"""Runs in a sparkline, the newest; more do not fit next to the rest."""

METRIC_NAMES = {
    TIME: "time",
    "peak_allocated_bytes": "peak memory",
    "energy_per_image_joules": "energy",
    "test_accuracy": "accuracy",
    "training_time_s": "training time",
}
"""What a metric is called where its unit is shown with the value."""


def history_table(history: History, changes: Sequence[SeriesChanges], *, with_unchanged: bool) -> Table:
    """Return a history as a table: a row a change, the newest first, then the series without any.

    Args:
        history: It.
        changes: Of its series.
        with_unchanged: Whether series without a change are rows as well.
    """
    rows = [_change_row(history, one, change) for one in changes for change in one.changes]
    rows.sort(key=lambda row: (-row["changed_s"], row["benchmark"], row["metric"]))
    calm = [one for one in changes if not one.changes]
    if with_unchanged or not rows:
        rows += [_row(history, one) for one in calm]
    num_short = sum(len(one.series.runs) < MIN_RUNS_OF_CHANGE for one in calm)
    notes = []
    if len(history.runs) < MIN_RUNS_OF_CHANGE:
        notes.append(f"{plural(len(history.runs), 'run')}: a change can be found in {MIN_RUNS_OF_CHANGE} or more")
    elif num_short:
        notes.append(f"{num_short:,} series of fewer than {MIN_RUNS_OF_CHANGE} runs: too few to find a change")
    if calm and len(calm) < len(changes) and not with_unchanged:
        notes.append(f"{len(calm):,} series without a change are not shown; --all shows them")
    notes += history.notes
    return Table(
        title=_title(history, num_series=len(changes), num_calm=len(calm), num_short=num_short),
        frame=rows,
        columns=(
            text_column("benchmark", foldable=True),
            Column(heading="metric", show=lambda row: METRIC_NAMES.get(row["metric"], row["metric"])),
            Column(heading="change [95%]", show=row_change_text, numeric=True, style=change_style),
            Column(heading="since", show=lambda row: "-" if row["changed_s"] is None else day(row["changed_s"])),
            Column(heading="level", show=_shown_levels, numeric=True),
            Column(heading="last runs", show=lambda row: row["sparkline"], priority=Priority.DETAIL),
            Column(heading="what else changed", show=lambda row: row["differences"] or "-", foldable=True),
        ),
        notes=tuple(notes),
        legend=(
            "since: day of the first run at the new level; level: median before -> after",
            "last runs: between their lowest and highest value, the newest on the right",
            "a change takes 3 runs, and is significant among all series of the machine",
        ),
    )


def _title(history: History, *, num_series: int, num_calm: int, num_short: int) -> str:
    """Return how many series changed, of which runs.

    Args:
        history: It.
        num_series: How many series it has.
        num_calm: How many of them have no change.
        num_short: How many of these have too few runs for one.
    """
    num_changed = num_series - num_calm
    if num_changed:
        found = f"{num_changed} of {num_series} series changed"
    elif num_short and num_short == num_series:
        found = "too few runs to find a change"
    else:
        found = "no change"
    days = f", {day(history.runs[0].started_s)} to {day(history.runs[-1].started_s)}" if history.runs else ""
    return f"{found}; {plural(len(history.runs), 'run')} of {history.machine}{days}"


def _row(history: History, one: SeriesChanges) -> dict[str, Any]:
    series = one.series
    _, _, level = one.levels[-1]
    return {
        "benchmark": series.benchmark,
        "metric": series.metric,
        "ratio": None,
        "ratio_low": None,
        "ratio_high": None,
        "is_worse": None,
        "changed_s": None,
        "first_run": None,
        "last_run_before": None,
        "index": None,
        "level_before": None,
        "level": level,
        "num_runs": len(series.runs),
        "differences": "",
        "sparkline": sparkline([float(value) for value in series.values]),
        "machine": history.machine,
    }


def _change_row(history: History, one: SeriesChanges, change: Change) -> dict[str, Any]:
    series = one.series
    first, before = (history.runs[series.runs[index]] for index in (change.index, change.index - 1))
    position = [found.index for found in one.changes].index(change.index)
    return _row(history, one) | {
        "ratio": change.ratio,
        "ratio_low": change.low,
        "ratio_high": change.high,
        "is_worse": change.is_worse,
        "changed_s": first.started_s,
        "first_run": first.name,
        "last_run_before": before.name,
        "index": change.index,
        "level_before": one.levels[position][2],
        "level": one.levels[position + 1][2],
        "differences": ", ".join(change.differences),
    }


def change_style(row: dict[str, Any]) -> str:
    """Return the style of a change: worse, better or none."""
    if row["is_worse"] is None:
        return ""
    return STYLES["regressed"] if row["is_worse"] else STYLES["improved"]


def _shown_levels(row: dict[str, Any]) -> str:
    now = value_text(row["metric"], row["level"])
    return now if row["level_before"] is None else f"{value_text(row['metric'], row['level_before'])} -> {now}"


def value_text(metric: str, value: float | None) -> str:
    """Return a value of a metric with its unit."""
    if value is None:
        return "-"
    if metric == TIME:
        return duration(value)
    units = {"peak_allocated_bytes": " MiB", "energy_per_image_joules": " mJ/image", "test_accuracy": "%"}
    return f"{METRICS[metric].show(value)}{units.get(metric, '')}"


def day(started_s: float) -> str:
    """Return a day in UTC, or a dash for what is none."""
    return utc_text(started_s, "%Y-%m-%d") or "-"


def sparkline(values: Sequence[float]) -> str:
    """Return the last values as a line of bars, from the lowest to the highest of them."""
    shown = values[-NUM_SPARKS:]
    low, high = min(shown), max(shown)
    if high <= low * 1.001:  # a flat line, not its noise blown up
        return SPARKS[0] * len(shown)
    step = (high - low) / (len(SPARKS) - 1)
    return "".join(SPARKS[round((value - low) / step)] for value in shown)


def history_json(history: History, changes: Sequence[SeriesChanges]) -> str:
    """Return a history as JSON for programs."""
    content = {
        "schema": SCHEMA,
        "machine": history.machine,
        "notes": list(history.notes),
        "series": [_series_json(history, one) for one in changes],
    }
    return printable_json(json.dumps(content, indent=1)) + "\n"


def _series_json(history: History, one: SeriesChanges) -> dict[str, Any]:
    runs = [history.runs[index] for index in one.series.runs]
    return {
        "benchmark": one.series.benchmark,
        "metric": one.series.metric,
        "runs": [_run_json(run, float(value)) for run, value in zip(runs, one.series.values, strict=True)],
        "changes": [
            {
                "run": runs[change.index].name,
                "index": change.index,
                "ratio": change.ratio,
                "ratio_low": change.low,
                "ratio_high": change.high,
                "is_worse": change.is_worse,
                "differences": list(change.differences),
            }
            for change in one.changes
        ],
        "levels": [{"first": first, "last": last, "median": median} for first, last, median in one.levels],
    }


def _run_json(run: IndexedRun, value: float) -> dict[str, Any]:
    places = {name: run.place.get(name) for name in PLACES}
    return {"run": run.name, "started_s": run.started_s, "value": value, **places}

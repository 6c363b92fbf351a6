"""A history as tables: changes of level, the newest first; and the verdicts on new runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import percent_change_text
from perfsuite.analysis.history.run_values import PLACES, TIME
from perfsuite.analysis.statistics.change_points import MIN_RUNS_OF_CHANGE
from perfsuite.analysis.tables.table import Column, Priority, Table, text_column
from perfsuite.analysis.verdicts.verdict import WORST_FIRST
from perfsuite.analysis.verdicts.verdict_words import STYLES, counts_in_words, shown_verdict
from perfsuite.formatting import duration, plural, printable_json, utc_text
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.history.check import Check, CheckedSeries
    from perfsuite.analysis.history.series import Change, History, SeriesChanges

CHECK_SCHEMA = "perfsuite-history-check-1"
SHOW_SCHEMA = "perfsuite-history-1"

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
    too_short = [one for one in calm if len(one.series.runs) < MIN_RUNS_OF_CHANGE]
    num_changed = len(changes) - len(calm)
    notes = list(history.notes)
    if calm and rows and not with_unchanged and num_changed:
        notes.insert(0, f"{len(calm):,} series without a change are not shown; --all shows them")
    if len(history.runs) < MIN_RUNS_OF_CHANGE:
        notes.insert(0, f"{plural(len(history.runs), 'run')}: a change can be found in {MIN_RUNS_OF_CHANGE} or more")
    elif too_short:
        notes.insert(0, f"{len(too_short):,} series of fewer than {MIN_RUNS_OF_CHANGE} runs: too few to find a change")
    days = f", {day(history.runs[0].started_s)} to {day(history.runs[-1].started_s)}" if history.runs else ""
    found = f"{num_changed} of {len(changes)} series changed"
    if not num_changed:
        found = "too few runs to find a change" if too_short and len(too_short) == len(changes) else "no change"
    return Table(
        title=f"{found}; {plural(len(history.runs), 'run')} of {history.machine}{days}",
        frame=rows,
        columns=(
            text_column("benchmark", foldable=True),
            Column(heading="metric", show=lambda row: METRIC_NAMES.get(row["metric"], row["metric"])),
            Column(heading="change [95%]", show=shown_change, numeric=True, style=change_style),
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


def shown_change(row: dict[str, Any]) -> str:
    """Return the change of a row with its interval, or a dash."""
    if row["ratio"] is None:
        return "-"
    return percent_change_text(row["ratio"], row["ratio_low"], row["ratio_high"])


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
        "schema": SHOW_SCHEMA,
        "machine": history.machine,
        "notes": list(history.notes),
        "series": [
            {
                "benchmark": one.series.benchmark,
                "metric": one.series.metric,
                "runs": [
                    {
                        "run": history.runs[run].name,
                        "started_s": history.runs[run].started_s,
                        "value": float(value),
                        **{name: history.runs[run].place.get(name) for name in PLACES},
                    }
                    for run, value in zip(one.series.runs, one.series.values, strict=True)
                ],
                "changes": [
                    {
                        "run": history.runs[one.series.runs[change.index]].name,
                        "index": change.index,
                        "ratio": change.ratio,
                        "ci_low": change.low,
                        "ci_high": change.high,
                        "is_worse": change.is_worse,
                        "differences": list(change.differences),
                    }
                    for change in one.changes
                ],
                "levels": [{"first": first, "last": last, "median": median} for first, last, median in one.levels],
            }
            for one in changes
        ],
    }
    return printable_json(json.dumps(content, indent=1)) + "\n"


def check_table(check: Check) -> Table:
    """Return the verdicts on new runs as a table, the worst first."""
    rows = [_checked_row(one) for one in _worst_first(check.series)]
    return Table(
        title=f"{counts_in_words(one.verdict for one in check.series) or 'nothing to check'}; {check.machine}",
        frame=rows,
        columns=(
            Column(heading="verdict", show=shown_verdict, style=lambda row: STYLES[row["verdict"]]),
            text_column("benchmark", foldable=True),
            Column(heading="metric", show=lambda row: METRIC_NAMES.get(row["metric"], row["metric"])),
            Column(heading="change", show=_checked_change, numeric=True, priority=Priority.MAIN),
            Column(heading="level -> now", show=_level_and_now, numeric=True),
            Column(heading="n", show=lambda row: f"{row['num_reference']}/{row['num_new']}", numeric=True),
            Column(heading="reason", show=lambda row: row["reason"], foldable=True),
        ),
        notes=check.notes,
        legend=(
            "level: median of the runs since the last change of level; n: how many these are, and how many are new",
            "chance of any false verdict of this machine in 200 runs: at most alpha",
        ),
    )


def _worst_first(series: Sequence[CheckedSeries]) -> list[CheckedSeries]:
    def rank(one: CheckedSeries) -> tuple[int, float, str]:
        size = abs((one.ratio or 1.0) - 1.0)
        return (WORST_FIRST.index(one.verdict), -size, one.benchmark)

    return sorted(series, key=rank)


def _checked_row(one: CheckedSeries) -> dict[str, Any]:
    return {
        "verdict": one.verdict,
        "benchmark": one.benchmark,
        "metric": one.metric,
        "ratio": one.ratio,
        "ratio_low": one.low,
        "ratio_high": one.high,
        "level": one.level,
        "value": one.value,
        "num_reference": one.num_reference,
        "num_new": one.num_new,
        "since": one.since,
        "reason": one.reason,
        "differences": "" if one.change is None else ", ".join(one.change.differences),
    }


def _checked_change(row: dict[str, Any]) -> str:
    if row["ratio"] is None:
        return "-"
    if row["since"] is not None:
        return percent_change_text(row["ratio"], row["ratio_low"], row["ratio_high"])
    return percent_change_text(row["ratio"], None, None)


def _level_and_now(row: dict[str, Any]) -> str:
    return f"{value_text(row['metric'], row['level'])} -> {value_text(row['metric'], row['value'])}"


METRIC_KEYS = {TIME: "time", "training_time_s": "time", "peak_allocated_bytes": "memory", "test_accuracy": "accuracy"}
"""What a metric is called in the JSON of `perfsuite compare`; others have their own key."""


def check_json(check: Check) -> str:
    """Return the verdicts on new runs as JSON for programs, in the form of `perfsuite compare`.

    A benchmark has the worst verdict of its metrics.
    """
    by_benchmark: dict[str, list[CheckedSeries]] = {}
    for one in _worst_first(check.series):
        by_benchmark.setdefault(one.benchmark, []).append(one)
    verdicts = [found[0].verdict for found in by_benchmark.values()]
    content = {
        "schema": CHECK_SCHEMA,
        "machine": check.machine,
        "differences": list(check.differences),
        "benchmarks": [
            {
                "fullname": benchmark,
                "label": benchmark,
                "verdict": found[0].verdict,
                "reason": found[0].reason,
                "num_processes": {"baseline": found[0].num_reference, "candidate": found[0].num_new},
                **{METRIC_KEYS.get(one.metric, one.metric): _metric_json(one) for one in found},
            }
            for benchmark, found in by_benchmark.items()
        ],
        "summary": {verdict: verdicts.count(verdict) for verdict in WORST_FIRST},
        "notes": list(check.notes),
    }
    return printable_json(json.dumps(content, indent=1)) + "\n"


def _metric_json(one: CheckedSeries) -> dict[str, Any]:
    """Return a verdict on a metric; its values are in the metric's base unit."""
    unit = one.metric.rsplit("_", 1)[-1]
    return {
        "ratio": one.ratio,
        "ratio_low": one.low,
        "ratio_high": one.high,
        f"baseline_{unit}": one.level,
        f"candidate_{unit}": one.value,
        "since": one.since,
        "verdict": one.verdict,
        "reason": one.reason,
    }

"""A history by version as a table: a row for each version of each series, in the order in which they were first run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import row_change_text
from perfsuite.analysis.history.by_version import MIN_RUNS
from perfsuite.analysis.tables.history import METRIC_NAMES, change_style, day, value_text
from perfsuite.analysis.tables.table import Column, Table, text_column
from perfsuite.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.history.by_version import VersionLevel
    from perfsuite.analysis.history.series import History, Series


def version_table(
    history: History, place: str, levels: Sequence[tuple[Series, tuple[VersionLevel, ...]]], *, with_unchanged: bool
) -> Table:
    """Return a history by version: a row for each version of each series.

    Args:
        history: It.
        place: What distinguishes versions.
        levels: As `levels_by` returns them.
        with_unchanged: Whether series in which no version is unlike the one before are rows as well.
    """
    changed = [entry for entry in levels if any(found.is_change for found in entry[1])]
    shown = levels if with_unchanged else changed
    rows = [_version_row(history, series, place, found) for series, versions in shown for found in versions]
    notes = list(history.notes)
    if len(shown) < len(levels):
        left = f"{len(levels) - len(shown):,} series without a change"
        notes.insert(0, f"{left} are not shown; --all shows them")
    if all(found.num_runs < MIN_RUNS for _, versions in levels for found in versions):
        notes.insert(0, f"no {place} has {MIN_RUNS} runs: changes have no interval, and none is called one")
    num_versions = len({run.place.get(place) for run in history.runs})
    return Table(
        title=f"{len(changed):,} of {len(levels):,} series changed with {place}; {num_versions:,} of it in "
        f"{plural(len(history.runs), 'run')} of {history.machine}",
        frame=rows,
        columns=(
            text_column("benchmark", foldable=True),
            Column(heading="metric", show=lambda row: METRIC_NAMES.get(row["metric"], row["metric"])),
            Column(heading=place, show=lambda row: row["version"], foldable=True),
            Column(heading="since", show=lambda row: day(row["first_s"])),
            Column(heading="runs", show=lambda row: f"{row['num_runs']:,}", numeric=True),
            Column(heading="level", show=lambda row: value_text(row["metric"], row["level"]), numeric=True),
            Column(heading="change [95%]", show=row_change_text, numeric=True, style=change_style),
        ),
        notes=tuple(notes),
        legend=(
            f"since: day of the first run with it; change: against the {place} before it",
            "intervals are those of one comparison each; verdicts are given by history check and compare",
        ),
    )


def _version_row(history: History, series: Series, place: str, found: VersionLevel) -> dict[str, Any]:
    is_worse = None
    if found.is_change and found.ratio is not None:
        is_worse = (found.ratio > 1) != series.is_higher_better
    return {
        "benchmark": series.benchmark,
        "metric": series.metric,
        "place": place,
        "version": found.version,
        "first_s": found.first_s,
        "num_runs": found.num_runs,
        "level": found.level,
        "ratio": found.ratio,
        "ratio_low": found.low,
        "ratio_high": found.high,
        "is_worse": is_worse,
        "machine": history.machine,
    }

"""How the efficiency of several devices changed between baseline and candidate, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import row_change_text
from perfsuite.analysis.tables.table import Column, Priority, Table, shown
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.verdicts.scaling_changes import ScalingChange

TITLE = "Efficiency of several devices"


def scaling_changes_table(changes: Sequence[ScalingChange]) -> Table:
    """Return a row per step on several devices that both sides have, in the order of their verdicts."""
    rows = [
        {"label": one.benchmark.label, "verdict_of_time": one.benchmark.time.verdict, **one.columns()}
        for one in changes
    ]
    has_interval = any(row["efficiency_change_ratio_level"] is not None for row in rows)
    has_communication, has_bus = (
        any(row[name] is not None for row in rows)
        for name in ("communication_candidate_ratio", "bus_candidate_bytes_per_second")
    )
    interval = "; [95% interval] over processes" if has_interval else ""
    return Table(
        title=TITLE,
        frame=rows,
        columns=shown(
            Column(heading="step", show=lambda row: row["label"], foldable=True),
            _sides_column("efficiency %", "efficiency_{}_ratio", _percent, priority=Priority.MAIN),
            Column(
                heading="change [95%]" if has_interval else "change",
                show=lambda row: row_change_text(row, "efficiency_change_ratio"),
                numeric=True,
                priority=Priority.MAIN,
            ),
            _sides_column("communication %", "communication_{}_ratio", _percent, shown_when=has_communication),
            _sides_column(
                "bus GB/s", "bus_{}_bytes_per_second", METRICS["bus_bytes_per_second"].show, shown_when=has_bus
            ),
        ),
        legend=(
            f"baseline -> candidate; change: of the efficiency, below 0 is worse{interval}; no verdict rests on it",
        ),
    )


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.1f}"


def _sides_column(
    heading: str,
    name: str,
    show: Callable[[float], str],
    *,
    shown_when: bool = True,
    priority: Priority = Priority.NORMAL,
) -> Column:
    """Show a value of both sides: `94.1 -> 92.0`."""

    def show_both(row: dict[str, Any]) -> str:
        values = [row[name.format(side)] for side in ("baseline", "candidate")]
        return " -> ".join("n/a" if value is None else show(value) for value in values)

    return Column(heading=heading, show=show_both, numeric=True, shown_when=shown_when, priority=priority)

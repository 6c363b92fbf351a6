"""A noise floor as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.tables.table import Column, Table, metric_column, text_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.load.noise_file import NoiseFloor


def noise_table(floor: NoiseFloor, *, false_alarms: Sequence[str], notes: Sequence[str] = ()) -> Table:
    """Return a noise floor as a table."""
    rows = [
        {
            "benchmark": name,
            "detectable_slowdown_ratio": ratio,
            "process_sd_log": None if (scatter := floor.process_scatter.get(name)) is None else scatter.sd_log,
        }
        for name, ratio in sorted(floor.detectable_slowdown_ratio.items())
    ]
    alarms = (
        f"{len(false_alarms)} false alarms, the code being the same: {', '.join(false_alarms)[:300]}"
        if false_alarms
        else "no false alarm"
    )
    return Table(
        title=f"Noise floor, {floor.num_processes} processes a side: {floor.machine}",
        frame=rows,
        columns=(
            text_column("benchmark", foldable=True),
            metric_column("detectable_slowdown_ratio"),
            Column(heading="process sd %", show=_process_sd, numeric=True),
        ),
        legend=(
            "detectable: the smallest slowdown that would have been detected 95 times of 100",
            "process sd: how much the time differs from process to process; intervals of single runs contain it",
        ),
        notes=(alarms, *notes),
    )


def _process_sd(row: dict[str, Any]) -> str:
    return "-" if row["process_sd_log"] is None else f"{100 * row['process_sd_log']:.2f}"

"""Steps on several devices: speed, efficiency, what communication costs, memory of a rank, AMP vs FP32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.frames.columns import SPREAD_COLUMNS, WORKLOAD_COLUMNS
from perfsuite.analysis.frames.labels import differs, has_any, shared_in_words, varying
from perfsuite.analysis.frames.ratio_text import MORE_SCALING, bracket_notes, percent_ratio_text, ratio_of_row
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.scaling import absent_in_words, failed_checks_in_words, scaling_frame
from perfsuite.analysis.frames.scaling_groups import efficiency, step_times
from perfsuite.analysis.tables.shared_columns import (
    SHORT_HEADINGS,
    notes_of,
    place_table_columns,
    throughput_heading,
    warnings_column,
    without,
)
from perfsuite.analysis.tables.table import (
    Priority,
    Table,
    metric_column,
    percent_column,
    ratio_column,
    shown,
    text_column,
)
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    import pandas as pd

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Ratio
    from perfsuite.records.scaling import ScalingRecord

TITLE = "Scaling over several devices"

NOTHING = "no step was measured on several devices: pytest benchmarks -m scaling does that"

_ALWAYS_SHOWN = ("model", "precision")

MIN_BLOCKS = 6
"""That the interval of one run needs: with fewer, no interval of Wilcoxon's test covers 95%."""

_RATIOS = (
    "efficiency_ratio",
    "sharing_ratio",
    "communication_ratio",
    "launch_efficiency_ratio",
    "amp_speedup_ratio",
)


def scaling_table(results: Results) -> Table:
    """Return a row per cell: step, images/s, efficiency and what it is lost to, bus bandwidth, peak memory."""
    frame = scaling_frame(results)
    if frame.empty:
        return Table(title=TITLE, frame=frame, columns=(), notes=(NOTHING, *notes_of(results)))
    has = {name: bool(frame[name].notna().any()) for name in _RATIOS}
    is_strong = "strong" in set(frame["scaling"])
    workload = varying(frame, WORKLOAD_COLUMNS, _ALWAYS_SHOWN)
    spread = [
        name for name in ("strategy", "compression", "scaling", "backend", "backend_version") if differs(frame, name)
    ]
    columns = shown(
        *place_table_columns(frame),
        *(text_column(name, SHORT_HEADINGS.get(name)) for name in workload),
        *(text_column(name) for name in spread),
        text_column("world_size", "ranks"),
        metric_column("step_slowest_s", priority=Priority.MAIN),
        metric_column("step_median_rank_s", priority=Priority.DETAIL),
        metric_column("images_per_second", heading=throughput_heading(frame), priority=Priority.NORMAL),
        percent_column("efficiency_ratio", "efficiency", priority=Priority.MAIN),
        ratio_column("speedup_ratio", "speed-up", shown_when=is_strong, priority=Priority.NORMAL),
        percent_column(
            "communication_ratio", "communication", shown_when=has["communication_ratio"], priority=Priority.MAIN
        ),
        percent_column("sharing_ratio", "without exchange", shown_when=has["sharing_ratio"], priority=Priority.DETAIL),
        percent_column(
            "launch_efficiency_ratio",
            "vs 1 rank",
            shown_when=has["launch_efficiency_ratio"],
            priority=Priority.DETAIL,
        ),
        ratio_column("amp_speedup_ratio", "vs FP32", shown_when=has["amp_speedup_ratio"], priority=Priority.NORMAL),
        metric_column("bus_bytes_per_second", shown_when=has_any(frame, "bus_bytes_per_second")),
        metric_column(
            "peak_allocated_bytes", shown_when=has_any(frame, "peak_allocated_bytes"), priority=Priority.NORMAL
        ),
        metric_column(
            "predicted_peak_bytes", shown_when=has_any(frame, "predicted_peak_bytes"), priority=Priority.DETAIL
        ),
        metric_column(
            "peak_deviation_ratio",
            heading="vs predicted %",
            shown_when=has_any(frame, "peak_deviation_ratio"),
            priority=Priority.DETAIL,
        ),
        metric_column(
            "num_processes",
            heading="runs",
            shown_when=bool((frame["num_processes"] > 1).any()),
            priority=Priority.DETAIL,
        ),
        metric_column("num_blocks", priority=Priority.DETAIL),
        warnings_column(frame),
    )
    return Table(
        title=f"{TITLE}{spread_title(frame)}{shared_in_words(frame)}",
        frame=without(frame, ("line",)),
        columns=columns,
        legend=tuple(_legend(frame, has)),
        notes=(*failed_checks_in_words(results), *absent_in_words(results), *notes_of(results)),
    )


def scaling_in_words(record: ScalingRecord) -> str:
    """Return a record in a few words: `103.9 images/s  62.2% efficient (56.2 to 72.0 in this run)`."""
    step_s = float(np.median(step_times(record)))
    rate = METRICS["images_per_second"].show(record.global_batch_size / step_s)
    return f"{rate:>8} {record.workload.rate_unit}  {percent_ratio_text(efficiency([record]))} efficient"


def spread_title(frame: pd.DataFrame) -> str:
    """Return what all rows share of how a step is spread, for a title."""
    parts = []
    for name in (*SPREAD_COLUMNS[1:], "backend"):
        values = frame[name].unique()
        if len(values) == 1 and values[0] != "none":
            parts.append(
                {"compression": f"{values[0]} gradients", "scaling": f"{values[0]} scaling"}.get(name, values[0])
            )
    return "".join(f", {part}" for part in parts)


def _legend(frame: pd.DataFrame, has: dict[str, bool]) -> list[str]:
    rows = rows_of(frame)
    ratios: list[Ratio | None] = [ratio_of_row(row, name) for row in rows for name in _RATIOS]
    is_strong = "strong" in set(frame["scaling"])
    of_all = ", on strong scaling alone with the batch of all ranks; speed-up: N x efficiency"
    lines = [
        "step: until the slowest rank is done, with exchange of gradients; batch: of one rank",
        "efficiency: images/s of all ranks over N times those of one device alone" + (of_all if is_strong else ""),
    ]
    if has["communication_ratio"]:
        lines.append(
            "communication: share of a step that the exchange adds, including the wait for the slowest rank; without "
            "exchange: the efficiency when all ranks step at once without communication"
        )
    if has["launch_efficiency_ratio"]:
        lines.append(
            "vs 1 rank: the efficiency from two launches of these runs instead, including any drift between them"
        )
    if has_any(frame, "bus_bytes_per_second"):
        lines.append("bus: bytes / time x 2 (N - 1) / N of a bare all-reduce of as many bytes as the gradients have")
    if has["amp_speedup_ratio"]:
        lines.append("vs FP32: images/s over those of FP32 on as many ranks, from separate cells")
    interleaved = "turns alone, without and with exchange; a drift that is linear within a block cancels"
    lines.append(f"efficiency, communication: interleaved, {interleaved}")
    if any(ratio is not None and ratio.low is None for ratio in ratios):
        lines.append(f"[no interval]: one run of fewer than {MIN_BLOCKS} blocks")
    return lines + bracket_notes(ratios, spread_of="blocks, or of the turns of separate cells", more=MORE_SCALING)

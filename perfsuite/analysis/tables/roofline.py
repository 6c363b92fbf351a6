"""What bounds an iteration: its time against what the device could do, by probes and by its data sheet; its kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS
from perfsuite.analysis.frames.labels import has_any, shared_in_words, varying
from perfsuite.analysis.frames.operators import kinds_in_words
from perfsuite.analysis.frames.pooled import pooled_benchmarks
from perfsuite.analysis.tables.shared_columns import (
    SHORT_HEADINGS,
    cell_columns,
    cell_keys,
    notes_of,
    pooled_legend,
)
from perfsuite.analysis.tables.table import Column, Priority, Table, metric_column, shown, text_column

if TYPE_CHECKING:
    import pandas as pd

    from perfsuite.analysis.frames.results import Results

ALWAYS_SHOWN = ("model", "precision", "phase")

WINOGRAD = "Winograd's algorithm needs up to 2.25 times fewer operations in a 3x3 convolution: FP32 may beat this limit"

_PRIORITIES = {
    "step_flops": Priority.DETAIL,
    "probe_gemm_flops_per_second": Priority.DETAIL,
    "probe_conv_flops_per_second": Priority.DETAIL,
    "probe_copy_bytes_per_second": Priority.DETAIL,
    "limit_s": Priority.MAIN,
    "probe_ratio": Priority.MAIN,
    "roofline_ratio": Priority.MAIN,
    "data_sheet_ratio": Priority.MAIN,
}

ALWAYS_MEASURED = (
    "step_flops",
    "achieved_flops_per_second",
    "probe_gemm_flops_per_second",
    "probe_conv_flops_per_second",
    "probe_copy_bytes_per_second",
    "time_median_s",
    "limit_s",
    "probe_ratio",
)

LIMIT = (
    "limit: operations of direct convolution / the faster of two probes in the same type, run with the cell, or on a "
    "GPU the minimum bytes / the copy probe if that takes longer"
)

ROOFLINE = (
    "roofline: the same for each operator, with the bytes that it reads and writes, added up, by the probes: eager "
    "torch runs one kernel after the other; fused kernels and large caches can beat it"
)

NO_LIMITS = "these results carry no probes of the device: they are older than the probes, or not perfsuite's"


def roofline_table(results: Results) -> Table:
    """Return how close each cell came to the peak: of its device now, and on paper."""
    frame = pooled_benchmarks(results)
    title = f"Percent of hardware peak{shared_in_words(frame)}"
    if not has_any(frame, "probe_ratio"):
        return Table(title=title, frame=frame.iloc[0:0], columns=(), notes=(NO_LIMITS, *notes_of(results)))
    keys = list(ALWAYS_MEASURED)
    legend = [*pooled_legend(frame), LIMIT]
    if has_any(frame, "roofline_ratio"):
        keys.append("roofline_ratio")
        legend += [ROOFLINE, *kinds_in_words(results)]
    if (frame["precision"] == "fp32").any():
        legend.append(WINOGRAD)
    if has_any(frame, "data_sheet_ratio"):
        keys.append("data_sheet_ratio")
        legend.append("data sheet: the same by the data sheet's peak and bandwidth, dense products")
    return Table(
        title=title,
        frame=frame[["fullname", *cell_keys(frame), *WORKLOAD_COLUMNS, *keys, "bound"]],
        columns=shown(
            *cell_columns(frame),
            *identity_columns(frame),
            *(metric_column(key, priority=_PRIORITIES.get(key)) for key in keys),
            text_column("bound", shown_when=bool(frame["bound"].notna().any())),
        ),
        legend=tuple(legend),
        notes=notes_of(results),
    )


def identity_columns(frame: pd.DataFrame) -> list[Column]:
    """Return columns for the place and the workload of a row."""
    names = varying(frame, WORKLOAD_COLUMNS, ALWAYS_SHOWN)
    return [text_column(name, SHORT_HEADINGS.get(name)) for name in names]

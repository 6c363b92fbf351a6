"""Peak memory and what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.frames.columns import LEDGER_PARTS, WORKLOAD_COLUMNS
from perfsuite.analysis.frames.labels import differs, has_any, shared_in_words, varying
from perfsuite.analysis.frames.pooled import pooled_benchmarks
from perfsuite.analysis.tables.shared_columns import (
    SHORT_HEADINGS,
    batch_column,
    cell_columns,
    cell_keys,
    notes_of,
    pooled_legend,
)
from perfsuite.analysis.tables.steps import ALWAYS_SHOWN
from perfsuite.analysis.tables.table import Priority, Table, metric_column, shown, text_column

if TYPE_CHECKING:
    import pandas as pd

    from perfsuite.analysis.frames.results import Results

_LEFT_OVER = "unexplained: measured minus predicted; anything large is a leak"


_LEFT_OVER_ON_A_GPU = (
    "unexplained: measured minus predicted: the allocator's rounding, cuBLAS's workspace and, the rest of it, cuDNN's; "
    "anything larger is a leak"
)


_PRIORITIES = {
    "activations_bytes": Priority.MAIN,
    "parameters_bytes": Priority.NORMAL,
    "predicted_peak_bytes": Priority.NORMAL,
    "remainder_bytes": Priority.NORMAL,
}
"""Of the parts of a peak: those that differ most between precisions, and what checks the sum."""


def predicted_memory_table(frame: pd.DataFrame, *, title: str, notes: tuple[str, ...] = ()) -> Table:
    """Return predicted peaks and what they are made of as a table.

    Args:
        frame: A row per cell: model, precision, batch_size, gradients and the parts of the peak in bytes; with
            `largest_batch_size` where a capacity was given, with `gpu` where that is a GPU's, with `thesis_peak_bytes`
            where the thesis has a figure.
        title: Its title.
        notes: What is listed below it.
    """
    batch = metric_column("largest_batch_size") if "largest_batch_size" in frame else batch_column(frame)
    thesis = ("thesis_peak_bytes", "thesis_difference_ratio")
    return Table(
        title=title,
        frame=frame,
        columns=shown(
            *([text_column("gpu", "GPU")] if "gpu" in frame and differs(frame, "gpu") else []),
            text_column("model"),
            text_column("precision"),
            batch,
            text_column("image_size", SHORT_HEADINGS["image_size"], shown_when=differs(frame, "image_size")),
            text_column("gradients", shown_when=differs(frame, "gradients")),
            *(metric_column(key, priority=_PRIORITIES.get(key, Priority.DETAIL)) for key in LEDGER_PARTS),
            metric_column("peak_bytes", priority=Priority.MAIN),
            *(metric_column(key, shown_when=has_any(frame, key, zero=True)) for key in thesis),
        ),
        notes=notes,
    )


def memory_table(results: Results) -> Table:
    """What each measured peak is made of: its parts by a dry run, and what is unexplained."""
    frame = pooled_benchmarks(results)
    keys = (*LEDGER_PARTS, "predicted_peak_bytes", "remainder_bytes")
    itemised = [
        key
        for key in ("rounding_bytes", "cublas_workspace_bytes", "outside_torch_bytes")
        if has_any(frame, key, zero=True)
    ]
    for key in (*keys, "peak_allocated_bytes", "peak_reserved_bytes"):
        if key not in frame:
            frame = frame.assign(**{key: None})  # results of before there was a ledger
    workload = varying(frame, WORKLOAD_COLUMNS, (*ALWAYS_SHOWN, "precision"))
    identity = [*cell_keys(frame), *WORKLOAD_COLUMNS]
    return Table(
        title=f"Peak memory in MiB and what it is made of{shared_in_words(frame)}",
        frame=frame[["fullname", *identity, *keys, "peak_allocated_bytes", "peak_reserved_bytes", *itemised]],
        columns=shown(
            *cell_columns(frame),
            *(text_column(column, SHORT_HEADINGS.get(column)) for column in workload),
            *(metric_column(key, priority=_PRIORITIES.get(key, Priority.DETAIL)) for key in keys),
            metric_column("rounding_bytes", shown_when="rounding_bytes" in itemised, priority=Priority.DETAIL),
            metric_column(
                "cublas_workspace_bytes", shown_when="cublas_workspace_bytes" in itemised, priority=Priority.DETAIL
            ),
            metric_column("peak_allocated_bytes", heading="measured", priority=Priority.MAIN),
            metric_column("outside_torch_bytes", shown_when="outside_torch_bytes" in itemised),
        ),
        legend=(
            *pooled_legend(frame),
            "weights ... other: what a dry run finds alive at the moment of the peak",
            _LEFT_OVER_ON_A_GPU if itemised else _LEFT_OVER,
            *(
                ["outside torch: CUDA context, kernels and other processes; not in the measured peak"]
                if itemised
                else []
            ),
        ),
        notes=notes_of(results),
    )

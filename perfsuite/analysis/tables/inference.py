"""Networks in eval mode: latency, throughput, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS
from perfsuite.analysis.frames.labels import shared_in_words, span, varying
from perfsuite.analysis.frames.latency import PERCENTILES, has_inference
from perfsuite.analysis.frames.pooled import pooled_benchmarks
from perfsuite.analysis.tables.shared_columns import (
    SHORT_HEADINGS,
    cell_columns,
    is_pooled,
    notes_of,
    pooled_legend,
    throughput_heading,
    warnings_column,
)
from perfsuite.analysis.tables.table import Priority, Table, metric_column, shown, text_column
from perfsuite.records.workload import INFERENCE

if TYPE_CHECKING:
    from perfsuite.analysis.frames.results import Results

ALWAYS_SHOWN = ("model", "precision", "batch_size")


def inference_table(results: Results) -> Table:
    """Return a row per cell of inference: throughput, percentiles of the latency, peak memory."""
    if not has_inference(results):
        note = "no inference was measured: pytest benchmarks -m inference does that"
        return Table(title="Inference", frame=results.benchmarks, columns=(), notes=(note, *notes_of(results)))
    frame = pooled_benchmarks(results)
    frame = frame[frame["phase"] == INFERENCE].reset_index(drop=True)
    workload = varying(frame, tuple(name for name in WORKLOAD_COLUMNS if name != "phase"), ALWAYS_SHOWN)
    counts = [int(number) for number in frame["num_latencies"].dropna()]
    columns = shown(
        *cell_columns(frame),
        *(text_column(name, SHORT_HEADINGS.get(name)) for name in workload),
        metric_column("images_per_second", heading=throughput_heading(frame), priority=Priority.MAIN),
        *(metric_column(name, priority=Priority.MAIN) for name in PERCENTILES),
        metric_column("num_processes", heading="runs", shown_when=is_pooled(frame)),
        metric_column("peak_allocated_bytes", priority=Priority.MAIN),
        warnings_column(frame),
    )
    legend = (
        "throughput: batch size over the median time of an iteration, in rounds without a wait between iterations",
        f"p50, p95, p99: of {span(counts)} single iterations with a wait after each; -: too few iterations for it",
        *pooled_legend(frame),
    )
    return Table(
        title=f"Inference{shared_in_words(frame)}",
        frame=frame,
        columns=columns,
        legend=legend,
        notes=notes_of(results),
    )

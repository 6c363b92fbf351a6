"""What bounds a pass: its time against what the device could do, by probes and by its data sheet; its kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.collect import WORKLOAD_COLUMNS, differing_columns
from perfsuite.analysis.frames import rows_of
from perfsuite.analysis.labels import has_any, shared_in_words, varying
from perfsuite.analysis.table_parts import SHORT_HEADINGS, batch_columns, notes_of, telling_apart
from perfsuite.analysis.tables import Column, Table, metric_column, text_column

if TYPE_CHECKING:
    from perfsuite.analysis.collect import Results
    from perfsuite.gpus import Gpu

ALWAYS_SHOWN = ("model", "precision", "phase")

WINOGRAD = "Winograd's algorithm needs up to 2.25 times fewer operations in a 3x3 convolution: FP32 may beat this limit"

NO_LIMITS = "these results carry no probes of the device: they are older than the probes, or not perfsuite's"
CPU_LOADS = {"background_cpu_ratio", "steal_ratio"}

NO_TELEMETRY = "these results carry no telemetry"
NO_PROFILES = "these results carry no profiles: the run was cut short, or --perf-no-profile left them out"


def limits_table(results: Results) -> Table:
    """Return how close each cell came to the peak: of its device now, and on paper."""
    frame = results.benchmarks
    title = f"Percent of hardware peak{shared_in_words(frame)}"
    if not has_any(frame, "probe_ratio"):
        return Table(title=title, frame=frame.iloc[0:0], columns=(), notes=(NO_LIMITS, *notes_of(results)))
    on_paper = has_any(frame, "data_sheet_ratio")
    keys = (
        *("step_flops", "achieved_flops_per_second", "probe_gemm_flops_per_second", "probe_conv_flops_per_second"),
        *("probe_copy_bytes_per_second", "time_median_s", "limit_s", "probe_ratio"),
        *(("data_sheet_ratio",) if on_paper else ()),
    )
    return Table(
        title=title,
        frame=frame[["fullname", *differing_columns(frame), *WORKLOAD_COLUMNS, *keys, "bound"]],
        columns=(
            *telling_apart(frame),
            *_identity(frame),
            *(metric_column(key) for key in keys),
            *([text_column("bound")] if frame["bound"].notna().any() else []),
        ),
        notes=(
            (
                "limit: operations of direct convolution / the faster of two probes in the same type, run beside the "
                "cell, or on a GPU the least bytes / the copy probe if that takes longer"
            ),
            *([WINOGRAD] if (frame["precision"] == "fp32").any() else []),
            *(["data sheet: the same by the data sheet's peak and bandwidth, dense products"] if on_paper else []),
            *notes_of(results),
        ),
    )


def telemetry_table(results: Results) -> Table:
    """Return what the hardware did while the rounds were timed."""
    frame = results.benchmarks
    title = f"What the hardware did meanwhile{shared_in_words(frame)}"
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
        columns=(
            *telling_apart(frame),
            *_identity(frame),
            *(metric_column(key) for key in keys),
            *([text_column("throttle_reasons", "throttled by")] if frame["throttle_reasons"].notna().any() else []),
        ),
        notes=(*_reading_notes(keys), *notes_of(results)),
    )


def _reading_notes(keys: list[str]) -> list[str]:
    notes = []
    if set(keys) - CPU_LOADS:
        notes.append("clocks, power: median of the readings; mJ/image: over a window of 2 s or more")
    if set(keys) & CPU_LOADS:
        notes.append("background load, steal time: what other processes and other virtual machines took of the cores")
    return notes


def kernels_table(results: Results) -> Table:
    """Return the most expensive kernels of each cell (on a CPU: operators)."""
    origin = dict.fromkeys(("fullname", "file", *differing_columns(results.benchmarks), *WORKLOAD_COLUMNS))
    rows = [
        {
            **{column: row[column] for column in origin},
            "wall_s": profile.wall_s,
            "tensor_core_ratio": profile.tensor_core_ratio,
            "bound": profile.bound,
            "kernel": kernel.name,
            "kernel_s": kernel.seconds,
            "kernel_ratio": kernel.ratio,
            "num_calls": kernel.num_calls,
        }
        for row, profile in zip(rows_of(results.benchmarks), results.profiles, strict=True)
        if profile is not None
        for kernel in profile.kernels
    ]
    frame = pd.DataFrame(rows)
    title = f"Where the time of a pass goes{shared_in_words(results.benchmarks)}"
    if frame.empty:
        return Table(title=title, frame=frame, columns=(), notes=(NO_PROFILES, *notes_of(results)))
    tensor_cores = frame["tensor_core_ratio"].notna().any()
    return Table(
        title=title,
        frame=frame,
        columns=(
            *telling_apart(results.benchmarks),
            *_identity(frame),
            text_column("kernel", "kernel" if tensor_cores else "operator"),
            Column(heading="share %", show=lambda row: f"{100 * row['kernel_ratio']:.1f}", numeric=True),
            Column(heading="ms", show=lambda row: f"{1e3 * row['kernel_s']:.3f}", numeric=True),
            Column(heading="calls", show=lambda row: f"{row['num_calls']:.0f}", numeric=True),
        ),
        notes=("share: of the sum of all kernels of a pass, profiled apart from the timed rounds", *notes_of(results)),
    )


def _identity(frame: pd.DataFrame) -> list[Column]:
    shown = varying(frame, WORKLOAD_COLUMNS, ALWAYS_SHOWN)
    return [text_column(column, SHORT_HEADINGS.get(column)) for column in shown]


def paper_table(frame: pd.DataFrame, *, gpu: Gpu) -> Table:
    """Return limits by a data sheet as a table.

    Args:
        frame: A row per cell, as `limit_cells` yields them.
        gpu: Whose data sheet.
    """
    ours = [key for key in ("thesis_training_time_s", "data_sheet_ratio") if has_any(frame, key)]
    return Table(
        title=(
            f"Theoretical time on a {gpu.name.upper()} with direct convolution, batch "
            f"{', '.join(map(str, frame['batch_size'].unique()))}"
        ),
        frame=frame,
        columns=(
            text_column("model"),
            text_column("precision"),
            *batch_columns(frame),
            metric_column("step_flops"),
            metric_column("least_bytes"),
            metric_column("limit_s"),
            text_column("bound_by", "bound by"),
            metric_column("limit_images_per_second"),
            metric_column("limit_training_s"),
            *(metric_column(key, heading="study took" if key.startswith("thesis") else None) for key in ours),
        ),
        notes=(
            "limit: operations of direct convolution / dense peak, or least bytes / bandwidth if that takes longer",
            WINOGRAD,
            "training: the thesis's epochs of 45,000 images, without evaluation and loading",
            *(("% of data sheet: the limit / what the study took",) if ours else ()),
            gpu.source,
        ),
    )

"""What a record's evidence comes to: columns, of its limits, its telemetry and its profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.telemetry import telemetry_columns
from perfsuite.gpus import gpu_named

if TYPE_CHECKING:
    from perfsuite.records.cell import Record


def evidence_columns(record: Record, *, median_s: float | None, gpu: str | None) -> dict[str, Any]:
    """Return all of them; None where the record has nothing to tell.

    Args:
        record: Of a cell.
        median_s: Median time of an iteration.
        gpu: Name of the GPU, or None for a CPU.
    """
    bounds = bounds_of(record.metrics, median_s=median_s, precision=record.workload.precision, gpu=gpu)
    profile = record.profile
    return {**bounds, **telemetry_columns(record.telemetry), "bound": None if profile is None else profile.bound}


def bounds_of(metrics: dict[str, Any], *, median_s: float | None, precision: str, gpu: str | None) -> dict[str, Any]:
    """Return a cell's limit and how close it came, as far as its record tells.

    On a CPU the arithmetic alone counts: its caches may hold all that is kept for the backward pass.

    Args:
        metrics: Of the record.
        median_s: Median time of an iteration.
        precision: Name of its precision policy.
        gpu: Name of the GPU, or None for a CPU.

    Returns:
        `limit_s`, `achieved_flops_per_second`, `probe_ratio`, `data_sheet_ratio`; None where something is missing. Of
        records that keep their operators `roofline_ratio` too.
    """
    found: dict[str, Any] = dict.fromkeys(("limit_s", "achieved_flops_per_second", "probe_ratio", "data_sheet_ratio"))
    flops, least = metrics.get("step_flops"), metrics.get("min_bytes")
    if not flops or not least or not median_s:
        return found
    found["achieved_flops_per_second"] = flops / median_s
    if metrics.get("roofline_s") is not None:
        found["roofline_ratio"] = metrics["roofline_s"] / median_s
    fastest = max(metrics.get("probe_gemm_flops_per_second") or 0, metrics.get("probe_conv_flops_per_second") or 0)
    copied = metrics.get("probe_copy_bytes_per_second")
    if fastest and copied:
        copy_s = 0.0 if gpu is None else least / copied
        found["limit_s"] = max(flops / fastest, copy_s)
        found["probe_ratio"] = found["limit_s"] / median_s
    sheet = gpu_named(gpu)
    peak = None if sheet is None else sheet.peak_for(precision)
    if sheet is not None and peak is not None:
        found["data_sheet_ratio"] = max(flops / peak, least / sheet.bytes_per_second) / median_s
    return found

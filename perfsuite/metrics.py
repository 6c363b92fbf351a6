"""The registry of every number that is reported: key, heading with its unit, and how it is printed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.formatting import MIB_BYTES, significant

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One reported number.

    Attributes:
        key: Name in records, frames and files; its ending is the unit.
        heading: Column heading, unit included.
        format_value: Turns a finite value into text for people, in the unit of the heading.
        is_higher_better: Whether a larger value is the better one; of most, less is.
    """

    key: str
    heading: str
    format_value: Callable[[float], str]
    is_higher_better: bool = False

    def show(self, value: float | None) -> str:
        """Return the value as people read it; an absent one (None or NaN) is a dash, never 0."""
        if value is None or math.isnan(value):
            return "-"
        return self.format_value(value)


def _milliseconds(value: float) -> str:
    return significant(value * 1e3)


def _seconds(value: float) -> str:
    return significant(value, 3)


def _mebibytes(value: float) -> str:
    mebibytes = value / MIB_BYTES
    return f"{mebibytes:,.0f}" if mebibytes >= 1000 else f"{mebibytes:.1f}"  # noqa: PLR2004 - four digits or more


def _count(value: float) -> str:
    return f"{int(value):,}"


def _times(value: float) -> str:
    return f"{value:.2f}x"


def _percent(value: float) -> str:
    return f"{value * 100:.2f}"


def _clock(value: float) -> str:
    hours, seconds = divmod(round(value), 3600)
    return f"{hours}:{seconds // 60:02d}:{seconds % 60:02d}"


def _hours(value: float) -> str:
    return significant(value / 3600, 3)


def _kilowatt_hours(value: float) -> str:
    return significant(value / 3.6e6, 2)


def _kilojoules(value: float) -> str:
    return significant(value / 1e3)


def _giga(value: float) -> str:
    return significant(value / 1e9)


def _tera(value: float) -> str:
    return significant(value / 1e12)


def _whole_percent(value: float) -> str:
    return f"{value * 100:.1f}"


def _millijoules(value: float) -> str:
    return significant(value * 1e3, 3)


def _efficiency(value: float) -> str:
    return significant(value, 3)


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _signed_percent(value: float) -> str:
    return f"{value * 100:+.2f}"


_ALL = (
    Metric(key="images_per_second", heading="images/s", format_value=significant, is_higher_better=True),
    Metric(key="time_median_s", heading="median ms", format_value=_milliseconds),
    Metric(key="time_mean_s", heading="mean ms", format_value=_milliseconds),
    Metric(key="time_min_s", heading="min ms", format_value=_milliseconds),
    Metric(key="time_max_s", heading="max ms", format_value=_milliseconds),
    Metric(key="time_stddev_s", heading="std dev ms", format_value=_milliseconds),
    Metric(key="time_q1_s", heading="q1 ms", format_value=_milliseconds),
    Metric(key="time_p90_s", heading="p90 ms", format_value=_milliseconds),
    Metric(key="latency_p50_s", heading="p50 ms", format_value=_milliseconds),
    Metric(key="latency_p95_s", heading="p95 ms", format_value=_milliseconds),
    Metric(key="latency_p99_s", heading="p99 ms", format_value=_milliseconds),
    Metric(key="num_latencies", heading="iterations", format_value=_count),
    Metric(key="time_margin_ratio", heading="± % (99% CI)", format_value=_percent),
    Metric(key="process_margin_ratio", heading="± % (95% CI)", format_value=_percent),
    Metric(key="num_rounds", heading="rounds", format_value=_count),
    Metric(key="num_processes", heading="processes", format_value=_count),
    Metric(key="num_blocks", heading="blocks", format_value=_count),
    Metric(key="num_iterations", heading="iterations", format_value=_count),
    Metric(key="peak_allocated_bytes", heading="peak MiB", format_value=_mebibytes),
    Metric(
        key="evaluation_peak_allocated_bytes",
        heading="evaluation peak MiB",
        format_value=_mebibytes,
    ),
    Metric(key="parameters_bytes", heading="weights", format_value=_mebibytes),
    Metric(key="gradients_bytes", heading="gradients", format_value=_mebibytes),
    Metric(key="optimizer_bytes", heading="momentum", format_value=_mebibytes),
    Metric(key="activations_bytes", heading="activations", format_value=_mebibytes),
    Metric(key="autocast_bytes", heading="autocast copies", format_value=_mebibytes),
    Metric(key="temporary_bytes", heading="temporary", format_value=_mebibytes),
    Metric(key="other_bytes", heading="other", format_value=_mebibytes),
    Metric(key="peak_bytes", heading="peak MiB", format_value=_mebibytes),
    Metric(key="predicted_peak_bytes", heading="predicted", format_value=_mebibytes),
    Metric(key="remainder_bytes", heading="unexplained", format_value=_mebibytes),
    Metric(key="rounding_bytes", heading="of it rounding", format_value=_mebibytes),
    Metric(key="cublas_workspace_bytes", heading="of it cuBLAS", format_value=_mebibytes),
    Metric(key="outside_torch_bytes", heading="outside torch", format_value=_mebibytes),
    Metric(key="thesis_peak_bytes", heading="thesis MiB", format_value=_mebibytes),
    Metric(key="projected_training_time_s", heading="projected time", format_value=_clock),
    Metric(key="thesis_training_time_s", heading="thesis time", format_value=_clock),
    Metric(key="projected_time_ratio", heading="AMP/FP32 time", format_value=_times),
    Metric(key="thesis_time_ratio", heading="thesis's time ratio", format_value=_times),
    Metric(key="thesis_memory_ratio", heading="thesis's memory ratio", format_value=_times),
    Metric(key="thesis_difference_ratio", heading="diff %", format_value=_signed_percent),
    Metric(key="largest_batch_size", heading="largest batch", format_value=_count, is_higher_better=True),
    Metric(key="peak_reserved_bytes", heading="reserved MiB", format_value=_mebibytes),
    Metric(key="step_flops", heading="GFLOP", format_value=_giga),
    Metric(key="min_bytes", heading="min MiB", format_value=_mebibytes),
    Metric(key="achieved_flops_per_second", heading="TFLOP/s", format_value=_tera, is_higher_better=True),
    Metric(key="probe_gemm_flops_per_second", heading="GEMM TFLOP/s", format_value=_tera),
    Metric(key="probe_conv_flops_per_second", heading="conv TFLOP/s", format_value=_tera),
    Metric(key="probe_copy_bytes_per_second", heading="copy GB/s", format_value=_giga),
    Metric(key="limit_s", heading="limit ms", format_value=_milliseconds),
    Metric(key="roofline_s", heading="roofline ms", format_value=_milliseconds),
    Metric(key="roofline_ratio", heading="% of roofline", format_value=_whole_percent),
    Metric(key="bound_images_per_second", heading="bound images/s", format_value=significant),
    Metric(key="roofline_images_per_second", heading="roofline images/s", format_value=significant),
    Metric(key="memory_bound_ratio", heading="memory-bound %", format_value=_whole_percent),
    Metric(key="training_s", heading="training h", format_value=_hours),
    Metric(key="training_joules", heading="kWh", format_value=_kilowatt_hours),
    Metric(key="thesis_ratio", heading="of the thesis's time", format_value=_times),
    Metric(key="probe_ratio", heading="% of probe", format_value=_whole_percent),
    Metric(key="data_sheet_ratio", heading="% of data sheet", format_value=_whole_percent),
    Metric(key="energy_per_image_joules", heading="mJ/image", format_value=_millijoules),
    Metric(key="images_per_joule", heading="images/s per W", format_value=_efficiency, is_higher_better=True),
    Metric(key="sm_clock_median_mhz", heading="SM MHz", format_value=_whole),
    Metric(key="memory_clock_median_mhz", heading="memory MHz", format_value=_whole),
    Metric(key="power_median_watts", heading="power W", format_value=_whole),
    Metric(key="temperature_max_celsius", heading="max °C", format_value=_whole),
    Metric(key="throttled_ratio", heading="throttled %", format_value=_whole_percent),
    Metric(key="background_cpu_ratio", heading="background load %", format_value=_whole_percent),
    Metric(key="steal_ratio", heading="steal time %", format_value=_whole_percent),
    Metric(
        key="detectable_slowdown_ratio",
        heading="detectable %",
        format_value=_whole_percent,
    ),
    Metric(key="num_skipped_steps", heading="skipped steps", format_value=_count),
    Metric(key="num_timed_steps", heading="timed steps", format_value=_count),
    Metric(key="start_s", heading="start s", format_value=_seconds),
    Metric(key="compile_s", heading="compile s", format_value=_seconds),
    Metric(key="compile_peak_bytes", heading="compile peak MiB", format_value=_mebibytes),
    Metric(key="num_graph_breaks", heading="graph breaks", format_value=_count),
    Metric(key="num_recompilations", heading="recompiled", format_value=_count),
    Metric(key="num_warm_up_steps", heading="warm-up steps", format_value=_count),
    Metric(key="warm_up_s", heading="warm-up s", format_value=_seconds),
    Metric(key="test_accuracy", heading="test accuracy %", format_value=_percent, is_higher_better=True),
    Metric(key="validation_accuracy", heading="validation %", format_value=_percent, is_higher_better=True),
    Metric(key="training_time_s", heading="training time", format_value=_clock),
    Metric(key="epochs_s", heading="epochs", format_value=_clock),
    Metric(key="validation_s", heading="validation", format_value=_clock),
    Metric(key="test_s", heading="test s", format_value=_seconds),
    Metric(key="training_images_per_second", heading="images/s", format_value=significant, is_higher_better=True),
    Metric(key="time_to_target_s", heading="time to target", format_value=_clock),
    Metric(key="peak_net_bytes", heading="without data MiB", format_value=_mebibytes),
    Metric(key="energy_joules", heading="energy kJ", format_value=_kilojoules),
    Metric(key="num_resumes", heading="resumed", format_value=_count),
    Metric(key="num_interruptions", heading="interrupted", format_value=_count),
    Metric(key="lost_time_s", heading="lost s", format_value=_seconds),
    Metric(key="step_slowest_s", heading="step ms", format_value=_milliseconds),
    Metric(key="step_median_rank_s", heading="median rank ms", format_value=_milliseconds),
    Metric(key="all_reduce_s", heading="all-reduce ms", format_value=_milliseconds),
    Metric(key="gradient_bytes", heading="gradients MiB", format_value=_mebibytes),
    Metric(key="bus_bytes_per_second", heading="bus GB/s", format_value=_giga, is_higher_better=True),
    Metric(key="peak_deviation_ratio", heading="measured vs predicted %", format_value=_signed_percent),
    Metric(key="speedup_ratio", heading="speed-up", format_value=_times, is_higher_better=True),
    Metric(key="memory_ratio", heading="memory", format_value=_times),
)

METRICS: dict[str, Metric] = {metric.key: metric for metric in _ALL}

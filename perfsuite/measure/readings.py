"""Readings of a GPU's instruments: what one holds, many of them in short, and what they mean for a number."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.formatting import MIB_BYTES
from perfsuite.measure.nvml_library import NOT_REPORTED
from perfsuite.records.telemetry import BACKGROUND_LIMIT_RATIO, NOTABLE_RATIO, STEAL_LIMIT_RATIO, Spread, Telemetry

if TYPE_CHECKING:
    from collections.abc import Sequence

THROTTLE_REASONS = {
    0x0002: "application clocks",
    0x0004: "power cap",
    0x0008: "hardware slowdown",
    0x0010: "sync boost",
    0x0020: "thermal (software)",
    0x0040: "thermal (hardware)",
    0x0080: "power brake",
    0x0100: "display clocks",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons; 0x1, an idle GPU, holds no work back.
Source: NVML API reference, NvmlClocksEventReasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One reading; what NVML does not report is None."""

    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    power_watts: float | None
    temperature_celsius: float | None
    reasons: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What changes slowly: read at the beginning and at the end."""

    num_other_processes: int | None
    other_processes_bytes: int | None
    num_ecc_errors: int | None
    is_mig: bool | None


def summarise(
    samples: Sequence[Sample],
    *,
    before: Surroundings,
    after: Surroundings,
    seconds: float,
    max_sm_clock_mhz: float | None,
    reason: str = NOT_REPORTED,
) -> Telemetry:
    """Reduce readings to minimum, median and maximum.

    Args:
        samples: What was read, in order.
        before: Read at the beginning.
        after: Read at the end.
        seconds: Over how long.
        max_sm_clock_mhz: Highest SM clock of this GPU.
        reason: Why something is absent.
    """
    absent: dict[str, str] = {}

    def spread(name: str) -> Spread | None:
        values = [float(value) for sample in samples if (value := getattr(sample, name)) is not None]
        if not values:
            absent[name] = reason
            return None
        return Spread(minimum=min(values), median=statistics.median(values), maximum=max(values))

    def most(name: str) -> int | None:
        values = [value for value in (getattr(before, name), getattr(after, name)) if value is not None]
        if not values:
            absent[name] = reason
        return max(values, default=None)

    errors = None
    if before.num_ecc_errors is None or after.num_ecc_errors is None:
        absent["num_ecc_errors"] = f"no error correction, or {reason}"
    else:
        errors = after.num_ecc_errors - before.num_ecc_errors
    if after.is_mig is None:
        absent["is_mig"] = "this GPU cannot be partitioned" if reason == NOT_REPORTED else reason
    if max_sm_clock_mhz is None:
        absent["max_sm_clock_mhz"] = reason
    reasons = [sample.reasons for sample in samples if sample.reasons is not None]
    if not reasons:
        absent["throttle_ratio"] = reason
    return Telemetry(
        num_samples=len(samples),
        seconds=seconds,
        sm_clock_mhz=spread("sm_clock_mhz"),
        memory_clock_mhz=spread("memory_clock_mhz"),
        max_sm_clock_mhz=max_sm_clock_mhz,
        power_watts=spread("power_watts"),
        temperature_celsius=spread("temperature_celsius"),
        throttle_ratio=_shares(reasons) if reasons else None,
        num_other_processes=most("num_other_processes"),
        other_processes_bytes=most("other_processes_bytes"),
        num_ecc_errors=errors,
        is_mig=after.is_mig,
        absent=absent,
    )


def _shares(reasons: Sequence[int]) -> dict[str, float]:
    shares = {
        name: sum(bool(value & bit) for value in reasons) / len(reasons) for bit, name in THROTTLE_REASONS.items()
    }
    return {name: share for name, share in shares.items() if share > 0}


def findings_of(telemetry: Telemetry) -> list[str]:
    """Return what a reader should know before trusting a number measured at the same time, in words."""
    found = []
    clock = telemetry.sm_clock_mhz
    at = ""
    if clock is not None:
        most = "" if telemetry.max_sm_clock_mhz is None else f" of {telemetry.max_sm_clock_mhz:,.0f} at most"
        at = f"; SM clock {clock.median:,.0f} MHz{most}"
    for name, share in (telemetry.throttle_ratio or {}).items():
        if share >= NOTABLE_RATIO:
            found.append(f"throttled by {name} in {share:.0%} of the readings{at}")
    if telemetry.num_other_processes:
        held = telemetry.other_processes_bytes
        size = "memory of unknown size" if held is None else f"{held / MIB_BYTES:,.0f} MiB"
        who = (
            "another process holds"
            if telemetry.num_other_processes == 1
            else (f"{telemetry.num_other_processes} other processes hold")
        )
        found.append(f"{who} {size} on this GPU: it may compute too")
    if (telemetry.background_cpu_ratio or 0.0) > BACKGROUND_LIMIT_RATIO:
        found.append(
            f"background load: other processes took {telemetry.background_cpu_ratio:.0%} of the cores' time "
            "while it was measured; measure again without them"
        )
    if (telemetry.steal_ratio or 0.0) > STEAL_LIMIT_RATIO:
        found.append(
            f"steal time: other virtual machines on this host took {telemetry.steal_ratio:.0%} of the cores' time "
            "while it was measured"
        )
    if telemetry.num_ecc_errors:
        found.append(f"{telemetry.num_ecc_errors} memory errors beyond correction came up: this GPU may be failing")
    if telemetry.is_mig:
        found.append("the GPU is divided (MIG): this is the speed of a slice")
    return found

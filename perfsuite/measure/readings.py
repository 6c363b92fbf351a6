"""Readings of a GPU's instruments: what one holds, many of them in short, and what they mean for a number."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.formatting import MIB_BYTES
from perfsuite.measure.nvml_library import NOT_REPORTED
from perfsuite.records.telemetry import BACKGROUND_LIMIT_RATIO, NOTABLE_RATIO, STEAL_LIMIT_RATIO, Spread, Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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

READ_FROM_NVML = (
    "sm_clock_mhz",
    "memory_clock_mhz",
    "max_sm_clock_mhz",
    "power_watts",
    "temperature_celsius",
    "throttle_ratio",
    "num_other_processes",
    "other_processes_bytes",
    "num_ecc_errors",
    "is_mig",
)
"""Fields of `Telemetry`; each that is None has a reason."""


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
    found = Telemetry(
        num_samples=len(samples),
        seconds=seconds,
        sm_clock_mhz=_spread(sample.sm_clock_mhz for sample in samples),
        memory_clock_mhz=_spread(sample.memory_clock_mhz for sample in samples),
        max_sm_clock_mhz=max_sm_clock_mhz,
        power_watts=_spread(sample.power_watts for sample in samples),
        temperature_celsius=_spread(sample.temperature_celsius for sample in samples),
        throttle_ratio=_throttle_ratio(sample.reasons for sample in samples),
        num_other_processes=_larger(before.num_other_processes, after.num_other_processes),
        other_processes_bytes=_larger(before.other_processes_bytes, after.other_processes_bytes),
        num_ecc_errors=_increase(before.num_ecc_errors, after.num_ecc_errors),
        is_mig=after.is_mig,
    )
    absent = {name: reason for name in READ_FROM_NVML if getattr(found, name) is None}
    if "num_ecc_errors" in absent:
        absent["num_ecc_errors"] = f"no error correction, or {reason}"
    if "is_mig" in absent and reason == NOT_REPORTED:
        absent["is_mig"] = "this GPU cannot be partitioned"
    return dataclasses.replace(found, absent=absent)


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [float(value) for value in values if value is not None]
    if not known:
        return None
    return Spread(minimum=min(known), median=statistics.median(known), maximum=max(known))


def _larger(before: int | None, after: int | None) -> int | None:
    return max((value for value in (before, after) if value is not None), default=None)


def _increase(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _throttle_ratio(reasons: Iterable[int | None]) -> dict[str, float] | None:
    """Return the share of readings in which each reason held the clocks down; None where none are reported."""
    known = [value for value in reasons if value is not None]
    if not known:
        return None
    shares = {}
    for bit, name in THROTTLE_REASONS.items():
        num_readings = sum(bool(value & bit) for value in known)
        if num_readings:
            shares[name] = num_readings / len(known)
    return shares


def findings_of(telemetry: Telemetry) -> list[str]:
    """Return what a reader should know before trusting a number measured at the same time, in words."""
    found = [*_throttling_in_words(telemetry), *_other_processes_in_words(telemetry)]
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


def _throttling_in_words(telemetry: Telemetry) -> list[str]:
    clock = ""
    if telemetry.sm_clock_mhz is not None:
        clock = f"; SM clock {telemetry.sm_clock_mhz.median:,.0f} MHz"
        if telemetry.max_sm_clock_mhz is not None:
            clock += f" of {telemetry.max_sm_clock_mhz:,.0f} at most"
    return [
        f"throttled by {name} in {share:.0%} of the readings{clock}"
        for name, share in (telemetry.throttle_ratio or {}).items()
        if share >= NOTABLE_RATIO
    ]


def _other_processes_in_words(telemetry: Telemetry) -> list[str]:
    num_others, held_bytes = telemetry.num_other_processes, telemetry.other_processes_bytes
    if not num_others:
        return []
    who = "another process holds" if num_others == 1 else f"{num_others} other processes hold"
    size = "memory of unknown size" if held_bytes is None else f"{held_bytes / MIB_BYTES:,.0f} MiB"
    return [f"{who} {size} on this GPU: it may compute too"]

"""Hardware telemetry, as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.records.telemetry import NOTABLE_RATIO

if TYPE_CHECKING:
    from perfsuite.records.telemetry import Telemetry


def telemetry_columns(telemetry: Telemetry | None) -> dict[str, Any]:
    """Return medians and extremes of the readings."""
    found: dict[str, Any] = dict.fromkeys(
        (
            *("sm_clock_median_mhz", "memory_clock_median_mhz", "power_median_watts", "temperature_max_celsius"),
            *("throttled_ratio", "throttle_reasons", "energy_per_image_joules", "telemetry_absent"),
            *("background_cpu_ratio", "steal_ratio"),
        )
    )
    if telemetry is None:
        return found
    for key, spread, which in (
        ("sm_clock_median_mhz", telemetry.sm_clock_mhz, "median"),
        ("memory_clock_median_mhz", telemetry.memory_clock_mhz, "median"),
        ("power_median_watts", telemetry.power_watts, "median"),
        ("temperature_max_celsius", telemetry.temperature_celsius, "maximum"),
    ):
        found[key] = None if spread is None else getattr(spread, which)
    if telemetry.throttle_ratio is not None:
        found["throttled_ratio"] = max(telemetry.throttle_ratio.values(), default=0.0)
        found["throttle_reasons"] = (
            ", ".join(f"{name} {share:.0%}" for name, share in telemetry.throttle_ratio.items()) or None
        )
    found["energy_per_image_joules"] = telemetry.energy_per_image_joules
    found["background_cpu_ratio"], found["steal_ratio"] = telemetry.background_cpu_ratio, telemetry.steal_ratio
    found["telemetry_absent"] = telemetry.absent.get("sm_clock_mhz")
    return found


POWER_CAP = "power cap"
"""A GPU at work reaches it: that is its speed, and no disturbance."""


def is_throttled(telemetry: Telemetry) -> bool:
    """Whether another reason than the power cap held the clocks down notably."""
    shares = telemetry.throttle_ratio or {}
    return any(share >= NOTABLE_RATIO for name, share in shares.items() if name != POWER_CAP)

"""Evidence of a result: what the hardware did while it was measured, and where the time of an iteration went."""

from __future__ import annotations

from dataclasses import dataclass, field

SPREAD_LIMIT_RATIO = 0.1
"""Interquartile range over median beyond which the rounds of a cell are called unstable. On two cores of a shared
server 95% of 54 cells stayed below 0.063; the one cell beyond 0.1 had a median a third away from that of other runs."""

NOTABLE_RATIO = 0.1
"""Share of the readings from which on a reason that holds the clocks down is told."""

BACKGROUND_LIMIT_RATIO = 0.15
"""Share of the cores' time beyond which other processes are told; one busy process on two cores halves a CPU's
throughput."""

STEAL_LIMIT_RATIO = 0.05
"""The same for other virtual machines; in rounds of half a second on two cores a single tick is 1%."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Readings of one instrument over a while.

    Attributes:
        minimum: The lowest.
        median: The middle one.
        maximum: The highest.
    """

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What the hardware did while the rounds of a cell were timed; what could not be read is None, with a reason.

    Attributes:
        num_samples: Readings taken.
        seconds: Over how long.
        sm_clock_mhz: Clock of the streaming multiprocessors.
        memory_clock_mhz: Clock of the memory.
        max_sm_clock_mhz: Highest SM clock of this GPU.
        power_watts: Power drawn; most GPUs since Ampere tell the mean of the last second.
        temperature_celsius: Of the GPU's core.
        throttle_ratio: Share of the readings at which a reason held the clocks down, by reason; reasons that never did
            are left out.
        num_other_processes: Other processes on the GPU, the most seen.
        other_processes_bytes: Memory that they hold, the most seen.
        num_ecc_errors: Memory errors beyond correction that occurred while it was measured.
        is_mig: Whether the GPU is divided.
        energy_joules: Energy over a window of its own, of two seconds or more of the same iterations.
        energy_num_images: Images that were computed in that window.
        background_cpu_ratio: Share of the cores' time that other processes took, where a CPU is measured.
        steal_ratio: Share that other virtual machines on the same host took.
        absent: The reason for everything that is None.
    """

    num_samples: int
    seconds: float
    sm_clock_mhz: Spread | None = None
    memory_clock_mhz: Spread | None = None
    max_sm_clock_mhz: float | None = None
    power_watts: Spread | None = None
    temperature_celsius: Spread | None = None
    throttle_ratio: dict[str, float] | None = None
    num_other_processes: int | None = None
    other_processes_bytes: int | None = None
    num_ecc_errors: int | None = None
    is_mig: bool | None = None
    energy_joules: float | None = None
    energy_num_images: int | None = None
    background_cpu_ratio: float | None = None
    steal_ratio: float | None = None
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def energy_per_image_joules(self) -> float | None:
        """Energy of one image, or None."""
        if self.energy_joules is None or not self.energy_num_images:
            return None
        return self.energy_joules / self.energy_num_images

"""A GPU at its power limit, as a model: power, temperature and clock drive the clock that the suite reads.

Power is dynamic (activity times clock times voltage squared) plus what leaks, which rises with temperature. The
clock is lowered until power is at the limit. The heat sink takes a minute to warm up. Numbers are those of a T4: 70 W,
300 to 1590 MHz, about 1,000 MHz under a heavy load when it is hot (mlcommons/inference_results_v0.5, issue 20).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfsuite.evidence import Spread, Telemetry
from perfsuite.measure.readings import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_MHZ, MIN_MHZ, IDLE_MHZ, STEP_S = 1590.0, 300.0, 300.0, 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What an iteration asks of the GPU.

    Attributes:
        seconds: At the highest clock.
        memory_ratio: Share of them that does not depend on the clock.
        watts: Dynamic power at the highest clock.
    """

    seconds: float
    memory_ratio: float = 0.2
    watts: float = 110.0

    def seconds_at(self, mhz: float) -> float:
        return self.seconds * (self.memory_ratio + (1 - self.memory_ratio) * MAX_MHZ / mhz)


@dataclass(slots=True, kw_only=True)
class SimulatedGpu:
    """Its state, and the host's clock."""

    limit_watts: float = 70.0
    ambient_celsius: float = 35.0
    kelvin_per_watt: float = 0.64
    heating_s: float = 60.0
    controller_s: float = 0.5
    leak_watts_per_kelvin: float = 0.25
    jitter_ratio: float = 0.003
    time: float = 0.0
    mhz: float = IDLE_MHZ
    celsius: float = 35.0
    generator: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - nothing here is secret

    def now(self) -> float:
        return self.time

    def running(self, load: Load) -> Callable[[], None]:
        def run() -> None:
            left = 1.0
            slowness = math.exp(self.generator.gauss(0.0, self.jitter_ratio))
            while left > 1e-12:
                whole_s = load.seconds_at(self.mhz) * slowness
                seconds = min(STEP_S, left * whole_s)
                left -= seconds / whole_s
                self._advance(seconds, load.watts)

        return run

    def idle(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self._advance(0.05, 0.0)

    def _advance(self, seconds: float, watts: float) -> None:
        target = self._clock_at_limit(watts, self.celsius) if watts else IDLE_MHZ
        speed_s = 0.05 if target > self.mhz else self.controller_s  # it rises at once, and is lowered step by step
        self.mhz += (target - self.mhz) * (1 - math.exp(-seconds / speed_s))
        drawn = self._leak(self.celsius) + _dynamic(watts, self.mhz)
        final = self.ambient_celsius + self.kelvin_per_watt * drawn
        self.celsius += (final - self.celsius) * (1 - math.exp(-seconds / self.heating_s))
        self.time += seconds

    def _leak(self, celsius: float) -> float:
        return 12.0 + self.leak_watts_per_kelvin * (celsius - 25.0)

    def _clock_at_limit(self, watts: float, celsius: float) -> float:
        low, high = MIN_MHZ, MAX_MHZ
        if self._leak(celsius) + _dynamic(watts, high) <= self.limit_watts:
            return high
        for _ in range(16):
            middle = (low + high) / 2
            if self._leak(celsius) + _dynamic(watts, middle) <= self.limit_watts:
                low = middle
            else:
                high = middle
        return low

    def sustained_s(self, load: Load) -> float:
        """Return the time of an iteration once nothing changes any more."""
        celsius = self.celsius
        for _ in range(200):
            mhz = self._clock_at_limit(load.watts, celsius)
            celsius = self.ambient_celsius + self.kelvin_per_watt * (self._leak(celsius) + _dynamic(load.watts, mhz))
        return load.seconds_at(mhz)

    def sample(self, watts: float) -> Sample:
        """Return what NVML would read: whole degrees, steps of 15 MHz."""
        limited = watts > 0 and self._clock_at_limit(watts, self.celsius) < MAX_MHZ
        return Sample(
            sm_clock_mhz=15.0 * round(self.mhz / 15),
            memory_clock_mhz=5000.0,
            power_watts=min(self._leak(self.celsius) + _dynamic(watts, self.mhz), self.limit_watts),
            temperature_celsius=float(round(self.celsius)),
            reasons=0x4 if limited else 0,
        )


def _dynamic(watts: float, mhz: float) -> float:
    voltage = 0.65 + 0.35 * (mhz - MIN_MHZ) / (MAX_MHZ - MIN_MHZ)
    return watts * mhz / MAX_MHZ * voltage**2


@dataclass(slots=True, kw_only=True)
class SimulatedInstrument:
    """NVML on a simulated GPU."""

    gpu: SimulatedGpu
    watts: float
    can_read: bool = True

    def start(self) -> None:
        pass

    def stop(self, token: None) -> Telemetry:  # noqa: ARG002 - there is none
        if not self.can_read:
            return Telemetry(num_samples=0, seconds=1.0)
        sample = self.gpu.sample(self.watts)
        clock = sample.sm_clock_mhz or 0.0
        return Telemetry(
            num_samples=10,
            seconds=1.0,
            sm_clock_mhz=Spread(minimum=clock, median=clock, maximum=clock),
            throttle_ratio={"power cap": 1.0} if sample.reasons else {},
        )

    def pause(self, token: None) -> None:
        pass

    def resume(self, token: None) -> None:
        pass

    def energy_joules(self) -> None:
        return None

    def read_sample(self) -> Sample | None:
        return self.gpu.sample(self.watts) if self.can_read else None

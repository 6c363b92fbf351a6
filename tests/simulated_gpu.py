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

from perfsuite.measure.readings import Sample, Surroundings, summarise
from perfsuite.records.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_MHZ, MIN_MHZ, IDLE_MHZ = 1590.0, 300.0, 300.0
ALONE = Surroundings(num_other_processes=0, other_processes_bytes=0, num_ecc_errors=None, is_mig=None)


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
    """Its state, and the host's clock.

    Attributes:
        step_s: Between two states; fine enough for a cell, and coarser for a training.
        watts: Dynamic power of what runs now, at the highest clock.
        is_limited: Whether its power limit holds its clock down now.
        joules: Energy drawn so far.
        limited_s: How long its clock has been limited so far.
        readings: What an instrument has read, every `period_s`, since it began.
    """

    limit_watts: float = 70.0
    ambient_celsius: float = 35.0
    kelvin_per_watt: float = 0.64
    heating_s: float = 60.0
    controller_s: float = 0.5
    leak_watts_per_kelvin: float = 0.25
    jitter_ratio: float = 0.003
    step_s: float = 0.02
    time: float = 0.0
    watts: float = 0.0
    is_limited: bool = False
    joules: float = 0.0
    limited_s: float = 0.0
    period_s: float = 0.1
    readings: list[Sample] = field(default_factory=list)
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
                seconds = min(self.step_s, left * whole_s)
                left -= seconds / whole_s
                self._advance(seconds, load.watts)

        return run

    def idle(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self._advance(0.05, 0.0)

    def _advance(self, seconds: float, watts: float) -> None:
        self.watts = watts
        target = self._clock_at_limit(watts, self.celsius) if watts else IDLE_MHZ
        self.is_limited = watts > 0 and target < MAX_MHZ
        speed_s = 0.05 if target > self.mhz else self.controller_s  # it rises at once, and is lowered step by step
        self.mhz += (target - self.mhz) * (1 - math.exp(-seconds / speed_s))
        drawn = self._leak(self.celsius) + _dynamic(watts, self.mhz)
        final = self.ambient_celsius + self.kelvin_per_watt * drawn
        self.celsius += (final - self.celsius) * (1 - math.exp(-seconds / self.heating_s))
        self.joules += seconds * drawn
        self.limited_s += seconds if self.is_limited else 0.0
        self.time += seconds
        if self.time // self.period_s != (self.time - seconds) // self.period_s:
            self.readings.append(self.sample())

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

    def sample(self) -> Sample:
        """Return what NVML would read: whole degrees, steps of 15 MHz."""
        return Sample(
            sm_clock_mhz=15.0 * round(self.mhz / 15),
            memory_clock_mhz=5000.0,
            power_watts=min(self._leak(self.celsius) + _dynamic(self.watts, self.mhz), self.limit_watts),
            temperature_celsius=float(round(self.celsius)),
            reasons=0x4 if self.is_limited else 0,
        )


def _dynamic(watts: float, mhz: float) -> float:
    voltage = 0.65 + 0.35 * (mhz - MIN_MHZ) / (MAX_MHZ - MIN_MHZ)
    return watts * mhz / MAX_MHZ * voltage**2


@dataclass(slots=True, kw_only=True)
class SimulatedInstrument:
    """NVML on a simulated GPU."""

    gpu: SimulatedGpu
    can_read: bool = True

    def start(self) -> float:
        self.gpu.readings = [self.gpu.sample()]
        return self.gpu.time

    def read(self, token: float) -> Telemetry:
        seconds = self.gpu.time - token
        if not self.can_read:
            return Telemetry(num_samples=0, seconds=seconds)
        readings = [*self.gpu.readings, self.gpu.sample()]
        return summarise(readings, before=ALONE, after=ALONE, seconds=seconds, max_sm_clock_mhz=MAX_MHZ)

    stop = read

    def pause(self, token: float) -> None:
        pass

    def resume(self, token: float) -> None:
        pass

    def energy_joules(self) -> float | None:
        return self.gpu.joules if self.can_read else None

    def read_sample(self) -> Sample | None:
        return self.gpu.sample() if self.can_read else None

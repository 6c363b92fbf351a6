"""What the hardware does while a training is done: energy, peak memory, temperatures, and what spoils its times."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from perfsuite.measure.drift import DeviceHistory
from perfsuite.measure.readings import findings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.memory import MemoryMeter
    from perfsuite.measure.telemetry import Instrument
    from perfsuite.records.telemetry import Telemetry
    from perfsuite.workloads.ranks import Ranks


class TrainingInstruments:
    """The instruments of one process, and what those of the other ranks show.

    All ranks must call these methods at the same time: they tell each other what they read.

    Attributes:
        history: Temperatures of this process's device.
    """

    def __init__(self, instrument: Instrument, meter: MemoryMeter, ranks: Ranks, *, side_by_side: str | None) -> None:
        """See `Job.side_by_side`."""
        self.history = DeviceHistory()
        self._instrument, self._meter, self._ranks = instrument, meter, ranks
        self._side_by_side = side_by_side

    def energy_joules(self) -> float | None:
        """Return the energy counters of all devices together; None where one has none."""
        counters = self._ranks.each(self._instrument.energy_joules())
        return None if None in counters else sum(counter for counter in counters if counter is not None)

    def begin_peak(self) -> None:
        """Forget the highest peak of memory so far."""
        self._meter.reset()

    def higher_peak(self, known: int | None) -> int | None:
        """Return the highest peak of a rank since the last reset, or the known one; start the next one."""
        found = self._ranks.each(self._meter.peak_bytes())
        self._meter.reset()
        return max((peak for peak in (known, *found) if peak is not None), default=None)

    def note_temperature(self, now: Callable[[], float]) -> None:
        """Read the temperature of the device, where it has one, and when that was."""
        sample = self._instrument.read_sample()
        if sample is not None:
            self.history.note_temperature(now(), sample.temperature_celsius)

    def own(self, telemetry: Telemetry) -> Telemetry:
        """Return readings without the load of other processes where those are the ranks of this training."""
        if self._ranks.is_alone or telemetry.background_cpu_ratio is None:
            return telemetry
        reason = "the other ranks of this training compute on the same cores"
        absent = {**telemetry.absent, "background_cpu_ratio": reason}
        return dataclasses.replace(telemetry, background_cpu_ratio=None, absent=absent)

    def findings(self, telemetry: Telemetry) -> tuple[str, ...]:
        """Return what spoils the times of this training so far, in words."""
        return (*findings_of(self.own(telemetry)), *self.findings_of_others(telemetry))

    def findings_of_others(self, telemetry: Telemetry) -> tuple[str, ...]:
        """Return what spoils the times besides this process: the other ranks, each with its number, and trainings."""
        found = []
        for rank, texts in enumerate(self._ranks.each(findings_of(self.own(telemetry)))):
            if rank > 0:
                found += [f"rank {rank}: {text}" for text in texts]
        if self._side_by_side is not None:
            found.append(self._side_by_side)
        return tuple(found)

"""Around the rounds of a cell: more of them until their mean is known, their energy, their skipped steps."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.mean_margin import relative_margins

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.measure.clock import DeviceClock
    from perfsuite.measure.telemetry import Instrument
    from perfsuite.records.telemetry import Telemetry
    from perfsuite.workloads.measurable import Measurable

ENERGY_WINDOW_S = 2.0
"""Least length of the window whose energy is read. The counter moves every 20 to 100 ms: 5% of the window at most.
Source: Yang et al., Part-time Power Measurements: nvidia-smi's Lack of Attention (2024)."""


def more_rounds(
    run: Callable[[], object],
    stats: Any,
    clock: Callable[[], float],
    *,
    margin_ratio: float,
    confidence: float,
    max_time_s: float,
) -> None:
    """Add rounds to those of pytest-benchmark until their mean is known well enough, correlated as they are.

    pytest-benchmark's own rule takes rounds for independent, and ends too early.

    Args:
        run: One iteration.
        stats: pytest-benchmark's, with its rounds.
        clock: Reads seconds, device synchronised.
        margin_ratio: Half the width of the interval around the mean, over the mean.
        confidence: Of that interval.
        max_time_s: How long all rounds may take together.
    """
    num_iterations = int(stats["iterations"])
    while True:
        data = list(stats["data"])
        if sum(data) * num_iterations >= max_time_s:
            return
        if not relative_margins(np.array([data]), confidence)[0] > margin_ratio:
            return
        begin = clock()
        for _ in range(num_iterations):
            run()
        stats.update(clock() - begin)


class SkippedInRounds:
    """Counts the optimizer steps that the loss scaler skipped in each round, read between the rounds.

    Attributes:
        by_round: Of every round since the first `watch`, those of the calibration included.
    """

    def __init__(self, step: Measurable, clock: DeviceClock) -> None:
        """Count those of a step, rounds as the clock sees them."""
        self._step = step
        self._clock = clock
        self._seen = 0.0
        self.by_round: list[float] = []

    def watch(self) -> None:
        """Count from now on; what was skipped since the last round belongs to none."""
        self._seen = float(self._step.num_skipped)
        self._clock.watch(lambda: self._step.num_iterations, self._end_round)

    def _end_round(self) -> None:
        before, self._seen = self._seen, float(self._step.num_skipped)
        self.by_round.append(self._seen - before)


class EnergyWindow:
    """The energy of all iterations from its beginning to its end, `ENERGY_WINDOW_S` or longer."""

    def __init__(self, instrument: Instrument, clock: Callable[[], float], step: Measurable) -> None:
        """Begin now."""
        self._instrument = instrument
        self._clock = clock
        self._step = step
        self._begin_s = clock()
        self._begin_joules = instrument.energy_joules()
        self._begin_passes = step.num_iterations

    def end(self, telemetry: Telemetry) -> Telemetry:
        """Return the telemetry with the energy, after more iterations where there were too few for the counter."""
        end_joules = None
        if self._begin_joules is not None:
            while self._clock() - self._begin_s < ENERGY_WINDOW_S:
                self._step.phase()
            end_joules = self._instrument.energy_joules()
        if self._begin_joules is None or end_joules is None:
            reason = telemetry.absent.get("energy_joules", "this GPU has no energy counter")
            absent = {**telemetry.absent, "energy_joules": reason, "energy_num_images": reason}
            return dataclasses.replace(telemetry, absent=absent)
        num_images = (self._step.num_iterations - self._begin_passes) * self._step.workload.batch_size
        return dataclasses.replace(
            telemetry, energy_joules=end_joules - self._begin_joules, energy_num_images=num_images
        )

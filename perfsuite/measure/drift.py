"""Whether times changed while they were taken: early ones against late ones, and what a change means."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.records.telemetry import Telemetry

Z = 4.0
"""A change of fewer standard errors is taken for scatter. Generous, for neighbouring times are alike."""

MIN_TIMES = 2
"""On each side of a comparison; fewer tell nothing."""

MIN_DRIFT_TIMES = 9
"""Three in each third: the scatter of two is not known."""

NORMAL_SD_OF_MAD = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""

MEDIAN_EFFICIENCY = math.sqrt(math.pi / 2)
"""Standard error of a median over that of a mean, of a normal distribution."""

HEATING_CELSIUS = 2.0
"""A GPU that has become so much hotter within `HEATING_WINDOW_S` is still heating up; NVML reads whole degrees."""

HEATING_WINDOW_S = 60.0
"""About the time in which the heat sink of a T4 comes two thirds of the way to its final temperature."""

LIMITED_RATIO = 0.1
"""Share of the readings from which on clocks count as limited."""

HEAT_REASONS = ("power cap", "thermal (software)", "thermal (hardware)", "hardware slowdown")
"""Limits of the clock that are lower the hotter the GPU is: more of its power leaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How late times differ from early ones.

    Attributes:
        ratio: Median of the late ones over that of the early ones, less 1.
        error_ratio: Its standard error if all were independent.
    """

    ratio: float
    error_ratio: float

    def is_beyond(self, limit_ratio: float) -> bool:
        """Whether it is larger than that and no scatter."""
        return abs(self.ratio) > max(limit_ratio, Z * self.error_ratio)


def change_between(early: Sequence[float], late: Sequence[float]) -> Drift | None:
    """Compare the medians of early and late times; None where there are too few."""
    if min(len(early), len(late)) < MIN_TIMES:
        return None
    before, after = statistics.median(early), statistics.median(late)
    if before <= 0:
        return None
    num = (len(early), len(late))
    error = MEDIAN_EFFICIENCY * _scatter(early, late) * math.sqrt(1 / num[0] + 1 / num[1])
    return Drift(ratio=after / before - 1, error_ratio=error / before)


def _scatter(*parts: Sequence[float]) -> float:
    """Return the standard deviation of times without what rises or falls in them, from steps between neighbours."""
    steps = [after - before for part in parts for before, after in itertools.pairwise(part)]
    middle = statistics.median(steps)
    mad = statistics.median(abs(step - middle) for step in steps)
    return NORMAL_SD_OF_MAD * mad / math.sqrt(2)


def drift_finding(times: Sequence[float], limit_ratio: float, *, of: str = "rounds") -> str | None:
    """Return a finding, in words, if the last third of the times differs from the first."""
    third = len(times) // 3
    if third < MIN_TIMES:
        return None
    change = change_between(times[:third], times[-third:])
    if change is None or not change.is_beyond(limit_ratio):
        return None
    way = "more" if change.ratio > 0 else "less"
    return (
        f"the last third of the {of} took {abs(change.ratio):.1%} {way} time than the first: this is not the time "
        "of a device in its steady state"
    )


def few_times_finding(times: Sequence[float], limit_ratio: float, *, of: str) -> str | None:
    """Return a finding, in words, if times are not alike and too few for `drift_finding` to see that they drift."""
    if len(times) >= MIN_DRIFT_TIMES:
        return None
    if len(times) == 1:
        return f"only one of the {of}: whether its time is that of a device in its steady state is not known"
    apart = max(times) / min(times) - 1
    if apart <= limit_ratio:
        return None
    return f"times of the {of} are up to {apart:.1%} apart, and {len(times)} are too few to tell drift from scatter"


class DeviceHistory:
    """What a run has learnt of its device over all cells.

    Attributes:
        is_warm: Whether a cell of this run has warmed the device up.
    """

    def __init__(self) -> None:
        """Begin with a device of which nothing is known."""
        self.is_warm = False
        self._temperatures: list[tuple[float, float]] = []

    def note_temperature(self, seconds: float, celsius: float | None) -> None:
        """Keep a reading of the GPU's temperature."""
        if celsius is not None:
            self._temperatures.append((seconds, celsius))

    def heating_finding(self, telemetry: Telemetry | None, *, advice: str = "") -> str | None:
        """Return a finding, in words, if the GPU still heats up while its clock depends on its temperature.

        Args:
            telemetry: What was read of it at the same time.
            advice: What can be done about it.
        """
        shares = {} if telemetry is None or telemetry.throttle_ratio is None else telemetry.throttle_ratio
        limits = [name for name in HEAT_REASONS if shares.get(name, 0.0) >= LIMITED_RATIO]
        if not limits or not self._temperatures:
            return None
        now_s, now_celsius = self._temperatures[-1]
        recent = [(seconds, celsius) for seconds, celsius in self._temperatures if now_s - seconds <= HEATING_WINDOW_S]
        begin_s, begin_celsius = min(recent, key=lambda reading: reading[1])
        if now_celsius - begin_celsius < HEATING_CELSIUS:
            return None
        return (
            f"the GPU was still heating up ({begin_celsius:.0f} to {now_celsius:.0f} degrees Celsius in "
            f"{max(now_s - begin_s, 1.0):.0f} s) while its clock was limited ({', '.join(limits)}): a longer run is "
            f"slower{advice}"
        )

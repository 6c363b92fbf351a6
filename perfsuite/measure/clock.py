"""Time on the device: a timer that waits for the device before it reads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

import torch

from perfsuite.measure.drift import DeviceHistory

if TYPE_CHECKING:
    from collections.abc import Callable


def device_synchronizer(device: torch.device) -> Callable[[], None]:
    """Return a function that waits until the device has done everything asked of it; nothing to wait for on a CPU."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


class DeviceClock:
    """The timer given to pytest-benchmark: synchronises the device, then reads the host's clock.

    pytest-benchmark reads its timer once before and once after a round, never between the iterations of one. So the
    device is idle when a round begins, and all that the round asked of it is done when it ends. One call costs one
    synchronisation of an idle device (about 10 us on CUDA), which rounds of 50 ms and more do not feel.

    Attributes:
        history: What has been learnt of the device whose clock this is, over all cells of the run.
    """

    __name__ = "perfsuite.measure.clock.DeviceClock"

    def __init__(self, synchronize: Callable[[], None], now: Callable[[], float] = time.perf_counter) -> None:
        """Build a clock.

        Args:
            synchronize: Waits for the device.
            now: Reads seconds.
        """
        self._synchronize = synchronize
        self._now = now
        self._num_iterations: Callable[[], int] = lambda: 0
        self._round_ended: Callable[[], None] = lambda: None
        self._iterations_seen = 0
        self.history = DeviceHistory()

    def __call__(self) -> float:
        """Wait for the device and return the time in seconds."""
        self._synchronize()
        reading = self._now()
        iterations = self._num_iterations()
        if iterations != self._iterations_seen:
            # Work was done since the last reading, so this one ends a round: its value is taken, and nothing is timed
            # until the next reading.
            self._iterations_seen = iterations
            self._round_ended()
        return reading

    def watch(self, num_iterations: Callable[[], int], round_ended: Callable[[], None]) -> None:
        """Call something back at the end of every round, outside the timed window.

        Args:
            num_iterations: Counts the iterations of the timed body so far, on the host.
            round_ended: Called after the reading that ends a round.
        """
        self._num_iterations = num_iterations
        self._round_ended = round_ended
        self._iterations_seen = num_iterations()

    def unwatch(self) -> None:
        """Stop calling back."""
        self.watch(lambda: 0, lambda: None)


class Stopwatch(Protocol):
    """Measures a span of time: `start() -> token`, `stop(token) -> seconds`."""

    def start(self) -> Any:
        """Begin once the device is idle."""

    def stop(self, token: Any) -> float:
        """Return the seconds until the device has done all that was asked of it since."""


class ClockStopwatch:
    """Reads a clock that waits for the device, as the rounds of a cell do."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Build one on a clock in seconds."""
        self._clock = clock

    def start(self) -> float:
        """Return a reading."""
        return self._clock()

    def stop(self, token: float) -> float:
        """Return the seconds since that reading."""
        return self._clock() - token


class EventStopwatch:
    """Lets the device itself note the time, by CUDA events in the current stream: independent of the host's clock."""

    def __init__(self, device: torch.device) -> None:
        """Build one for a CUDA device."""
        self._device = device

    def start(self) -> torch.cuda.Event:
        """Wait for the device, then have it note the time."""
        torch.cuda.synchronize(self._device)
        return self._note()

    def stop(self, token: torch.cuda.Event) -> float:
        """Have it note the time after all that was asked of it, and return the seconds between.

        Source: cudaEventElapsedTime, milliseconds with a resolution of about 0.5 us.
        """
        event = self._note()
        event.synchronize()
        return float(token.elapsed_time(event)) / 1e3

    def _note(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event


def independent_stopwatch(device: torch.device) -> Stopwatch:
    """Return a stopwatch that shares nothing with `DeviceClock`: CUDA events, or the bare host clock on a CPU."""
    return EventStopwatch(device) if device.type == "cuda" else ClockStopwatch(time.perf_counter)

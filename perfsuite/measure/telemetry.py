"""What the GPU does while rounds are timed: NVML, read by a thread of its own, off the timed one."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from perfsuite.evidence import Telemetry
from perfsuite.measure.readings import Sample, Surroundings, summarise

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

PERIOD_S = 0.1
"""Between two readings. NVML itself renews clocks and power only every 20 to 100 ms.
Source: NVML API reference, and Yang et al., Part-time Power Measurements: nvidia-smi's Lack of Attention (2024)."""


class Instrument(Protocol):
    """Observes a stretch of time: `start() -> token`, `stop(token) -> reading`."""

    def start(self) -> Any:
        """Begin."""

    def stop(self, token: Any) -> Telemetry:
        """Return what was seen since."""

    def pause(self, token: Any) -> None:
        """Do not read until `resume`: what happens now is not to be observed."""

    def resume(self, token: Any) -> None:
        """Read again."""

    def energy_joules(self) -> float | None:
        """Return the energy counter, or None where there is none."""

    def read_sample(self) -> Sample | None:
        """Read what changes quickly, now; None where there is nothing to read."""


class NothingToSee:
    """Stands in where there is no GPU or NVML tells nothing."""

    def __init__(self, reason: str) -> None:
        """Build one that gives the reason in every reading."""
        self._reason = reason

    def start(self) -> float:
        """Return a reading of the clock."""
        return time.perf_counter()

    def stop(self, token: float) -> Telemetry:
        """Return nothing, with the reason."""
        absent = dict.fromkeys(_ABSENT, self._reason)
        return Telemetry(num_samples=0, seconds=time.perf_counter() - token, absent=absent)

    def pause(self, token: float) -> None:
        """Do nothing."""

    def resume(self, token: float) -> None:
        """Do nothing."""

    def energy_joules(self) -> float | None:
        """Return None."""
        return None

    def read_sample(self) -> None:
        """Return None."""


_ABSENT = (
    *("sm_clock_mhz", "memory_clock_mhz", "max_sm_clock_mhz", "power_watts", "temperature_celsius", "throttle_ratio"),
    *("num_other_processes", "other_processes_bytes", "num_ecc_errors", "is_mig", "energy_joules", "energy_num_images"),
)


@dataclass(slots=True)
class _Watch:
    """A stretch of time that is being observed."""

    begin: float
    before: Surroundings
    samples: list[Sample] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    paused: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class NvmlInstrument:
    """Reads one GPU through NVML."""

    def __init__(
        self,
        library: Any,
        handle: Any,
        *,
        period_s: float = PERIOD_S,
        now: Callable[[], float] = time.perf_counter,
        pid: int | None = None,
        is_slice: bool = False,
    ) -> None:
        """Build one.

        Args:
            library: A module with the interface of `pynvml`, initialised.
            handle: Its handle of the GPU.
            period_s: Between two readings.
            now: Reads seconds.
            pid: Which process is ours; this one if not given.
            is_slice: Whether the handle is that of a slice of a divided GPU.
        """
        self._is_slice = is_slice
        self.library = library
        self.handle = handle
        self._period_s = period_s
        self._now = now
        self._pid = os.getpid() if pid is None else pid

    def start(self) -> _Watch:
        """Begin to read, once now and then in a thread."""
        watch = _Watch(begin=self._now(), before=self.read_surroundings())
        watch.samples.append(self.read_sample())
        watch.thread = threading.Thread(target=self._observe, args=(watch,), name="perfsuite telemetry", daemon=True)
        watch.thread.start()
        return watch

    def stop(self, token: _Watch) -> Telemetry:
        """Read once more and return what was seen."""
        token.ended.set()
        if token.thread is not None:
            token.thread.join()
        token.samples.append(self.read_sample())
        seconds = self._now() - token.begin
        return summarise(
            token.samples,
            before=token.before,
            after=self.read_surroundings(),
            seconds=seconds,
            max_sm_clock_mhz=ask(
                self.library, "nvmlDeviceGetMaxClockInfo", self.handle, getattr(self.library, "NVML_CLOCK_SM", 1)
            ),
        )

    def _observe(self, watch: _Watch) -> None:
        while not watch.ended.wait(self._period_s):
            if not watch.paused.is_set():
                watch.samples.append(self.read_sample())

    def pause(self, token: _Watch) -> None:
        """Let the thread sleep on."""
        token.paused.set()

    def resume(self, token: _Watch) -> None:
        """Let it read again, at the pace that it had."""
        token.paused.clear()

    def energy_joules(self) -> float | None:
        """Return the energy counter.

        Source: NVML API reference, nvmlDeviceGetTotalEnergyConsumption: millijoules since the driver was loaded.
        """
        millijoules = ask(self.library, "nvmlDeviceGetTotalEnergyConsumption", self.handle)
        return None if millijoules is None else millijoules / 1e3

    def read_sample(self) -> Sample:
        """Read what changes quickly."""
        library, handle = self.library, self.handle
        milliwatts = ask(library, "nvmlDeviceGetPowerUsage", handle)
        reasons = ask(library, "nvmlDeviceGetCurrentClocksEventReasons", handle)
        if reasons is None:  # its name before driver 535
            reasons = ask(library, "nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        return Sample(
            sm_clock_mhz=ask(library, "nvmlDeviceGetClockInfo", handle, getattr(library, "NVML_CLOCK_SM", 1)),
            memory_clock_mhz=ask(library, "nvmlDeviceGetClockInfo", handle, getattr(library, "NVML_CLOCK_MEM", 2)),
            power_watts=None if milliwatts is None else milliwatts / 1e3,
            temperature_celsius=ask(
                library, "nvmlDeviceGetTemperature", handle, getattr(library, "NVML_TEMPERATURE_GPU", 0)
            ),
            reasons=None if reasons is None else int(reasons),
        )

    def read_surroundings(self) -> Surroundings:
        """Read who else is there, memory errors, and whether the GPU is divided."""
        library, handle = self.library, self.handle
        number, held = self._others()
        # Source of 1 and 0: NVML API reference, nvmlMemoryErrorType_t (uncorrected), nvmlEccCounterType_t (volatile).
        errors = ask(library, "nvmlDeviceGetTotalEccErrors", handle, 1, 0)
        mig = ask(library, "nvmlDeviceGetMigMode", handle)
        return Surroundings(
            num_other_processes=number,
            other_processes_bytes=held,
            num_ecc_errors=None if errors is None else int(errors),
            is_mig=True if self._is_slice else None if mig is None else bool(mig[0]),
        )

    def _others(self) -> tuple[int | None, int | None]:
        """Return how many other processes compute there and what they hold; a desktop that only draws is none.

        In a container the driver knows us by another number than we do: then the largest of them is taken for ours.
        """
        found = ask(self.library, "nvmlDeviceGetComputeRunningProcesses", self.handle)
        if found is None:
            return None, None
        held = {int(process.pid): process.usedGpuMemory for process in found}
        if self._pid in held:
            del held[self._pid]
        elif held:
            del held[max(held, key=lambda pid: held[pid] or 0)]
        known = [int(size) for size in held.values() if size is not None]
        return len(held), (sum(known) if len(known) == len(held) else None)


def make_instrument(device: torch.device, library: Any = None, *, period_s: float = PERIOD_S) -> Instrument:
    """Return what can observe a device; one that gives its reason where nothing can.

    Args:
        device: A device of torch; matched to NVML's by its UUID, since both count differently.
        library: A module with the interface of `pynvml`; the real one if not given.
        period_s: Between two readings.
    """
    if device.type != "cuda":
        return NothingToSee("the CPU is measured")
    if library is None:
        try:
            import pynvml
        except ImportError:
            return NothingToSee("nvidia-ml-py is not installed")
        library = pynvml
    import torch  # only here: what the driver says is asked without it

    try:
        library.nvmlInit()  # stays: to begin anew for every cell would take longer than a reading
        uuid = str(torch.cuda.get_device_properties(device).uuid).removeprefix("GPU-").removeprefix("MIG-")
        try:
            return NvmlInstrument(library, library.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"), period_s=period_s)
        except library.NVMLError:
            handle = library.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
            return NvmlInstrument(library, handle, period_s=period_s, is_slice=True)
    except (library.NVMLError, AttributeError) as error:
        return NothingToSee(f"NVML does not tell: {error}")


def ask(library: Any, question: str, *arguments: Any) -> Any:
    """Return what NVML answers, or None where it does not know the question or the answer."""
    function = getattr(library, question, None)
    if function is None:
        return None
    try:
        return function(*arguments)
    except library.NVMLError:
        return None

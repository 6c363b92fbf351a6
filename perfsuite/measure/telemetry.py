"""What the hardware does while rounds are timed: NVML, read by a thread of its own; on a CPU, who else uses it."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from perfsuite.measure.cpu_load import load_since, process_s, read_cpu
from perfsuite.measure.nvml import find_device
from perfsuite.measure.nvml_library import NOT_REPORTED, NvmlUnavailableError, connect_nvml
from perfsuite.measure.readings import Sample, Surroundings, summarise
from perfsuite.records.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from perfsuite.measure.cpu_load import CpuReading
    from perfsuite.measure.nvml import NvmlDevice
    from perfsuite.measure.nvml_library import BoundedCalls

NO_PROCESSES = "NVML lists no process, not even this one (containers and WSL hide them)"

SHARED_POWER = "the GPU is divided (MIG): its power is that of all slices"

PERIOD_S = 0.1
"""Between two readings. NVML itself renews clocks and power only every 20 to 100 ms.
Source: NVML API reference, and Yang et al., Part-time Power Measurements: nvidia-smi's Lack of Attention (2024)."""


T = TypeVar("T")


class Instrument(Protocol):
    """Observes a stretch of time: `start() -> token`, `read(token) -> reading`, at its end `stop(token) -> reading`."""

    def start(self) -> Any:
        """Begin."""

    def read(self, token: Any) -> Telemetry:
        """Return what was seen since, and go on."""

    def stop(self, token: Any) -> Telemetry:
        """Return what was seen since, and end."""

    def pause(self, token: Any) -> None:
        """Do not read until `resume`: what happens now is not to be observed."""

    def resume(self, token: Any) -> None:
        """Read again."""

    def energy_joules(self) -> float | None:
        """Return the energy counter, or None where there is none."""

    def read_sample(self) -> Sample | None:
        """Read what changes quickly, now; None where there is nothing to read."""


class NothingToSee:
    """Stands in where there is no GPU or NVML reports nothing."""

    def __init__(self, reason: str) -> None:
        """Build one that gives the reason in every reading."""
        self._reason = reason

    def start(self) -> float:
        """Return a reading of the clock."""
        return time.perf_counter()

    def read(self, token: float) -> Telemetry:
        """Return nothing, with the reason."""
        absent = dict.fromkeys((*_ABSENT, *_OF_A_CPU), self._reason)
        return Telemetry(num_samples=0, seconds=time.perf_counter() - token, absent=absent)

    stop = read

    def pause(self, token: float) -> None:
        """Do nothing."""

    def resume(self, token: float) -> None:
        """Do nothing."""

    def energy_joules(self) -> float | None:
        """Return None."""
        return None

    def read_sample(self) -> None:
        """Return None."""


class CpuInstrument:
    """Sees who else uses the cores; reads nothing between its beginning and its end."""

    def __init__(self, own_s: Callable[[], float] = process_s) -> None:
        """Build one.

        Args:
            own_s: CPU time so far of everything that is no other process, in seconds; of this process if not given.
        """
        self._own_s = own_s

    def start(self) -> tuple[float, CpuReading]:
        """Read the clock and the cores' counters."""
        return time.perf_counter(), read_cpu(self._own_s)

    def read(self, token: tuple[float, CpuReading]) -> Telemetry:
        """Return what others took of the cores since."""
        begin_s, before = token
        load = load_since(before, self._own_s)
        absent = dict.fromkeys(_ABSENT, "the CPU is measured")
        if load is None:
            absent |= dict.fromkeys(_OF_A_CPU, "not shown by this system, or too short a time")
        return Telemetry(
            num_samples=0,
            seconds=time.perf_counter() - begin_s,
            background_cpu_ratio=None if load is None else load.background_ratio,
            steal_ratio=None if load is None else load.steal_ratio,
            absent=absent,
        )

    stop = read

    def pause(self, token: tuple[float, CpuReading]) -> None:
        """Do nothing."""

    def resume(self, token: tuple[float, CpuReading]) -> None:
        """Do nothing."""

    def energy_joules(self) -> float | None:
        """Return None."""
        return None

    def read_sample(self) -> None:
        """Return None."""


_OF_A_CPU = ("background_cpu_ratio", "steal_ratio")

_ABSENT = (
    *("sm_clock_mhz", "memory_clock_mhz", "max_sm_clock_mhz", "power_watts", "temperature_celsius", "throttle_ratio"),
    *("num_other_processes", "other_processes_bytes", "num_ecc_errors", "is_mig", "energy_joules", "energy_num_images"),
)


_NO_SAMPLE = Sample(sm_clock_mhz=None, memory_clock_mhz=None, power_watts=None, temperature_celsius=None, reasons=None)
_NO_SURROUNDINGS = Surroundings(num_other_processes=None, other_processes_bytes=None, num_ecc_errors=None, is_mig=None)


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
    """Reads one GPU through NVML; where NVML hangs, it reads nothing more and says so."""

    def __init__(
        self,
        device: NvmlDevice,
        *,
        period_s: float = PERIOD_S,
        now: Callable[[], float] = time.perf_counter,
        pid: int | None = None,
    ) -> None:
        """Build one.

        Args:
            device: The GPU, or the slice of one, that is measured.
            period_s: Between two readings.
            now: Reads seconds.
            pid: Which process this is; this one if not given.
        """
        self.device = device
        self._calls = device.nvml.calls
        self._period_s = period_s
        self._now = now
        self._pid = os.getpid() if pid is None else pid

    def start(self) -> _Watch:
        """Begin to read, once now and then in a thread."""
        watch = _Watch(begin=self._now(), before=self.read_surroundings(), samples=[self.read_sample()])
        if self._calls.hung is not None:
            return dataclasses.replace(watch, samples=[])
        watch.thread = threading.Thread(target=self._observe, args=(watch,), name="perfsuite telemetry", daemon=True)
        watch.thread.start()
        return watch

    def stop(self, token: _Watch) -> Telemetry:
        """End the thread, read once more and return what was seen."""
        token.ended.set()
        if token.thread is not None:
            self._calls.join(token.thread)
        return self.read(token)

    def read(self, token: _Watch) -> Telemetry:
        """Read once more and return what was seen."""
        last, after = self.read_sample(), self.read_surroundings()
        max_sm_clock_mhz = self._bounded(self.device.max_sm_clock_mhz, None)
        hung = self._calls.hung
        telemetry = summarise(
            [*token.samples, *([] if hung else [last])],
            before=token.before,
            after=after,
            seconds=self._now() - token.begin,
            max_sm_clock_mhz=max_sm_clock_mhz,
            reason=hung or NOT_REPORTED,
        )
        absent = {**telemetry.absent, **self._absent(telemetry), **dict.fromkeys(_OF_A_CPU, "a GPU is measured")}
        return dataclasses.replace(telemetry, absent=absent)

    def _absent(self, telemetry: Telemetry) -> dict[str, str]:
        """Return the reasons that only the instrument knows."""
        reasons: dict[str, str] = {}
        hung = self._calls.hung
        if hung is not None:
            reasons |= dict.fromkeys(("energy_joules", "energy_num_images"), hung)
        elif self.device.is_slice:
            reasons |= dict.fromkeys(("power_watts", "energy_joules", "energy_num_images"), SHARED_POWER)
        if telemetry.num_other_processes is None and hung is None:
            reasons |= dict.fromkeys(("num_other_processes", "other_processes_bytes"), NO_PROCESSES)
        return reasons

    def _observe(self, watch: _Watch) -> None:
        while not watch.ended.wait(self._period_s):
            if not watch.paused.is_set():
                watch.samples.append(self._sample())

    def pause(self, token: _Watch) -> None:
        """Let the thread sleep on."""
        token.paused.set()

    def resume(self, token: _Watch) -> None:
        """Let it read again, at the pace that it had."""
        token.paused.clear()

    def energy_joules(self) -> float | None:
        """Return the energy counter, or None where there is none."""
        return self._bounded(self.device.energy_joules, None)

    def read_sample(self) -> Sample:
        """Read what changes quickly."""
        return self._bounded(self._sample, _NO_SAMPLE)

    def read_surroundings(self) -> Surroundings:
        """Read who else is there, memory errors, and whether the GPU is divided."""
        return self._bounded(self._surroundings, _NO_SURROUNDINGS)

    def _bounded(self, read: Callable[[], T], otherwise: T) -> T:
        try:
            return self._calls.call(read)
        except NvmlUnavailableError:
            return otherwise

    def _sample(self) -> Sample:
        device = self.device
        power_watts = device.power_watts()
        return Sample(
            sm_clock_mhz=device.sm_clock_mhz(),
            memory_clock_mhz=device.memory_clock_mhz(),
            power_watts=power_watts,
            temperature_celsius=device.temperature_celsius(),
            reasons=device.throttle_reasons(),
        )

    def _surroundings(self) -> Surroundings:
        number, used = self._others()
        return Surroundings(
            num_other_processes=number,
            other_processes_bytes=used,
            num_ecc_errors=self.device.num_ecc_errors(),
            is_mig=self.device.is_divided(),
        )

    def _others(self) -> tuple[int | None, int | None]:
        """Return how many other processes compute there and what they use.

        In a container the driver knows this process by another number: then the largest of them is taken for it. Where
        it lists none at all, although this process uses the GPU, it hides them, and nothing is known.
        """
        used = self.device.processes()
        if not used:
            return None, None
        ours = self._pid if self._pid in used else max(used, key=lambda pid: used[pid] or 0)
        others = [size for pid, size in used.items() if pid != ours]
        known = [size for size in others if size is not None]
        return len(others), (sum(known) if len(known) == len(others) else None)


def make_instrument(
    device: torch.device,
    library: Any = None,
    *,
    period_s: float = PERIOD_S,
    calls: BoundedCalls | None = None,
    uuid: str | None = None,
) -> Instrument:
    """Return what can observe a device; one that gives its reason where nothing can.

    Args:
        device: A device of torch; matched to NVML's by its UUID, since both count differently.
        library: A module with the interface of `pynvml`; the real one if not given.
        period_s: Between two readings.
        calls: Bounds NVML's calls in time.
        uuid: The device's UUID; asked of torch if not given.
    """
    if device.type != "cuda":
        return CpuInstrument()
    if uuid is None:
        import torch  # only here: what the driver reports is asked without it

        uuid = str(getattr(torch.cuda.get_device_properties(device), "uuid", ""))
    try:
        nvml = connect_nvml(library, calls)
        found = nvml.calls.call(lambda: find_device(nvml, uuid))
    except NvmlUnavailableError as error:
        return NothingToSee(str(error))
    if found is None:
        return NothingToSee("NVML has no GPU with torch's UUID")
    return NvmlInstrument(found, period_s=period_s)

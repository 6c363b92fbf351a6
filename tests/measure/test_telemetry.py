"""What NVML reports is read off the timed thread, reduced, and put into words."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from replayed_nvml import ReplayedNvml, ReplayedNvmlError, replayed_device

from perfsuite.measure.readings import Sample, Surroundings, findings_of, summarise
from perfsuite.measure.telemetry import NvmlInstrument
from perfsuite.records.telemetry import Spread

OURS = 4711
NOBODY = Surroundings(num_other_processes=0, other_processes_bytes=0, num_ecc_errors=0, is_mig=None)


def instrument(name: str = "t4_at_its_power_cap", **changes: Any) -> NvmlInstrument:
    return NvmlInstrument(replayed_device(ReplayedNvml(name)), pid=OURS, **changes)


def read_all(source: NvmlInstrument, num: int = 20) -> Any:
    before = source.read_surroundings()
    samples = [source.read_sample() for _ in range(num)]
    return summarise(samples, before=before, after=source.read_surroundings(), seconds=2.0, max_sm_clock_mhz=1590.0)


def test_readings_are_reduced_to_minimum_median_and_maximum() -> None:
    telemetry = read_all(instrument())
    assert telemetry.num_samples == 20
    assert telemetry.sm_clock_mhz == Spread(minimum=960.0, median=975.0, maximum=1590.0)
    assert telemetry.power_watts.maximum == pytest.approx(69.9)
    assert telemetry.temperature_celsius.maximum == 69
    assert telemetry.throttle_ratio == {"power cap": 0.8}
    assert (telemetry.num_other_processes, telemetry.num_ecc_errors) == (0, 0)


def test_a_power_cap_is_told_with_its_share_and_the_clock() -> None:
    (finding,) = findings_of(read_all(instrument()))
    assert finding == "throttled by power cap in 80% of the readings; SM clock 975 MHz of 1,590 at most"


def test_every_planted_fault_is_told() -> None:
    text = "; ".join(findings_of(read_all(instrument("everything_wrong"), num=4)))
    for part in (
        "application clocks in 100%",
        "hardware slowdown in 100%",
        "thermal (hardware) in 100%",
        "another process holds 3,072 MiB",
        "3 memory errors beyond correction",
        "divided (MIG)",
    ):
        assert part in text


def test_in_a_container_the_largest_process_is_taken_for_ours() -> None:
    seen = NvmlInstrument(replayed_device(ReplayedNvml("everything_wrong")), pid=1).read_surroundings()
    assert (seen.num_other_processes, seen.other_processes_bytes) == (1, 900 * 1024**2)


def test_a_thread_reads_meanwhile_and_ends_with_the_window() -> None:
    source = instrument(period_s=0.001)
    watch = source.start()
    assert watch.thread is not None
    while len(watch.samples) < 5:
        watch.thread.join(0.01)
    telemetry = source.stop(watch)
    assert telemetry.num_samples >= 6
    assert not watch.thread.is_alive()
    assert "perfsuite telemetry" not in {thread.name for thread in threading.enumerate()}


def test_a_paused_watch_reads_nothing() -> None:
    source = instrument(period_s=0.001)
    watch = source.start()
    source.pause(watch)
    assert watch.thread is not None
    watch.thread.join(0.02)
    seen = len(watch.samples)
    watch.thread.join(0.05)
    assert len(watch.samples) == seen
    source.resume(watch)
    while len(watch.samples) < seen + 2:
        watch.thread.join(0.005)
    source.stop(watch)


def test_a_slice_of_a_divided_gpu_says_so() -> None:
    device = replayed_device(ReplayedNvml("t4_at_its_power_cap"), is_slice=True)
    assert NvmlInstrument(device, pid=OURS).read_surroundings().is_mig is True


def test_what_nvml_does_not_report_is_none_with_its_reason() -> None:
    class Silent(ReplayedNvml):
        def nvmlDeviceGetClockInfo(self, _handle: object, _kind: int) -> int:  # noqa: N802 - NVML's name
            raise ReplayedNvmlError("Not Supported")

        def nvmlDeviceGetCurrentClocksThrottleReasons(self, _handle: object) -> int:  # noqa: N802 - NVML's name
            raise ReplayedNvmlError("Not Supported")

    source = NvmlInstrument(replayed_device(Silent("t4_at_its_power_cap")), pid=OURS)
    telemetry = read_all(source)
    assert telemetry.sm_clock_mhz is None
    assert telemetry.throttle_ratio is None
    assert telemetry.absent["sm_clock_mhz"] == "not reported by NVML"
    assert telemetry.absent["throttle_ratio"] == "not reported by NVML"
    assert findings_of(telemetry) == []


def test_energy_is_read_in_joules() -> None:
    source = instrument()
    assert (source.energy_joules(), source.energy_joules()) == (1000.0, 1140.0)


def test_a_clock_that_was_never_held_down_is_no_finding() -> None:
    sample = Sample(sm_clock_mhz=1590, memory_clock_mhz=5000, power_watts=40, temperature_celsius=50, reasons=1)
    telemetry = summarise([sample], before=NOBODY, after=NOBODY, seconds=0.1, max_sm_clock_mhz=None)
    assert telemetry.throttle_ratio == {}
    assert findings_of(telemetry) == []
    assert telemetry.absent["max_sm_clock_mhz"] == "not reported by NVML"

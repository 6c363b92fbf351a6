"""What is reported on a GPU whose clock falls under load is within 2% of the sustained truth, or has a finding."""

from __future__ import annotations

import statistics
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import make_workload
from simulated_benchmark import SimulatedBenchmark
from simulated_gpu import Load, SimulatedGpu, SimulatedInstrument

from perfsuite.measure import harness, paired
from perfsuite.measure.budget import BUDGETS, Effort
from perfsuite.measure.clock import DeviceClock
from perfsuite.measure.memory import PeakMemory
from perfsuite.measure.run_context import RunContext
from perfsuite.records.environment import Process
from perfsuite.records.pair import PairedRecord
from perfsuite.workloads.precision import policy_named

if TYPE_CHECKING:
    from perfsuite.records.cell import Record
    from perfsuite.records.workload import Workload

CPU = torch.device("cpu")
PROCESS = Process(run_id="run-1", pid=1, started="2026-01-05T10:00:00+00:00")
BUILDING_S = 1.5
LIMIT = 0.02

LOADS = {
    ("forward", "fp32"): Load(seconds=0.07),
    ("forward", "amp-bf16"): Load(seconds=0.02, watts=85.0, memory_ratio=0.4),
    ("backward", "fp32"): Load(seconds=0.15),
    ("backward", "amp-bf16"): Load(seconds=0.04, watts=85.0, memory_ratio=0.4),
    ("train_step", "fp32"): Load(seconds=0.22),
    ("train_step", "amp-bf16"): Load(seconds=0.06, watts=85.0, memory_ratio=0.4),
}


class SimulatedStep:
    """A step that only loads the simulated GPU."""

    def __init__(self, workload: Workload, gpu: SimulatedGpu) -> None:
        self.workload, self.device = workload, CPU
        self.policy = policy_named(workload.precision)
        self.settings: dict[str, Any] = {}
        self.findings: tuple[str, ...] = ()
        self.num_iterations = 0
        self.num_skipped = torch.zeros(())
        self._run = gpu.running(LOADS[workload.phase, workload.precision])

    def phase(self) -> None:
        self.num_iterations += 1
        self._run()

    def prepare(self) -> None:
        pass

    def capture(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimulatedGpu:
    """A cold GPU on which cells and pairs are measured with the times of CUDA."""
    gpu = SimulatedGpu()
    monkeypatch.setitem(BUDGETS, "cpu", BUDGETS["cuda"])

    def build(workload: Workload, **_: object) -> SimpleNamespace:
        gpu.idle(BUILDING_S)
        return SimpleNamespace(step=SimulatedStep(workload, gpu), proof=(), start=None)

    monkeypatch.setattr(harness, "build_step", build)
    monkeypatch.setattr(paired, "build_step", build)
    monkeypatch.setattr(harness, "measure_step_memory", lambda _step: PeakMemory(allocated_bytes=1, absent="simulated"))
    nothing: tuple[dict[str, Any], dict[str, str]] = {}, {}
    monkeypatch.setattr(harness, "measure_limits", lambda *_: nothing)
    monkeypatch.setattr(harness, "explain_peak", lambda *_: nothing)
    return gpu


def measured(
    gpu: SimulatedGpu, clock: DeviceClock, monkeypatch: pytest.MonkeyPatch, load: tuple[str, str], **effort: Any
) -> tuple[float, Record]:
    """Measure a cell; returns how far its median is from the sustained time, as a ratio less 1."""
    instrument = SimulatedInstrument(gpu=gpu, can_read=effort.pop("can_read", True))
    monkeypatch.setattr(harness, "make_instrument", lambda _device: instrument)
    budget = BUDGETS["cpu"]
    benchmark = SimulatedBenchmark(
        clock, min_rounds=budget.min_rounds, min_time=budget.min_round_s, max_time=budget.rounds_s
    )
    workload = make_workload(phase=load[0], precision=load[1], device_type="cpu")
    record = harness.measure(
        workload,
        benchmark,
        RunContext(device=CPU, clock=clock, process=PROCESS, effort=Effort(margin_ratio=0.01, **effort)),
    )
    assert record is not None
    truth = gpu.sustained_s(LOADS[load])
    return statistics.median(benchmark.stats["data"]) / truth - 1, record


def doubts(record: Record) -> list[str]:
    """Return the findings that say that times were not stable; that the clock was limited is none of them."""
    signs = ("of warm-up", "third of the rounds", "still heating up")
    return [finding for finding in record.findings if any(sign in finding for sign in signs)]


@pytest.mark.parametrize(("heating_s", "controller_s"), [(10.0, 0.1), (60.0, 0.5), (60.0, 3.0), (120.0, 0.5)])
def test_every_cell_of_a_cold_run_is_within_two_percent_or_has_a_finding(
    gpu: SimulatedGpu, monkeypatch: pytest.MonkeyPatch, heating_s: float, controller_s: float
) -> None:
    gpu.heating_s, gpu.controller_s = heating_s, controller_s
    clock = DeviceClock(lambda: None, gpu.now)
    for load in list(LOADS) * 3:
        error, record = measured(gpu, clock, monkeypatch, load)
        assert abs(error) <= LIMIT or doubts(record), (load, error)


def test_a_preheated_gpu_is_within_two_percent_without_a_finding(
    gpu: SimulatedGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = DeviceClock(lambda: None, gpu.now)
    for load in list(LOADS):
        error, record = measured(gpu, clock, monkeypatch, load, preheat_s=300.0)
        assert abs(error) <= LIMIT, (load, error)
        assert doubts(record) == [], (load, error)


def test_a_gpu_below_its_power_limit_has_no_finding(gpu: SimulatedGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.limit_watts = 500.0
    clock = DeviceClock(lambda: None, gpu.now)
    for load in list(LOADS):
        error, record = measured(gpu, clock, monkeypatch, load)
        assert abs(error) <= 0.005
        assert record.findings == ()


@pytest.mark.parametrize("turn_s", [None, 10.0])
def test_long_turns_give_the_ratio_of_sustained_times_and_short_ones_that_of_one_shared_clock(
    gpu: SimulatedGpu, turn_s: float | None
) -> None:
    clock = DeviceClock(lambda: None, gpu.now)
    benchmark = SimulatedBenchmark(clock, min_rounds=6, min_time=0.07, max_time=0.0)
    workload = make_workload(phase="train_step", precision="amp-bf16", device_type="cpu")
    record = paired.measure_speedup(
        workload,
        "fp32",
        benchmark,
        RunContext(device=CPU, clock=clock, process=PROCESS, effort=Effort(turn_s=turn_s, preheat_s=200.0)),
    )
    assert isinstance(record, PairedRecord)
    ratio = statistics.median((b * c / (a * d)) ** 0.5 for a, b, c, d in record.blocks)
    slow, fast = (LOADS["train_step", name] for name in ("fp32", "amp-bf16"))
    truth = gpu.sustained_s(fast) / gpu.sustained_s(slow)
    if turn_s is None:
        assert abs(ratio / truth - 1) > LIMIT
    else:
        assert ratio == pytest.approx(truth, rel=LIMIT)
    assert record.settle_s == (0.0 if turn_s is None else 5.0)

from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from builders import make_workload

from perfsuite.analysis.statistics.intervals import paired_ratio
from perfsuite.errors import OutOfMemoryError
from perfsuite.measure import paired
from perfsuite.measure.budget import BUDGETS, OVERHEAD_LOOKS
from perfsuite.measure.clock import ClockStopwatch, DeviceClock
from perfsuite.measure.interleaving import InterleavedSide, Interleaving
from perfsuite.measure.overhead import measure_overhead
from perfsuite.measure.paired import measure_speedup, measure_until_decided
from perfsuite.measure.run_context import RunContext
from perfsuite.measure.telemetry import CpuInstrument
from perfsuite.records.environment import Process
from perfsuite.records.pair import PairedRecord
from perfsuite.records.reading import read_record
from perfsuite.records.schema import KEY
from perfsuite.records.telemetry import Telemetry
from perfsuite.workloads.bare_step import bare_step
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("tiny_networks")

CPU = torch.device("cpu")
PROCESS = Process(run_id="run-1", pid=1, started="2026-01-05T10:00:00+00:00")


class Simulated:
    """A host whose clock drifts: a pass takes its cost times a speed that falls as time goes on."""

    def __init__(self, drift_per_s: float = 0.0) -> None:
        self.time = 0.0
        self.drift_per_s = drift_per_s
        self.log: list[str] = []

    def now(self) -> float:
        return self.time

    def passing(self, name: str, cost_s: float) -> Callable[[], None]:
        def run() -> None:
            self.log.append(name)
            self.time += cost_s * (1 + self.drift_per_s * self.time)

        return run


class Sequence:
    """A stopwatch that shows one time after the other."""

    def __init__(self, times: Iterator[float]) -> None:
        self.times = times

    def start(self) -> None:
        pass

    def stop(self, token: None) -> float:  # noqa: ARG002 - there is none
        return next(self.times)


def make_sides(host: Simulated) -> tuple[InterleavedSide, InterleavedSide]:
    stopwatch = ClockStopwatch(host.now)
    return (
        InterleavedSide(run=host.passing("A", 0.10), stopwatch=stopwatch),
        InterleavedSide(run=host.passing("B", 0.05), stopwatch=stopwatch),
    )


def test_blocks_are_a_b_b_a_and_b_a_a_b_and_a_turn_after_the_other_side_begins_with_an_untimed_pass() -> None:
    host = Simulated()
    interleaving = Interleaving(*make_sides(host), num_iterations=2)
    interleaving.run_block()
    interleaving.run_block()
    assert "".join(host.log) == "AAABBBBBAAA" + "BBBAAAAABBB"
    assert interleaving.blocks == [pytest.approx((0.1, 0.05, 0.05, 0.1))] * 2


def test_of_every_two_blocks_one_runs_in_each_order_and_which_comes_first_is_drawn() -> None:
    orders = [first_turns(num_blocks=40) for _ in range(2)]
    pairs = {first + second for first, second in zip(orders[0][::2], orders[0][1::2], strict=True)}
    assert pairs == {"AB", "BA"}
    assert orders[0] == orders[1]


def first_turns(*, num_blocks: int) -> list[str]:
    """Return which side began each block."""
    log: list[str] = []
    sides = [
        InterleavedSide(
            run=lambda: None,
            stopwatch=ClockStopwatch(lambda: 0.0),
            active=lambda name=name: contextlib.nullcontext(log.append(name)),  # type: ignore[misc,func-returns-value]
        )
        for name in "AB"
    ]
    interleaving = Interleaving(*sides, num_iterations=1)
    for _ in range(num_blocks):
        interleaving.run_block()
    return log[::4]


@pytest.mark.parametrize("turns", [2, 3, 4, 5, 8, 16])
def test_an_oscillation_with_a_period_of_some_turns_leaves_the_paired_ratio_alone(turns: int) -> None:
    """Turns as long as each other on a host that is 5% slower and faster by turns."""
    for phase in (0.3, 1.1, 2.5):
        times = iter(1 + 0.05 * math.sin(2 * math.pi * turn / turns + phase) for turn in range(10_000))
        sides = (InterleavedSide(run=lambda: None, stopwatch=Sequence(times)) for _ in "AB")
        interleaving = Interleaving(*sides, num_iterations=1)
        for _ in range(80):
            interleaving.run_block()
        estimate = paired_ratio(np.array(interleaving.blocks))
        assert estimate.ratio == pytest.approx(1.0, abs=1e-6 if turns in {2, 4} else 0.02)
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= 1.0 + 1e-9
        assert estimate.high >= 1.0 - 1e-9


def test_a_drift_that_bends_separate_cells_leaves_the_paired_ratio_alone() -> None:
    host = Simulated(drift_per_s=0.02)
    a, b = make_sides(host)
    cells = []
    for side in (a, b):  # one cell after the other
        begin = host.now()
        for _ in range(60):
            side.run()
        cells.append((host.now() - begin) / 60)
    assert abs(cells[1] / cells[0] / 0.5 - 1) > 0.05
    interleaving = Interleaving(a, b, num_iterations=1)
    for _ in range(30):
        interleaving.run_block()
    estimate = paired_ratio(np.array(interleaving.blocks))
    assert estimate.ratio == pytest.approx(0.5, rel=0.001)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.high / estimate.low < 1.01


def test_what_must_be_in_force_holds_in_the_turns_of_its_side_only() -> None:
    host = Simulated()
    inside: list[str] = []

    def active(name: str) -> Callable[[], contextlib.AbstractContextManager[None]]:
        @contextlib.contextmanager
        def hold() -> Iterator[None]:
            inside.append(name)
            yield
            inside.remove(name)

        return hold

    seen = []
    sides = [
        InterleavedSide(
            run=lambda: seen.append("".join(inside)), stopwatch=ClockStopwatch(host.now), active=active(name)
        )
        for name in "AB"
    ]
    Interleaving(*sides, num_iterations=1).run_block()
    assert seen == ["A", "A", "B", "B", "B", "A", "A"]


class FakeStats(dict[str, Any]):
    """pytest-benchmark's statistics of three rounds, to which more can be added."""

    def __init__(self, iterations: int) -> None:
        super().__init__(iterations=iterations, data=[1.0, 1.0, 1.0])

    def update(self, duration: float) -> None:  # type: ignore[override]
        self["data"].append(duration)


class FakeBenchmark:
    """pytest-benchmark's fixture: a calibration, three rounds of so many iterations, one more run."""

    def __init__(self, clock: DeviceClock, *, iterations: int = 1, disabled: bool = False) -> None:
        self.clock = clock
        self.disabled = disabled
        self.has_error = False
        self.group: str | None = None
        self.extra_info: dict[str, Any] = {}
        self.stats = FakeStats(iterations)
        self.iterations = iterations

    def __call__(self, function_to_benchmark: Callable[[], object]) -> object:
        if not self.disabled:
            for iterations in (1, *[self.iterations] * 3):
                self.clock()
                for _ in range(iterations):
                    function_to_benchmark()
                self.clock()
        return function_to_benchmark()

    def pedantic(self, *_: object, **__: object) -> object:
        raise AssertionError("a pair has the blocks that it needs")


@pytest.fixture(autouse=True)
def short_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = dataclasses.replace(BUDGETS["cpu"], min_first_warm_up_s=0.0, max_first_warm_up_s=0.01)
    monkeypatch.setitem(BUDGETS, "cpu", budget)


def run_speedup(*, iterations: int = 1, disabled: bool = False, **changes: Any) -> tuple[Any, FakeBenchmark]:
    clock = DeviceClock(lambda: None)
    benchmark = FakeBenchmark(clock, iterations=iterations, disabled=disabled)
    workload = make_workload(precision="amp-bf16", batch_size=2, device_type="cpu", **changes)
    return measure_speedup(workload, "fp32", benchmark, RunContext(device=CPU, clock=clock, process=PROCESS)), benchmark


@pytest.mark.parametrize("iterations", [1, 2])
def test_the_blocks_of_the_timed_rounds_are_kept_and_no_others(
    iterations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibration and the last run for the result are blocks too, and are not kept."""
    numbers: list[int] = []
    original = Interleaving.run_block

    def numbered(self: Interleaving) -> None:
        original(self)
        numbers.append(len(self.blocks))
        self.blocks[-1] = (len(self.blocks) * 1.0,) * 4

    monkeypatch.setattr(Interleaving, "run_block", numbered)
    record, benchmark = run_speedup(iterations=iterations)
    assert len(numbers) == 1 + 3 * iterations + 1
    assert [block[0] for block in record.blocks] == [float(number) for number in range(2, 2 + 3 * iterations)]
    assert read_record(benchmark.extra_info[KEY]) == record


def test_what_the_hardware_did_while_blocks_ran_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Telemetry(num_samples=0, seconds=1.0, background_cpu_ratio=0.5)
    monkeypatch.setattr(CpuInstrument, "stop", lambda *_: loaded)
    record, benchmark = run_speedup()
    assert record.telemetry == loaded
    assert record.findings[-1].startswith("background load: other processes took 50%")
    assert read_record(benchmark.extra_info[KEY]) == record


def test_a_speedup_is_of_one_workload_in_two_precisions() -> None:
    record, benchmark = run_speedup()
    assert isinstance(record, PairedRecord)
    assert (record.comparison, record.baseline.precision, record.candidate.precision) == ("speedup", "fp32", "amp-bf16")
    assert dataclasses.replace(record.baseline, precision="amp-bf16") == record.candidate
    assert record.limit_ratio is None
    assert benchmark.group == "resnet18 train_step interleaved"
    assert not benchmark.has_error


@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_the_phases_alternate_too(phase: str) -> None:
    record, _ = run_speedup(phase=phase)
    assert record.candidate.phase == phase


def test_a_disabled_benchmark_runs_one_block_and_gives_no_record() -> None:
    record, benchmark = run_speedup(disabled=True)
    assert record is None
    assert benchmark.extra_info == {}


def test_no_room_for_both_sides_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_arguments: object, **_options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")

    monkeypatch.setattr(paired, "build_step", no_room)
    with pytest.raises(OutOfMemoryError, match=r"out of memory: resnet18 amp-bf16 train_step b2 and fp32 does not"):
        run_speedup()


def run_overhead(
    is_decided: Callable[[PairedRecord], bool], *, iterations: int = 1, extra_time_s: float = 60.0
) -> tuple[PairedRecord, FakeBenchmark]:
    clock = DeviceClock(lambda: None)
    benchmark = FakeBenchmark(clock, iterations=iterations)
    record = measure_overhead(
        make_workload(batch_size=2, device_type="cpu"),
        benchmark,
        RunContext(device=CPU, clock=clock, process=PROCESS),
        is_decided=is_decided,
        extra_time_s=extra_time_s,
    )
    assert record is not None
    return record, benchmark


def test_the_harness_overhead_is_the_reported_step_against_a_bare_loop_of_it() -> None:
    record, _ = run_overhead(lambda _record: True)
    assert (record.comparison, record.limit_ratio) == ("overhead", 0.03)
    assert record.baseline == record.candidate == make_workload(batch_size=2, device_type="cpu")
    assert (len(record.blocks), record.turn_order, record.num_looks) == (3, "abba_or_baab", len(OVERHEAD_LOOKS))


@pytest.mark.parametrize("iterations", [1, 2])
def test_a_check_that_is_not_decided_goes_on_and_keeps_its_blocks_as_rounds(iterations: int) -> None:
    seen: list[int] = []

    def at_the_second_look(record: PairedRecord) -> bool:
        seen.append(len(record.blocks))
        return len(seen) == 2

    record, benchmark = run_overhead(at_the_second_look, iterations=iterations, extra_time_s=1.0)
    assert seen[0] == 3 * iterations
    assert seen[1] == len(record.blocks) > seen[0]
    assert len(benchmark.stats["data"]) * iterations == len(record.blocks)
    assert read_record(benchmark.extra_info[KEY]) == record


def test_a_check_looks_a_few_times_only_and_stops_when_its_time_is_over() -> None:
    host = Simulated()
    looks: list[float] = []
    stages: list[str] = []
    measure_until_decided(
        host.passing("block", 1.0),
        lambda: bool(looks.append(host.now())),  # type: ignore[func-returns-value]
        (0.0, 2.5, 5.0, 10.0),
        now=host.now,
        report_stage=stages.append,
    )
    assert looks == [0.0, 3.0, 5.0, 10.0]
    assert stages == [f"cannot tell yet: up to {left} s more" for left in (10, 7, 5)]


@pytest.mark.parametrize("precision", ["fp32", "amp-fp16"])
@pytest.mark.parametrize("gradients", ["freed", "kept"])
def test_the_bare_step_does_what_the_step_does_and_runs_none_of_our_hooks(precision: str, gradients: str) -> None:
    trained = []
    for bare in (False, True):
        workload = make_workload(precision=precision, batch_size=2, device_type="cpu", gradients=gradients)
        step = TrainingStep(workload, device=CPU)
        run = bare_step(step) if bare else step.train_step
        for _ in range(2):
            run()
        assert step.num_iterations == (0 if bare else 2)
        trained.append([parameter.detach().clone() for parameter in step.model.parameters()])
    for one, other in zip(*trained, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("against", ["pipeline_step", "pipeline_thesis"])
def test_a_full_training_is_fed_as_the_step_and_as_the_study_did(against: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from perfsuite.measure import pipeline
    from perfsuite.workloads import thesis_loader

    monkeypatch.setattr(pipeline, "PIPELINE_IMAGES", 16)
    monkeypatch.setattr(thesis_loader.thesis_batches, "__kwdefaults__", {"num_workers": 0})
    clock = DeviceClock(lambda: None)
    benchmark = FakeBenchmark(clock)
    workload = make_workload(batch_size=2, device_type="cpu")
    record = pipeline.measure_pipeline(
        workload, against, benchmark, RunContext(device=CPU, clock=clock, process=PROCESS)
    )
    assert record is not None
    assert (record.comparison, len(record.blocks), record.limit_ratio) == (against, 3, None)

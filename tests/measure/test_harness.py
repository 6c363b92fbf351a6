from __future__ import annotations

import contextlib
import dataclasses
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import make_workload

from perfsuite.errors import MeasurementError, NotSupportedError, OutOfMemoryError, PrecisionNotActiveError
from perfsuite.measure import cell_evidence, harness
from perfsuite.measure import cell_setup as preparation
from perfsuite.measure.budget import BUDGETS, Effort
from perfsuite.measure.clock import DeviceClock
from perfsuite.measure.run_context import RunContext
from perfsuite.measure.warm_up import WarmUp
from perfsuite.records.environment import Process
from perfsuite.records.reading import read_record
from perfsuite.records.schema import KEY
from perfsuite.workloads import precision_proof
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.records.cell import Record

pytestmark = pytest.mark.usefixtures("tiny_networks")

CPU = torch.device("cpu")
PROCESS = Process(run_id="run-1", pid=1, started="2026-01-05T10:00:00+00:00")


class Counter:
    """A clock without time: each reading is as much later than the one before, a millisecond by default."""

    def __init__(self, step_s: float = 0.001) -> None:
        self.readings, self.step_s = 0, step_s

    def __call__(self) -> float:
        self.readings += 1
        return self.readings * self.step_s


class FakeBenchmark:
    """pytest-benchmark's fixture: one reading of calibration, three rounds of two iterations, one more run."""

    def __init__(self, clock: DeviceClock, *, disabled: bool = False, rounds: int = 3) -> None:
        self.clock = clock
        self.disabled = disabled
        self.has_error = False
        self.group: str | None = None
        self.extra_info: dict[str, Any] = {}
        self.stats: Any = None
        self.rounds = rounds
        self.iqr = 0.001

    def __call__(self, function_to_benchmark: Callable[[], object]) -> object:
        if not self.disabled:
            self._time(function_to_benchmark, rounds=1, iterations=1)
            self._time(function_to_benchmark, rounds=self.rounds, iterations=2)
        return function_to_benchmark()

    def pedantic(self, target: Callable[[], object], *, rounds: int, iterations: int) -> object:
        self._time(target, rounds=rounds, iterations=iterations)
        return None

    def _time(self, run: Callable[[], object], *, rounds: int, iterations: int) -> None:
        data = []
        for _ in range(rounds):
            begin = self.clock()
            for _ in range(iterations):
                run()
            data.append(self.clock() - begin)
        self.stats = {"rounds": rounds, "iterations": iterations, "data": data, "iqr": self.iqr, "median": 0.1}


@pytest.fixture(autouse=True)
def short_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = dataclasses.replace(BUDGETS["cpu"], min_first_warm_up_s=0.0, max_first_warm_up_s=0.01)
    monkeypatch.setitem(BUDGETS, "cpu", budget)


def run(
    phase: str = "train_step", precision: str = "fp32", *, disabled: bool = False, **changes: Any
) -> tuple[Record | None, FakeBenchmark]:
    clock = DeviceClock(lambda: None, Counter())
    benchmark = FakeBenchmark(clock, disabled=disabled)
    workload = make_workload(phase=phase, precision=precision, batch_size=2, device_type="cpu", **changes)
    return harness.measure(workload, benchmark, RunContext(device=CPU, clock=clock, process=PROCESS)), benchmark


@pytest.mark.usefixtures("real_networks")
@pytest.mark.parametrize("phase", ["forward", "backward", "train_step"])
def test_every_phase_gives_a_record_with_every_metric(phase: str) -> None:
    record, benchmark = run(phase)
    assert record is not None
    assert read_record(benchmark.extra_info[KEY]) == record
    assert record.metrics["num_timed_steps"] == 6
    assert record.metrics["num_skipped_steps"] == 0
    allocated = record.metrics["peak_allocated_bytes"]
    assert allocated is not None
    copies = {"forward": 2, "backward": 3, "train_step": 3}[phase]  # parameters, momentum, and gradients if any
    assert allocated > copies * 11_173_962 * 4
    itemised = ("peak_reserved_bytes", "rounding_bytes", "cublas_workspace_bytes", "outside_torch_bytes")
    assert record.absent == dict.fromkeys(itemised, "torch's CPU allocator holds no memory in reserve")
    assert 5 < len(record.operators) <= 10
    lost = [one.lost_s for one in record.operators]
    assert lost == sorted(lost, reverse=True)
    assert record.metrics["roofline_s"] is not None
    assert sum(one.roofline_s for one in record.operators) <= record.metrics["roofline_s"] * (1 + 1e-9)
    assert len(record.proof) == 6
    assert benchmark.group == f"resnet18 {phase}"
    assert ("retained_backward_error" in record.settings) == (phase == "backward")


@pytest.mark.parametrize(
    ("step_s", "asked_rounds", "num_rounds"),
    [(0.5, None, 3), (5.0, None, int(60 / 7.5)), (50.0, None, 5), (50.0, 9, 3)],
    ids=["short", "long", "very long", "asked for"],
)
def test_long_iterations_have_fewer_rounds_unless_asked_for(
    step_s: float, asked_rounds: int | None, num_rounds: int
) -> None:
    """Three rounds are the stand-in's own; a reading of the clock takes step_s, two iterations three."""
    clock = DeviceClock(lambda: None, Counter(step_s))
    effort = Effort(asked_rounds=asked_rounds)
    workload = make_workload(batch_size=2, device_type="cpu")
    context = RunContext(device=CPU, clock=clock, process=PROCESS, effort=effort)
    benchmark = FakeBenchmark(clock)
    record = harness.measure(workload, benchmark, context)
    assert record is not None
    assert len(benchmark.stats["data"]) == num_rounds
    iterations = 2 if num_rounds == 3 else 1
    assert record.metrics["num_timed_steps"] == num_rounds * iterations


@pytest.mark.parametrize(
    ("effort", "iteration_s", "num_rounds"),
    [
        (Effort(), 0.1, 20),
        (Effort(), 3.0, 20),
        (Effort(), 4.0, 15),
        (Effort(), 100.0, 5),
        (Effort(asked_rounds=30), 100.0, 30),
        (Effort(quick=True), 100.0, 5),
        (Effort(quick=True), 0.0, 8),
    ],
)
def test_the_rounds_of_long_iterations_take_a_minute(effort: Effort, iteration_s: float, num_rounds: int) -> None:
    assert effort.min_rounds("cpu", iteration_s) == num_rounds
    usual = effort.asked_rounds or effort.budget("cpu").min_rounds
    assert effort.has_long_rounds("cpu", iteration_s) == (num_rounds < usual)


def test_steps_skipped_in_timed_rounds_are_counted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the passes overflow that are timed, and some before: only the timed ones count."""
    original = TrainingStep.train_step

    def overflow(self: TrainingStep) -> None:
        if self.num_iterations == 9:
            with torch.no_grad():
                self.inputs[0, 0, 0, 0] = float("inf")
        original(self)

    monkeypatch.setattr(TrainingStep, "train_step", overflow)
    monkeypatch.setattr(
        harness, "warm_up", lambda *_arguments, **_options: WarmUp(num_steps=0, seconds=0.0, unstable=None)
    )
    # Passes: 1 for the momentum, 1 of calibration, 6 timed (2 .. 7), 1 for the result: shift by starting at 4.
    build = TrainingStep.__init__

    def start_later(self: TrainingStep, *arguments: Any, **options: Any) -> None:
        build(self, *arguments, **options)
        self.num_iterations = 4

    monkeypatch.setattr(TrainingStep, "__init__", start_later)
    record, _ = run(precision="amp-fp16")
    assert record is not None
    assert record.metrics["num_skipped_steps"] == 3
    assert record.findings == ("3 of 6 timed steps skipped the optimizer (overflow) and were faster",)


def test_a_cell_that_was_not_seen_to_be_steady_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUDGETS, "cpu", dataclasses.replace(BUDGETS["cpu"], max_first_warm_up_s=0.0))
    record, _ = run()
    assert record is not None
    assert "iterations of warm-up in" in record.findings[0]


@pytest.mark.parametrize("phase", ["forward", "backward", "train_step"])
def test_the_ledger_explains_the_measured_peak(phase: str) -> None:
    record, _ = run(phase)
    assert record is not None
    metrics = {key: value or 0 for key, value in record.metrics.items()}
    parts = ("parameters", "gradients", "optimizer", "activations", "temporary", "other")
    assert sum(metrics[f"{part}_bytes"] for part in parts) == metrics["predicted_peak_bytes"]
    assert metrics["predicted_peak_bytes"] + metrics["remainder_bytes"] == metrics["peak_allocated_bytes"]
    assert abs(metrics["remainder_bytes"]) < 0.03 * metrics["peak_allocated_bytes"]


def test_a_leak_of_one_activation_shows_in_what_is_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    sound, _ = run()
    leaked: list[torch.Tensor] = []
    original = TrainingStep.train_step

    def leak(self: TrainingStep) -> None:
        original(self)
        leaked.append(torch.empty(2, 64, 32, 32))  # N C H W, as the first layer's output

    monkeypatch.setattr(TrainingStep, "train_step", leak)
    leaking, _ = run()
    assert sound is not None
    assert leaking is not None
    more = (leaking.metrics["remainder_bytes"] or 0) - (sound.metrics["remainder_bytes"] or 0)
    assert more >= 2 * 64 * 32 * 32 * 4


def test_a_compiled_network_has_no_ledger_and_says_why() -> None:
    ledger, absent = cell_evidence.explain_peak(make_workload(compile_mode="default"), 1)
    assert set(ledger) == set(absent) == set(cell_evidence.LEDGER)
    assert all(value is None for value in ledger.values())
    assert "a compiled network decides itself" in absent["remainder_bytes"]


def test_rounds_that_spread_widely_are_told() -> None:
    clock = DeviceClock(lambda: None, Counter())
    benchmark = FakeBenchmark(clock)
    benchmark.iqr = 0.013
    workload = make_workload(phase="forward", batch_size=2, device_type="cpu")
    record = harness.measure(workload, benchmark, RunContext(device=CPU, clock=clock, process=PROCESS))
    assert record is not None
    assert record.findings[-1].startswith("the middle half of the rounds spreads over 13% of their median")


def test_memory_that_was_there_before_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "left_behind_bytes", lambda _device: 100 * 1024**2)
    record, _ = run("forward")
    assert record is not None
    assert "100 MiB were allocated before this cell began" in record.findings[-1]


def test_a_disabled_benchmark_runs_the_phase_once_and_records_nothing() -> None:
    record, benchmark = run("backward", disabled=True)
    assert record is None
    assert benchmark.extra_info == {}
    assert not benchmark.has_error


def test_a_broken_precision_policy_gives_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_proof, "autocast", lambda _policy, _device: contextlib.nullcontext())
    clock = DeviceClock(lambda: None, Counter())
    benchmark = FakeBenchmark(clock)
    workload = make_workload(precision="amp-bf16", batch_size=2, device_type="cpu")
    with pytest.raises(PrecisionNotActiveError):
        harness.measure(workload, benchmark, RunContext(device=CPU, clock=clock, process=PROCESS))
    assert benchmark.has_error
    assert (benchmark.stats, benchmark.extra_info) == (None, {})


def test_loss_scaling_that_is_not_in_force_gives_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingStep, "scale_is_dynamic", lambda _self: False)
    with pytest.raises(PrecisionNotActiveError, match="the loss is not scaled"):
        run(precision="amp-fp16")


def test_what_the_hardware_lacks_is_told_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingStep, "__init__", lambda *_arguments, **_options: pytest.fail("was built"))
    with pytest.raises(NotSupportedError):
        run(precision="tf32")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_is_one_line_and_lets_go_of_the_cell(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    alive: list[weakref.ref[TrainingStep]] = []

    def fail(self: TrainingStep) -> None:
        alive.append(weakref.ref(self))
        raise error

    monkeypatch.setattr(TrainingStep, "train_step", fail)
    with pytest.raises(OutOfMemoryError) as caught:
        run()
    assert str(caught.value).startswith("out of memory: resnet18 fp32 train_step b2 does not fit: ")
    assert "\n" not in str(caught.value)
    gc.collect()
    assert alive[0]() is None


def test_an_interrupt_in_the_rounds_marks_the_benchmark_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []

    def interrupt(self: TrainingStep) -> None:
        passes.append(self.num_iterations)
        if len(passes) == 5:
            raise KeyboardInterrupt
        TrainingStep.forward(self)

    monkeypatch.setattr(TrainingStep, "train_step", interrupt)
    clock = DeviceClock(lambda: None, Counter())
    benchmark = FakeBenchmark(clock)
    workload = make_workload(batch_size=2, device_type="cpu")
    with pytest.raises(KeyboardInterrupt):
        harness.measure(workload, benchmark, RunContext(device=CPU, clock=clock, process=PROCESS))
    assert benchmark.has_error


def test_rounds_that_the_clock_did_not_see_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeviceClock, "watch", lambda *_arguments: None)
    with pytest.raises(MeasurementError, match="the clock saw 0 end"):
        run()


def test_the_stages_are_told_in_order() -> None:
    clock = DeviceClock(lambda: None, Counter())
    stages: list[str] = []
    workload = make_workload(phase="forward", batch_size=2, device_type="cpu")
    harness.measure(
        workload, FakeBenchmark(clock), RunContext(device=CPU, clock=clock, process=PROCESS, report_stage=stages.append)
    )
    assert stages == [
        *("building", "verifying precision", "warming up", "timing", "measuring memory"),
        *("probing limits", "predicting memory"),
    ]

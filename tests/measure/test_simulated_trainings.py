"""What a full training reports on a GPU whose clock falls under load is within 2% of the truth, or has a finding."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from simulated_gpu import Load, SimulatedGpu, SimulatedInstrument
from test_train import RECIPE, make_job

from perfsuite.measure import train as train_module
from perfsuite.measure.active_clock import ActiveClock
from perfsuite.measure.train import train
from perfsuite.records.environment import Process
from perfsuite.workloads import checkpoint
from perfsuite.workloads.precision import policy_named
from perfsuite.workloads.ranks import ALONE
from perfsuite.workloads.training import Evaluation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.records.training import TrainingRecord

CPU = torch.device("cpu")
LIMIT = 0.02


class Killed(Exception):  # noqa: N818 - stands for a process that ends
    pass


BUILDING_S, SAVING_S = 4.0, 0.7

STEPS = {"fp32": Load(seconds=0.22), "amp-fp16": Load(seconds=0.06, watts=85.0, memory_ratio=0.4)}
BATCHES = {"fp32": Load(seconds=1.1), "amp-fp16": Load(seconds=0.35, watts=85.0, memory_ratio=0.4)}
"""Of an evaluation: many images at once."""


@dataclass(slots=True, kw_only=True)
class Truth:
    """What the simulated GPU really did, in seconds and joules, over all processes."""

    training_s: float = 0.0
    evaluation_s: float = 0.0
    test_s: float = 0.0
    joules: float = 0.0
    limited_in_test_s: float = 0.0


class SimulatedTraining:
    """A training that only loads the simulated GPU."""

    def __init__(self, gpu: SimulatedGpu, truth: Truth, precision: str, *, num_steps: int, num_batches: int) -> None:
        self._gpu, self._truth = gpu, truth
        self._run_step, self._run_batch = gpu.running(STEPS[precision]), gpu.running(BATCHES[precision])
        self._num_batches = num_batches
        self.policy, self.model, self.optimizer = policy_named(precision), None, None
        self.num_steps, self.num_train = num_steps, 128 * num_steps
        self.step, self.ranks = 0, ALONE
        self.epoch, self.loss_scale, self.resident_bytes, self.evaluation_batch = 0, None, 0, 1000
        gpu.idle(BUILDING_S)

    def train_epoch(self, *, report_step: Callable[[int], None]) -> tuple[float, int]:
        begin, joules = self._gpu.time, self._gpu.joules
        for index in range(self.num_steps):
            self._run_step()
            report_step(index)
        self.epoch += 1
        self._truth.training_s += self._gpu.time - begin
        self._truth.joules += self._gpu.joules - joules
        return 1.0, 0

    def evaluate(self, part: str) -> Evaluation:
        begin, joules, limited_s = self._gpu.time, self._gpu.joules, self._gpu.limited_s
        for _ in range(self._num_batches):
            self._run_batch()
        if part == "test":
            self._truth.test_s += self._gpu.time - begin
            self._truth.limited_in_test_s += self._gpu.limited_s - limited_s
        else:
            self._truth.evaluation_s += self._gpu.time - begin
            self._truth.joules += self._gpu.joules - joules
        return Evaluation(loss=1.0, accuracy=1.0, outcomes=np.tile(np.arange(0, 100, 11), 2))

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "step": self.step}

    def load_state(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]

    def weights_sha256(self) -> str:
        return "0" * 64

    def parameters_sha256(self) -> str:
        return "0" * 64

    def close(self) -> None:
        pass


@dataclass(slots=True, kw_only=True)
class Simulation:
    """Trainings on a simulated GPU that begins cold."""

    gpu: SimulatedGpu
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    truth: Truth = field(default_factory=Truth)

    def train(
        self,
        precision: str = "fp32",
        *,
        epochs: int,
        num_steps: int,
        num_batches: int = 5,
        can_read: bool = True,
        epoch_ended: Callable[..., None] = lambda *_: None,
    ) -> TrainingRecord:
        gpu, truth = self.gpu, self.truth
        save = checkpoint.save_checkpoint

        def build(*_: object, **__: object) -> SimulatedTraining:
            return SimulatedTraining(gpu, truth, precision, num_steps=num_steps, num_batches=num_batches)

        def save_slowly(*arguments: Any) -> None:
            gpu.idle(SAVING_S)
            save(*arguments)

        replaced = {
            "Training": build,
            "save_checkpoint": save_slowly,
            "check_model": lambda *_: None,
            "check_optimizer": lambda *_: None,
            "check_state": lambda *_: None,
            "verify": lambda *_: (),
            "evaluation_batch_size": lambda *_: 1000,
            "make_instrument": lambda *_, **__: SimulatedInstrument(gpu=gpu, can_read=can_read),
        }
        with self.monkeypatch.context() as patch:
            for name, replacement in replaced.items():
                patch.setattr(train_module, name, replacement)
            job = make_job(self.folder, precision, recipe=dataclasses.replace(RECIPE, epochs=epochs))
            return train(
                job,
                device=CPU,
                process=Process(run_id="run-1", pid=1, started="2026-01-05T10:00:00+00:00"),
                clock=ActiveClock(),
                now=gpu.now,
                epoch_ended=epoch_ended,
            )


@pytest.fixture
def simulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    return Simulation(gpu=SimulatedGpu(step_s=0.1, period_s=1.0), folder=tmp_path, monkeypatch=monkeypatch)


SIGNS = ("of the epochs", "still heating up")


def doubts(record: TrainingRecord) -> list[str]:
    """Return the findings that say that times were not stable; that the clock was limited is none of them."""
    return [finding for finding in record.findings if any(sign in finding for sign in SIGNS)]


def error_of(record: TrainingRecord, gpu: SimulatedGpu, precision: str) -> float:
    """Return how far the reported images per second are from the sustained ones, as a ratio less 1."""
    rate = record.metrics["training_images_per_second"]
    assert rate is not None
    return rate * gpu.sustained_s(STEPS[precision]) / 128 - 1


@pytest.mark.parametrize("precision", STEPS)
@pytest.mark.parametrize("epochs", [1, 2, 4, 6, 12])
@pytest.mark.parametrize(("heating_s", "controller_s"), [(10.0, 0.1), (60.0, 0.5), (60.0, 3.0), (120.0, 0.5)])
def test_images_per_second_of_a_training_that_begins_cold_are_sustained_ones_or_have_a_finding(
    simulation: Simulation, precision: str, epochs: int, heating_s: float, controller_s: float
) -> None:
    gpu, folder = simulation.gpu, simulation.folder
    gpu.heating_s, gpu.controller_s = heating_s, controller_s
    for num_steps in (20, 80, 350):
        gpu.idle(1000.0)
        simulation.folder = folder / str(num_steps)
        record = simulation.train(precision, epochs=epochs, num_steps=num_steps)
        error = error_of(record, gpu, precision)
        assert abs(error) <= LIMIT or doubts(record), (num_steps, error)


@pytest.mark.parametrize("precision", STEPS)
def test_a_long_training_is_within_two_percent_and_only_its_power_limit_is_told(
    simulation: Simulation, precision: str
) -> None:
    record = simulation.train(precision, epochs=20, num_steps=1000)
    assert abs(error_of(record, simulation.gpu, precision)) <= LIMIT
    (finding,) = record.findings
    assert finding.startswith("throttled by power cap in ")


def test_a_training_on_a_gpu_below_its_power_limit_has_no_finding(simulation: Simulation) -> None:
    simulation.gpu.limit_watts = 500.0
    record = simulation.train(epochs=4, num_steps=350)
    assert abs(error_of(record, simulation.gpu, "fp32")) <= 0.005
    assert record.findings == ()


def test_without_nvml_the_times_of_the_epochs_alone_say_that_the_clock_fell(simulation: Simulation) -> None:
    record = simulation.train(epochs=12, num_steps=80, can_read=False)
    assert record.telemetry is not None
    assert record.telemetry.throttle_ratio is None
    assert doubts(record) == list(record.findings) != []


@pytest.mark.parametrize("precision", STEPS)
def test_times_share_of_evaluation_energy_and_clocks_of_a_training_are_those_of_the_gpu(
    simulation: Simulation, precision: str
) -> None:
    gpu, truth = simulation.gpu, simulation.truth
    left: list[tuple[float, float]] = []

    def ended(_epoch: object, _rate: float, left_s: float) -> None:
        left.append((truth.training_s + truth.evaluation_s, left_s))

    record = simulation.train(precision, epochs=10, num_steps=100, epoch_ended=ended)
    metrics, telemetry = record.metrics, record.telemetry
    whole_s = truth.training_s + truth.evaluation_s
    expected = {
        "training_time_s": whole_s,
        "epochs_s": truth.training_s,
        "validation_s": truth.evaluation_s,
        "test_s": truth.test_s,
        "training_images_per_second": 128 * 100 * 10 / truth.training_s,
        "energy_joules": truth.joules,
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=LIMIT)
    share = metrics["validation_s"] / metrics["training_time_s"]  # type: ignore[operator]
    assert share == pytest.approx(truth.evaluation_s / whole_s, rel=LIMIT)
    assert telemetry is not None
    limited_s = gpu.limited_s - truth.limited_in_test_s
    assert telemetry.throttle_ratio is not None
    assert telemetry.throttle_ratio == pytest.approx({"power cap": limited_s / telemetry.seconds}, abs=LIMIT)
    assert telemetry.sm_clock_mhz is not None
    assert telemetry.sm_clock_mhz.median == pytest.approx(gpu.mhz, rel=0.05)
    for done_s, left_s in left[5:]:  # once the GPU is warm
        assert done_s + left_s == pytest.approx(whole_s, rel=LIMIT)


def test_what_is_trained_again_after_an_interruption_is_in_no_time_and_the_rest_is_in_one(
    simulation: Simulation,
) -> None:
    """Each process begins with a cold GPU, and is killed after two of its epochs."""
    num_before = 0

    def kill(_epoch: object, _rate: float, left_s: float) -> None:
        nonlocal num_before
        num_before += 1
        if num_before % 2 == 0 and left_s > 0:
            simulation.gpu.idle(600.0)
            raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            simulation.train(epochs=6, num_steps=80, epoch_ended=kill)
    record = simulation.train(epochs=6, num_steps=80, epoch_ended=kill)
    truth = simulation.truth
    assert (record.num_resumes, len(record.history)) == (2, 6)
    assert record.metrics["training_time_s"] == pytest.approx(truth.training_s + truth.evaluation_s, rel=LIMIT)
    assert record.metrics["energy_joules"] == pytest.approx(truth.joules, rel=LIMIT)

"""What only a GPU can show: flags that really switch, counters on the device, a clock that waits, the allocator."""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from builders import make_workload
from replayed_nvml import record

from perfsuite.analysis.statistics.intervals import paired_ratio
from perfsuite.errors import NotSupportedError, PrecisionNotActiveError
from perfsuite.measure.clock import ClockStopwatch, DeviceClock, EventStopwatch, device_synchronizer
from perfsuite.measure.device import choose_device
from perfsuite.measure.dry_run import predict_memory
from perfsuite.measure.environment import read_environment
from perfsuite.measure.flops import count_work
from perfsuite.measure.interleaving import InterleavedSide, Interleaving
from perfsuite.measure.kernel_profile import take_profile
from perfsuite.measure.memory import left_behind_bytes, measure_peak_memory, release_cached_memory
from perfsuite.measure.microbenchmarks import probe_limits
from perfsuite.measure.nvml import read_nvml
from perfsuite.measure.telemetry import NvmlInstrument, make_instrument
from perfsuite.precisions import POLICIES
from perfsuite.workloads.precision import applied, require_support
from perfsuite.workloads.precision_proof import check_model, verify
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024**2


@pytest.fixture
def cuda() -> Iterator[torch.device]:
    device = torch.device("cuda", torch.cuda.current_device())
    release_cached_memory(device)
    yield device
    release_cached_memory(device)


def supported(name: str, device: torch.device) -> None:
    try:
        require_support(POLICIES[name], device)
    except NotSupportedError as error:
        pytest.skip(str(error))


def test_auto_takes_the_gpu(cuda: torch.device) -> None:
    assert choose_device("auto") == cuda


@pytest.mark.parametrize("name", POLICIES)
def test_every_precision_that_the_gpu_has_is_proved_to_be_in_force(name: str, cuda: torch.device) -> None:
    supported(name, cuda)
    with applied(POLICIES[name]):
        verify(POLICIES[name], cuda)
        step = TrainingStep(make_workload(precision=name, batch_size=8), device=cuda)
        check_model(step.policy, step.model, step.inputs)
        step.close()


@pytest.mark.parametrize(("set_to", "claimed"), [("tf32", "fp32"), ("fp32", "tf32")])
def test_the_proof_tells_tf32_from_fp32(set_to: str, claimed: str, cuda: torch.device) -> None:
    supported("tf32", cuda)
    with applied(POLICIES[set_to]), pytest.raises(PrecisionNotActiveError):
        verify(POLICIES[claimed], cuda)


@contextlib.contextmanager
def waits_are_errors() -> Iterator[None]:
    """Let CUDA report every hidden synchronisation as an error.

    torch warns of the mode when it is first set, and after it has set it.
    """
    before = torch.cuda.get_sync_debug_mode()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode(before)


@pytest.mark.parametrize("name", ["fp32", "amp-fp16", "amp-bf16", "bf16", "bf16-sr"])
def test_a_step_never_waits_for_the_device(name: str, cuda: torch.device) -> None:
    supported(name, cuda)
    step = TrainingStep(make_workload(precision=name, batch_size=8), device=cuda)
    step.settle()
    step.retain_graph()
    step.backward()
    torch.cuda.synchronize()
    with waits_are_errors():
        for _ in range(3):
            step.forward()
            step.backward()
            step.train_step()
    step.close()


def test_skipped_steps_are_counted_on_the_device(cuda: torch.device) -> None:
    step = TrainingStep(make_workload(precision="amp-fp16", batch_size=8), device=cuda)
    before = [parameter.detach().clone() for parameter in step.model.parameters()]
    step.inputs[0, 0, 0, 0] = float("inf")
    step.train_step()
    assert step.num_skipped.device == cuda
    assert float(step.num_skipped) == 1
    assert all(torch.equal(a, b) for a, b in zip(before, step.model.parameters(), strict=True))
    assert all(not state["momentum_buffer"].any() for state in step.optimizer.state.values())
    step.close()


@pytest.mark.parametrize("name", ["fp32", "amp-fp16"])
def test_a_retained_graph_gives_the_gradients_of_a_fresh_one(name: str, cuda: torch.device) -> None:
    step = TrainingStep(make_workload(precision=name, batch_size=8, phase="backward"), device=cuda)
    with applied(POLICIES[name]):
        step.settle()
        step.check_retained_backward()
    step.close()


@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")  # inductor's, on Ampere and newer in FP32
@pytest.mark.parametrize("name", POLICIES)
def test_a_compiled_network_runs_in_every_precision(name: str, cuda: torch.device) -> None:
    """Its compiler reads torch's older TF32 flags, which raise where they disagree with the newer ones."""
    supported(name, cuda)
    step = TrainingStep(make_workload(precision=name, batch_size=8, compile_mode="default"), device=cuda)
    with applied(POLICIES[name]):
        step.settle()
    step.close()


def test_the_clock_waits_for_what_was_asked_of_the_device(cuda: torch.device) -> None:
    matrix = torch.randn(4096, 4096, device=cuda)
    clock = DeviceClock(device_synchronizer(cuda))
    (matrix @ matrix).sum()
    begin = clock()
    launched = time.perf_counter()
    for _ in range(50):
        matrix @ matrix
    launched = time.perf_counter() - launched
    assert clock() - begin > launched
    assert torch.cuda.current_stream().query()


def test_the_peak_counts_temporaries_and_leaves_nothing_behind(cuda: torch.device) -> None:
    def run() -> None:
        kept = torch.ones(4 * MIB // 4, device=cuda)
        temporary = torch.ones(8 * MIB // 4, device=cuda)
        del temporary
        kept.add_(1)

    before = left_behind_bytes(cuda)
    peak = measure_peak_memory(prepare=lambda: None, run=run, device=cuda, resident=list)
    assert peak.allocated_bytes - before == 12 * MIB
    assert peak.reserved_bytes is not None
    assert peak.reserved_bytes >= peak.allocated_bytes
    release_cached_memory(cuda)
    assert left_behind_bytes(cuda) == before


@pytest.mark.parametrize("name", ["fp32", "amp-fp16"])
def test_predicted_and_measured_peak_differ_by_what_is_itemised_and_little_else(name: str, cuda: torch.device) -> None:
    workload = make_workload(precision=name, batch_size=64)
    step = TrainingStep(workload, device=cuda)
    with applied(step.policy):
        step.settle()
        peak = measure_peak_memory(
            prepare=step.zero_gradients, run=step.train_step, device=cuda, resident=step.resident_tensors
        )
    step.close()
    assert peak.rounding_bytes is not None
    assert peak.cublas_workspace_bytes is not None
    predicted = predict_memory(workload).peak_bytes
    unexplained = peak.allocated_bytes - predicted - peak.rounding_bytes - peak.cublas_workspace_bytes
    assert abs(unexplained) < 0.1 * predicted  # cuDNN's workspace


def test_the_device_s_own_time_of_a_turn_is_that_of_the_clock(cuda: torch.device) -> None:
    matrix = torch.randn(4096, 4096, device=cuda)
    clock = DeviceClock(device_synchronizer(cuda))
    sides = [
        InterleavedSide(run=lambda: matrix @ matrix, stopwatch=stopwatch)
        for stopwatch in (EventStopwatch(cuda), ClockStopwatch(clock))
    ]
    interleaving = Interleaving(*sides, num_iterations=50)
    for _ in range(6):
        interleaving.run_block()
    assert paired_ratio(np.array(interleaving.blocks)).ratio == pytest.approx(1.0, rel=0.03)


def test_a_cell_leaves_no_memory_to_the_next(cuda: torch.device) -> None:
    before = left_behind_bytes(cuda)
    step = TrainingStep(make_workload(precision="amp-fp16", batch_size=64), device=cuda)
    step.train_step()
    step.close()
    del step
    release_cached_memory(cuda)
    assert left_behind_bytes(cuda) - before < MIB


def test_the_environment_names_gpu_driver_and_clocks(cuda: torch.device) -> None:
    environment = read_environment(cuda, folder=Path(__file__).parent)
    assert environment.gpu == torch.cuda.get_device_name(cuda)
    nvml = read_nvml()
    if nvml.gpus:
        assert environment.driver == nvml.driver
        assert environment.max_sm_clock_mhz


def test_telemetry_reads_a_gpu_at_work_and_leaves_a_recording(cuda: torch.device, tmp_path: Path) -> None:
    instrument = make_instrument(cuda)
    if not isinstance(instrument, NvmlInstrument):
        pytest.skip("not reported by NVML")
    step = TrainingStep(make_workload(), device=cuda)
    watch = instrument.start()
    begin = time.perf_counter()
    while time.perf_counter() - begin < 1.0:
        step.train_step()
    torch.cuda.synchronize(cuda)
    telemetry = instrument.stop(watch)
    step.close()
    assert telemetry.num_samples >= 5
    assert telemetry.sm_clock_mhz is not None
    assert telemetry.power_watts is not None
    folder = Path(os.environ.get("PERFSUITE_RECORDINGS", tmp_path))
    recording = record(instrument, origin=f"recorded on a {torch.cuda.get_device_name(cuda)}", num_samples=20)
    (folder / "recorded.json").write_text(json.dumps(recording, indent=1))


@pytest.mark.parametrize("precision", ["fp32", "amp-fp16"])
def test_no_cell_is_faster_than_its_limit(precision: str, cuda: torch.device) -> None:
    workload = make_workload(precision=precision)
    work, limits = count_work(workload), probe_limits(workload, device=cuda, clock=clock_of(cuda))
    step = TrainingStep(workload, device=cuda)
    with applied(step.policy):
        profile = take_profile(step.train_step, device=cuda)
    step.close()
    fastest = max(limits.gemm_flops_per_second, limits.conv_flops_per_second)
    # Winograd's algorithm computes a convolution of 3x3 with 2.25 times fewer operations than are counted.
    assert profile.wall_s > work.flops / fastest / 2.25
    assert profile.bound in {"device-bound", "launch-bound", "synchronisation-bound"}
    assert 0.3 < profile.kernels_s / profile.wall_s < 1.2
    assert profile.device_s == pytest.approx(profile.wall_s, rel=0.2)
    assert profile.tensor_core_ratio is not None
    assert (profile.tensor_core_ratio > 0.2) == (precision == "amp-fp16")


def test_a_profile_slows_nothing_that_is_timed_before_it(cuda: torch.device) -> None:
    """All profiles are taken after the last timed cell; this shows what the order is for, and that times come back."""
    step = TrainingStep(make_workload(batch_size=8), device=cuda)
    now = clock_of(cuda)

    def seconds() -> float:
        begin = now()
        for _ in range(50):
            step.train_step()
        return now() - begin

    seconds()
    before = min(seconds() for _ in range(3))
    take_profile(step.train_step, device=cuda)
    after = min(seconds() for _ in range(3))
    step.close()
    assert after < 2 * before


def clock_of(device: torch.device) -> DeviceClock:
    return DeviceClock(device_synchronizer(device))

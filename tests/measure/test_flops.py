"""The least that a pass has to do, what the device can do, and where the time goes."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch
from builders import make_workload
from torch import nn

from perfsuite.errors import MeasurementError
from perfsuite.measure import microbenchmarks as probes
from perfsuite.measure.flops import count_work
from perfsuite.measure.kernel_profile import NAME_LENGTH, WINDOW, _events, label, read_device_events, take_profile
from perfsuite.measure.microbenchmarks import Sizes, probe_limits

CPU = torch.device("cpu")
MS = 1_000_000


def test_the_study_s_resnet18_takes_7_5e15_operations() -> None:
    work = count_work(make_workload())
    assert work.flops / 128 * 45_000 * 50 == pytest.approx(7.5e15, rel=0.01)


def test_a_step_is_forward_and_backward_and_the_optimizer() -> None:
    forward, backward, step = (
        count_work(make_workload(phase=phase, batch_size=4)) for phase in ("forward", "backward", "train_step")
    )
    assert step.flops == forward.flops + backward.flops
    # The gradient of the images is never asked for: the first convolution is computed backwards once, not twice.
    first = 2 * 4 * 32 * 32 * 64 * 3 * 9
    assert backward.flops == 2 * forward.flops - first
    weights = 11_173_962 * 4
    assert step.min_bytes == forward.min_bytes + backward.min_bytes + 5 * weights


def test_half_the_type_moves_fewer_bytes_for_the_same_arithmetic() -> None:
    full, half = (count_work(make_workload(precision=name)) for name in ("fp32", "amp-fp16"))
    assert full.flops == half.flops
    assert 0.5 < half.min_bytes / full.min_bytes < 0.75


def test_bf16_weights_are_read_and_written_in_half_the_bytes() -> None:
    amp, bf16 = (count_work(make_workload(precision=name, batch_size=8)) for name in ("amp-bf16", "bf16"))
    assert amp.flops == bf16.flops
    # The update reads and writes 5 values of a weight; autocast's copies and the FP32 weights are 4 more of its bytes.
    weights = 11_173_962
    assert amp.min_bytes - bf16.min_bytes > 5 * 2 * weights


def test_probes_find_limits_in_the_type_of_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(probes.SIZES, "cpu", Sizes(matrix=32, images=1, copy_bytes=1024, min_seconds=1e-4))
    seen = []
    mm = torch.mm

    def spy(left: torch.Tensor, right: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor:
        seen.append(out.dtype)
        return mm(left, right, out=out)

    monkeypatch.setattr(torch, "mm", spy)
    limits = probe_limits(make_workload(precision="amp-bf16"), device=CPU, clock=time.perf_counter)
    assert set(seen) == {torch.bfloat16}
    assert min(limits.gemm_flops_per_second, limits.conv_flops_per_second, limits.copy_bytes_per_second) > 0


def test_the_fastest_timing_of_a_probe_counts() -> None:
    readings = iter([0.0, 0.3, 1.0, 1.4, 10.0, 10.6, 20.0, 20.4, 30.0, 30.2, 40.0, 41.0])
    assert probes._fastest(lambda: None, lambda: next(readings), 0.3) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("wall", "kernels", "waited", "expected"),
    [
        (1.0, 0.95, 0.0, "device-bound"),
        (1.0, 1.3, 0.5, "device-bound"),
        (1.0, 0.4, 0.1, "launch-bound"),
        (1.0, 0.4, 0.5, "synchronisation-bound"),
    ],
)
def test_three_clocks_tell_what_is_waited_for(wall: float, kernels: float, waited: float, expected: str) -> None:
    assert label(wall_s=wall, kernels_s=kernels, synchronize_s=waited) == expected


def events() -> list[tuple[str, bool, int, int]]:
    return [
        (WINDOW, False, 0, 40 * MS),
        (WINDOW, True, 0, 40 * MS),  # the profiler shows the mark on the device too: it is no kernel
        ("turing_fp16_s1688gemm_fp16_128x128_ldg8_f2f_nn", True, 1 * MS, 12 * MS),
        ("turing_fp16_s1688gemm_fp16_128x128_ldg8_f2f_nn", True, 21 * MS, 12 * MS),
        ("void at::native::vectorized_elementwise_kernel<4, " + "x" * 500, True, 14 * MS, 8 * MS),
        ("cudaStreamSynchronize", False, 5 * MS, 4 * MS),
        ("cudaLaunchKernel", False, 2 * MS, 1 * MS),
        ("cudaDeviceSynchronize", False, 41 * MS, 30 * MS),  # ours, after the window
    ]


def test_kernels_are_ranked_and_waits_outside_of_the_window_are_not_the_pass_s() -> None:
    profile = read_device_events(events(), wall_s=0.02, device_s=0.019, num_iterations=2)
    assert profile.kernels_s == pytest.approx(0.016)
    assert profile.synchronize_s == pytest.approx(0.002)
    assert profile.bound == "synchronisation-bound"
    assert profile.num_kernels == 1.5
    assert profile.tensor_core_ratio == pytest.approx(0.75)
    first, second = profile.kernels
    assert (first.seconds, first.num_calls, first.ratio) == pytest.approx((0.012, 1.0, 0.75))
    assert len(second.name) == NAME_LENGTH


def test_marks_that_libraries_set_are_no_kernels() -> None:
    class Event:
        def __init__(self, name: str, device: str, *, annotation: bool) -> None:
            self._name, self._device, self._annotation = name, device, annotation

        def name(self) -> str:
            return self._name

        def device_type(self) -> str:
            return f"DeviceType.{self._device}"

        def start_ns(self) -> int:
            return 0

        def duration_ns(self) -> int:
            return 1

        def is_user_annotation(self) -> bool:
            return self._annotation

    seen = [
        Event(WINDOW, "CPU", annotation=True),
        Event(WINDOW, "CUDA", annotation=True),
        Event("Optimizer.step#SGD.step", "CUDA", annotation=True),
        Event("fused_sgd_kernel", "CUDA", annotation=False),
    ]
    profiler = SimpleNamespace(profiler=SimpleNamespace(kineto_results=SimpleNamespace(events=lambda: seen)))
    assert [event[:2] for event in _events(profiler)] == [(WINDOW, False), ("fused_sgd_kernel", True)]


def test_a_profile_without_kernels_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(MeasurementError, match="saw no kernel"):
        read_device_events(events()[:2], wall_s=1.0, device_s=1.0, num_iterations=1)
    with pytest.raises(MeasurementError, match="lost the mark"):
        read_device_events(events()[2:], wall_s=1.0, device_s=1.0, num_iterations=1)


def test_on_a_cpu_operators_stand_for_kernels() -> None:
    network = nn.Conv2d(3, 8, 3)
    images = torch.randn(2, 3, 16, 16)
    profile = take_profile(lambda: network(images), device=CPU)
    assert profile.bound is None
    assert profile.absent["bound"].startswith("a CPU runs what it is asked at once")
    assert any("conv" in kernel.name for kernel in profile.kernels)
    assert WINDOW not in {kernel.name for kernel in profile.kernels}
    assert sum(kernel.ratio for kernel in profile.kernels) == pytest.approx(1.0, abs=0.05)

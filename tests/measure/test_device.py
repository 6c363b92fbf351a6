from __future__ import annotations

import warnings

import pytest
import torch

from perfsuite.errors import DeviceUnavailableError, InvalidChoiceError
from perfsuite.measure.device import choose_device, has_kernels_for, use_device
from perfsuite.measure.nvml import NvmlGpu, NvmlReading

T4 = NvmlGpu(
    name="Tesla T4",
    uuid="GPU-1",
    memory_bytes=None,
    power_limit_watts=None,
    max_sm_clock_mhz=None,
    max_memory_clock_mhz=None,
)
WITH_GPU = NvmlReading(gpus=(T4,), driver="470.82", cuda="11.4", reason=None)
WITHOUT_GPU = NvmlReading(gpus=(), driver=None, cuda=None, reason="NVML sees no GPU")


@pytest.fixture(autouse=True)
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def usable_t4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80"])


@pytest.mark.usefixtures("usable_t4")
def test_auto_takes_cuda_where_torch_can_use_it() -> None:
    assert choose_device("auto", nvml=WITH_GPU) == torch.device("cuda", 0)


@pytest.mark.usefixtures("usable_t4")
def test_a_gpu_is_chosen_by_its_number_and_one_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1", nvml=WITH_GPU) == torch.device("cuda", 1)
    with pytest.raises(DeviceUnavailableError, match="no device cuda:2: torch sees 2, cuda:0 to cuda:1; CUDA_VISIBLE"):
        choose_device("cuda:2", nvml=WITH_GPU)


def test_what_asks_for_the_current_gpu_means_the_chosen_one(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    use_device(torch.device("cpu"))
    use_device(torch.device("cuda", 1))
    assert current == [torch.device("cuda", 1)]


@pytest.mark.usefixtures("usable_t4")
def test_a_gpu_that_this_torch_has_no_kernels_for_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_90", "compute_120"])
    with pytest.raises(DeviceUnavailableError, match=r"no kernels for Tesla T4 \(compute capability 7.5\), only sm_80"):
        choose_device("auto", nvml=WITH_GPU)


@pytest.mark.parametrize(
    ("capability", "built_for", "expected"),
    [
        ((7, 5), ["sm_75"], True),
        ((8, 6), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_80"], False),
        ((9, 0), ["sm_80", "compute_80"], True),
        ((9, 0), ["sm_90a"], True),
        ((12, 0), ["sm_100", "sm_120"], True),
        ((7, 0), ["sm_75", "compute_90"], False),
        ((7, 0), ["unknown"], False),
        ((7, 0), [], True),
    ],
)
def test_kernels_fit_their_own_major_version_and_intermediate_code_all_newer_ones(
    capability: tuple[int, int], built_for: list[str], expected: bool
) -> None:
    assert has_kernels_for(capability, built_for) is expected


@pytest.mark.usefixtures("usable_t4")
@pytest.mark.filterwarnings("error")
def test_a_second_gpu_that_torch_does_not_support_is_no_error_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's start warns of every visible GPU, and under `-W error` the first call would raise."""

    def start() -> int:
        warnings.warn("Found GPU1 Tesla K80 which is of cuda capability 3.7", stacklevel=2)
        return 0

    monkeypatch.setattr(torch.cuda, "current_device", start)
    assert choose_device("auto", nvml=WITH_GPU) == torch.device("cuda", 0)


def test_auto_takes_the_cpu_of_a_machine_without_a_gpu() -> None:
    assert choose_device("auto", nvml=WITHOUT_GPU) == torch.device("cpu")


def test_auto_never_hides_a_gpu_behind_a_build_without_cuda() -> None:
    with pytest.raises(DeviceUnavailableError) as caught:
        choose_device("auto", nvml=WITH_GPU)
    message = str(caught.value)
    for part in ("Tesla T4", "driver 470.82", torch.__version__, "without CUDA", "--perf-device cpu"):
        assert part in message
    assert "\n" not in message


def test_auto_names_driver_and_cuda_where_the_driver_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(DeviceUnavailableError, match=r"built for CUDA 13.0, the driver supports up to CUDA 11.4"):
        choose_device("auto", nvml=WITH_GPU)


def test_auto_names_the_variable_that_hides_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceUnavailableError, match="CUDA_VISIBLE_DEVICES='' hides it"):
        choose_device("auto", nvml=WITH_GPU)


def test_the_cpu_can_always_be_asked_for() -> None:
    assert choose_device("cpu", nvml=WITH_GPU) == torch.device("cpu")


def test_cuda_without_a_gpu_is_one_line() -> None:
    with pytest.raises(DeviceUnavailableError, match=r"no CUDA device.*NVML sees no GPU"):
        choose_device("cuda", nvml=WITHOUT_GPU)


def test_an_unknown_device_is_refused_by_name() -> None:
    with pytest.raises(InvalidChoiceError, match="unknown device 'tpu'; choose from auto, cuda, cuda:N, cpu"):
        choose_device("tpu", nvml=WITHOUT_GPU)

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import torch

from perfsuite.errors import InvalidChoiceError, NotSupportedError, PrecisionNotActiveError
from perfsuite.precisions import POLICIES
from perfsuite.records.proof import ProofReading
from perfsuite.workloads import precision_proof as module
from perfsuite.workloads.models import build_model
from perfsuite.workloads.precision import applied, autocast, policy_named, require_support, resolve_precision
from perfsuite.workloads.precision_proof import check_model, check_readings, verify

if TYPE_CHECKING:
    from collections.abc import Callable

CPU = torch.device("cpu")
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def global_flags() -> list[Any]:
    backends: Any = torch.backends
    if not hasattr(backends.cuda.matmul, "fp32_precision"):
        return [backends.cudnn.benchmark, backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32]
    owners = (backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul)
    return [backends.cudnn.benchmark, *(owner.fp32_precision for owner in owners)]


@pytest.mark.parametrize("name", ["fp32", "amp-bf16", "amp-fp16"])
def test_a_policy_that_is_applied_is_proved_to_be_in_force(name: str) -> None:
    policy = POLICIES[name]
    with applied(policy):
        readings = verify(policy, CPU)
    assert [reading.probe for reading in readings] == [
        f"{operation} {part}"
        for operation in ("conv2d", "matmul")
        for part in ("forward", "input gradient", "weight gradient")
    ]


def test_tf32_is_not_found_where_the_device_computes_in_ieee() -> None:
    policy = POLICIES["tf32"]
    with applied(policy), pytest.raises(PrecisionNotActiveError, match=r"tf32 is not active: conv2d forward is off"):
        verify(policy, CPU)


def test_the_proof_catches_an_autocast_that_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "autocast", lambda _policy, _device: contextlib.nullcontext())
    with pytest.raises(PrecisionNotActiveError, match="amp-bf16 is not active: conv2d forward gave float32"):
        verify(POLICIES["amp-bf16"], CPU)
    with pytest.raises(PrecisionNotActiveError, match="layer conv1 computed in float32, not bfloat16"):
        check_model(POLICIES["amp-bf16"], build_model("resnet18", device=CPU), IMAGES)


def test_the_proof_catches_fp32_that_is_rounded_like_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU does when TF32 was left on: float32 outputs of operands with ten fraction bits."""
    exact = torch.nn.functional.conv2d

    def rounded(x: torch.Tensor, weight: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        if x.dtype == torch.float64:
            return exact(x, weight, **kwargs)

        # 13 of 23 fraction bits are cut off.
        def cut(tensor: torch.Tensor) -> torch.Tensor:
            return (tensor.detach().view(torch.int32) & ~0x1FFF).view(torch.float32) - tensor.detach() + tensor

        return exact(cut(x), cut(weight), **kwargs)

    monkeypatch.setattr(torch.nn.functional, "conv2d", rounded)
    with pytest.raises(PrecisionNotActiveError, match=r"fp32 is not active: conv2d forward is off by [0-9.]+e-04"):
        verify(POLICIES["fp32"], CPU)


@pytest.mark.parametrize(
    "change", [{"relative_error": float("nan")}, {"relative_error": 1.0}, {"dtype": "float16"}], ids=str
)
def test_a_reading_outside_its_band_is_refused(change: dict[str, Any]) -> None:
    reading = ProofReading(probe="matmul forward", relative_error=1e-7, dtype="float32", low=0.0, high=1.5e-5)
    check_readings(POLICIES["fp32"], (reading,))
    with pytest.raises(PrecisionNotActiveError):
        check_readings(POLICIES["fp32"], (dataclasses.replace(reading, **change),))


def test_a_network_without_master_weights_is_refused() -> None:
    model = build_model("resnet18", device=CPU).half()
    with pytest.raises(PrecisionNotActiveError, match="parameters are float16"):
        check_model(POLICIES["amp-fp16"], model, IMAGES.half())


def test_looking_at_a_network_leaves_its_running_statistics_alone() -> None:
    model = build_model("resnet18", device=CPU)
    before = [buffer.clone() for buffer in model.buffers()]
    check_model(POLICIES["fp32"], model, IMAGES)
    assert all(torch.equal(a, b) for a, b in zip(before, model.buffers(), strict=True))


@pytest.mark.parametrize("name", POLICIES)
def test_global_flags_are_put_back_even_after_an_error(name: str) -> None:
    before = global_flags()

    def fail() -> None:
        with applied(POLICIES[name]):
            assert name != "tf32" or global_flags() != before or torch.backends.cudnn.allow_tf32
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert global_flags() == before
    assert isinstance(torch.backends.cudnn.allow_tf32, bool)  # mixing both kinds of flags would raise here


def test_fp32_turns_tf32_off_for_convolutions_and_products() -> None:
    backends: Any = torch.backends
    with applied(POLICIES["fp32"]):
        if hasattr(backends.cuda.matmul, "fp32_precision"):
            assert (backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision) == ("ieee", "ieee")
        else:
            assert (backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32) == (False, False)


@pytest.mark.parametrize("name", POLICIES)
def test_the_older_flags_say_the_same_as_the_newer_ones(name: str) -> None:
    """Torch's compiler reads them, and reading them raises where the two disagree."""
    with applied(POLICIES[name]):
        allowed = POLICIES[name].allow_tf32
        assert torch.backends.cudnn.allow_tf32 is allowed
        assert torch.backends.cuda.matmul.allow_tf32 is allowed
        assert torch.get_float32_matmul_precision() == ("high" if allowed else "highest")


def test_flags_of_a_process_that_mixes_both_kinds_are_left_as_they_were() -> None:
    backends: Any = torch.backends
    if not hasattr(backends.cudnn, "conv"):
        pytest.skip("this torch has the older flags only")
    before = backends.cudnn.conv.fp32_precision
    try:
        backends.cudnn.conv.fp32_precision = "ieee"  # what rnn does not say: reading allow_tf32 raises from now on
        with applied(POLICIES["fp32"]):
            pass
        assert (backends.cudnn.conv.fp32_precision, backends.cudnn.rnn.fp32_precision) == ("ieee", "tf32")
    finally:
        backends.cudnn.conv.fp32_precision = before
    assert torch.backends.cudnn.allow_tf32 is True


def test_older_torch_is_spoken_to_through_its_own_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flags:
        benchmark = True
        allow_tf32 = True

    class Older:
        cudnn = Flags()
        mkldnn = object()

        class cuda:  # noqa: N801 - torch's own name
            matmul = Flags()

    monkeypatch.setattr(torch, "backends", Older())
    with applied(POLICIES["fp32"]):
        assert (Older.cudnn.allow_tf32, Older.cuda.matmul.allow_tf32, Older.cudnn.benchmark) == (False, False, False)
    assert (Older.cudnn.allow_tf32, Older.cuda.matmul.allow_tf32, Older.cudnn.benchmark) == (True, True, True)


@pytest.mark.parametrize(("device_type", "name"), [("cuda", "amp-fp16"), ("cpu", "amp-bf16")])
def test_amp_alone_means_what_the_device_does_well(device_type: str, name: str) -> None:
    assert resolve_precision("amp", device_type) == name
    assert resolve_precision("fp32", device_type) == "fp32"


def test_unknown_precisions_are_refused_by_name() -> None:
    with pytest.raises(
        InvalidChoiceError,
        match="unknown precision 'fp8'; choose from amp, amp-bf16, amp-fp16, bf16, bf16-sr, fp32, tf32",
    ):
        resolve_precision("fp8", "cuda")
    with pytest.raises(InvalidChoiceError, match="unknown precision 'fp8'"):
        policy_named("fp8")


def test_a_cpu_has_no_tf32() -> None:
    with pytest.raises(NotSupportedError, match="tf32 is a format of NVIDIA GPUs"):
        require_support(POLICIES["tf32"], CPU)
    for name in POLICIES.keys() - {"tf32"}:
        require_support(POLICIES[name], CPU)


@pytest.mark.parametrize(
    ("capability", "lacking"),
    [((7, 5), {"tf32", "amp-bf16", "bf16", "bf16-sr"}), ((8, 0), set()), ((9, 0), set())],
)
def test_what_a_gpu_lacks_is_told_by_its_own_capability_and_not_that_of_the_current_one(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], lacking: set[str]
) -> None:
    measured = torch.device("cuda", 1)

    def of_measured(device: torch.device | None = None) -> tuple[int, int]:
        return capability if device == measured else (5, 0)

    monkeypatch.setattr(torch.cuda, "get_device_capability", of_measured)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    refused = {}
    for name, policy in POLICIES.items():
        try:
            require_support(policy, measured)
        except NotSupportedError as error:
            refused[name] = str(error)
    assert set(refused) == lacking
    assert all(f"GPU 1 has compute capability {capability[0]}.{capability[1]}" in text for text in refused.values())
    assert all(text.startswith(f"{name} needs ") for name, text in refused.items())


def test_each_autocast_region_is_a_fresh_one() -> None:
    make: Callable[[], torch.autocast] = lambda: autocast(POLICIES["amp-bf16"], "cpu")  # noqa: E731
    assert make() is not make()
    with autocast(POLICIES["fp32"], "cpu"):
        assert not torch.is_autocast_enabled("cpu")

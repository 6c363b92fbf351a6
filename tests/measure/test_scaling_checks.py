"""The proof of an exchange: seen to fail where gradients are summed, dropped, kept or not shared; its tolerances."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import make_claim, make_workload
from forked_ranks import ranks_forked
from test_scaling_launch import job_of, make_job

from perfsuite.errors import ClaimError, MeasurementError, NotSupportedError
from perfsuite.measure.memory_account import MemoryPrediction
from perfsuite.measure.scaling import checks, launch
from perfsuite.measure.scaling.checks import SAME_AS_ONE, require_all, tolerance_of
from perfsuite.measure.scaling.launch import run_ranks
from perfsuite.measure.scaling.rank_memory import ddp_peak_bytes, predict_rank_memory
from perfsuite.measure.scaling.strategies import blocks_of, make_rank_step, refuse_fsdp2, whole_batch
from perfsuite.precisions import POLICIES
from perfsuite.workloads.models import NARROW, build_model

if TYPE_CHECKING:
    from collections.abc import Sequence

CPU = torch.device("cpu")


@pytest.fixture
def forked_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork ranks from a process that has imported torch."""
    monkeypatch.setattr(launch, "started", ranks_forked)


@pytest.mark.usefixtures("forked_ranks")
@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("sums", f"1 of 2 checks do not hold: {SAME_AS_ONE}: measured 1, at most 0 (tolerance 0.001) expected"),
        ("drops", f"1 of 2 checks do not hold: {SAME_AS_ONE}: measured 0."),
        ("keeps", "2 of 2 checks do not hold: largest difference of a gradient between ranks: measured "),
    ],
)
def test_an_exchange_that_sums_drops_a_rank_or_does_nothing_fails_before_anything_is_timed(
    network: str, words: str
) -> None:
    stages: list[str] = []
    with pytest.raises(ClaimError, match=re.escape(words)):
        run_ranks(job_of(network), report_stage=stages.append)
    assert "2 ranks: timing" not in stages


@pytest.mark.usefixtures("forked_ranks")
@pytest.mark.parametrize(
    ("strategy", "compression", "names"),
    [
        ("ddp", "bf16", [checks.EQUAL, SAME_AS_ONE]),
        ("fsdp2", "none", [checks.SHARED, SAME_AS_ONE]),
    ],
)
def test_gradients_in_bf16_and_sharded_ones_are_those_of_one_process(
    strategy: str, compression: str, names: list[str]
) -> None:
    results = run_ranks(make_job(strategy=strategy, compression=compression), report_stage=lambda _stage: None)
    assert [claim.name for claim in results[0].checks] == names
    assert all(claim.holds for claim in results[0].checks)
    assert results[0].checks[1].measured > (1e-3 if compression == "bf16" else 0.0)  # they were compressed
    assert bool(results[0].no_exchange_s) == (strategy == "ddp")
    assert results[0].gradient_bytes == (352_804 if compression == "bf16" else 705_608)
    assert "threads free a part" in results[0].absent["peak_allocated_bytes"]


class OneRank:
    """A group of ranks that all hold the same number."""

    def __init__(self, world_size: int) -> None:
        self.rank = 0
        self.world_size = world_size

    def total(self, number: float) -> float:
        return number * self.world_size

    def largest(self, number: float) -> float:
        return number

    def from_first(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor + 1.0


def group_of(world_size: int) -> Any:
    return OneRank(world_size)


def test_gradients_that_each_rank_holds_whole_are_not_shared() -> None:
    claim = checks._shared([torch.ones(4), torch.ones(2, 3)], group_of(2))
    assert (claim.measured, claim.holds) == (2.0, False)
    assert checks._shared([torch.ones(4)], group_of(1)).holds


def test_a_gradient_of_one_rank_alone_that_differs_in_one_place_is_found() -> None:
    claim = checks._equal([torch.zeros(3)], group_of(2))
    assert (claim.measured, claim.holds) == (1.0, False)


def test_a_relative_error_is_of_all_gradients_together() -> None:
    reference = [torch.tensor([3.0]), torch.tensor([4.0])]
    assert checks._relative_error(reference, reference) == 0.0
    assert checks._relative_error([torch.tensor([3.0]), torch.tensor([4.5])], reference) == pytest.approx(0.1)
    with pytest.raises(MeasurementError, match="other parameters"):
        checks._relative_error(reference[:1], reference)
    with pytest.raises(MeasurementError, match="are zero"):
        checks._relative_error(reference, [torch.zeros(1), torch.zeros(1)])


def test_the_tolerance_is_the_precision_s_and_wider_for_gradients_in_bf16() -> None:
    fp32 = POLICIES["fp32"]
    assert tolerance_of(fp32, 8, compressed=False) == fp32.gradient_tolerance
    assert tolerance_of(fp32, 2, compressed=True) == fp32.gradient_tolerance + 3 * 2.0**-9
    assert tolerance_of(POLICIES["amp-bf16"], 8, compressed=True) < 0.5  # a dropped rank of two is seen


def test_a_claim_that_does_not_hold_is_told_with_the_number_of_others() -> None:
    require_all([make_claim()])
    wrong = make_claim(name="a gradient", measured=2.0, expected=1.0)
    with pytest.raises(ClaimError, match=r"2 of 3 checks do not hold: a gradient: measured 2, .* and 1 more check"):
        require_all([wrong, make_claim(), wrong])


def test_each_rank_has_images_of_its_own_and_the_whole_batch_is_all_of_them() -> None:
    workload = make_workload(model=NARROW, batch_size=2, device_type="cpu")
    steps = [make_rank_step(workload, CPU, rank) for rank in range(3)]
    assert not torch.equal(steps[0].inputs, steps[1].inputs)
    batch = whole_batch(steps[1], 3)
    assert torch.equal(batch.inputs, torch.cat([step.inputs for step in steps]))
    assert torch.equal(batch.targets, torch.cat([step.targets for step in steps]))
    pairs: Sequence[tuple[torch.Tensor, torch.Tensor]] = list(
        zip(steps[0].model.parameters(), steps[2].model.parameters(), strict=True)
    )
    assert all(torch.equal(one, other) for one, other in pairs)


def test_one_process_that_cannot_take_the_whole_batch_at_once_takes_it_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = make_rank_step(make_workload(model=NARROW, batch_size=2, device_type="cpu"), CPU, 0)
    step.model.eval()
    expected = checks._of_one_process(step, 3, scale=2.0)
    loss = step.loss

    def loss_of_small_batches() -> torch.Tensor:
        if len(step.inputs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss()

    monkeypatch.setattr(step, "loss", loss_of_small_batches)
    own = step.inputs
    found = checks._of_one_process(step, 3, scale=2.0)
    assert checks._relative_error(found, expected) < 1e-5
    assert step.inputs is own


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workload": make_workload(precision="bf16")}, "bf16 with fsdp2: FSDP2 shards weights of one type"),
        ({"workload": make_workload(precision="amp-fp16")}, "amp-fp16 with fsdp2: torch's fused SGD takes no sharded"),
        ({"compression": "bf16"}, "--perf-gradient-compression bf16 with fsdp2: it is a hook of DDP"),
    ],
)
def test_what_fsdp2_cannot_do_is_refused_in_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(NotSupportedError, match=re.escape(words)):
        refuse_fsdp2(make_job(strategy="fsdp2", **changes))


@pytest.mark.parametrize(("model", "num_blocks"), [("resnet18", 8), ("resnet50", 16), (NARROW, 8)])
def test_the_blocks_of_a_resnet_are_sharded_by_themselves(model: str, num_blocks: int) -> None:
    network = build_model(model, device=CPU)
    assert len(blocks_of(network)) == num_blocks


def test_ddp_s_buckets_are_as_large_as_all_gradients_and_live_beside_them() -> None:
    prediction = MemoryPrediction(
        parameters_bytes=100,
        gradients_bytes=40,
        optimizer_bytes=100,
        activations_bytes=500,
        autocast_bytes=0,
        temporary_bytes=50,
        other_bytes=10,
        peak_bytes=800,
    )
    assert ddp_peak_bytes(prediction, compressed=False) == 800 + 100
    assert ddp_peak_bytes(prediction, compressed=True) == 800 + 100 + 20
    # Of a small batch the end of the backward pass peaks: weights, momentum, gradients, buckets, copies in BF16.
    small = MemoryPrediction(
        parameters_bytes=100,
        gradients_bytes=0,
        optimizer_bytes=100,
        activations_bytes=20,
        autocast_bytes=0,
        temporary_bytes=0,
        other_bytes=10,
        peak_bytes=230,
    )
    assert ddp_peak_bytes(small, compressed=True) == 100 + 100 + 10 + 200 + 50


def test_a_prediction_that_fails_is_absent_with_its_reason() -> None:
    assert predict_rank_memory(make_job(strategy="fsdp2"))[0] is None
    unknown = make_job(workload=make_workload(model="none", device_type="cpu"))
    predicted, reason = predict_rank_memory(unknown)
    assert predicted is None
    assert "none" in reason

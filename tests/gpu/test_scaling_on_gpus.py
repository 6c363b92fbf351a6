"""Ranks on GPUs: NCCL, memory of each rank, the proof of the exchange; with one GPU, one rank."""

from __future__ import annotations

import pytest
import torch
from builders import make_workload

from perfsuite.measure.scaling.cell import default_world_sizes
from perfsuite.measure.scaling.job import RankBudget, ScalingJob
from perfsuite.measure.scaling.launch import run_ranks
from perfsuite.measure.scaling.rank_memory import predict_rank_memory

BUDGET = RankBudget(
    min_warm_up_s=0.5,
    max_warm_up_s=2.0,
    stable_ratio=0.05,
    min_turn_s=0.05,
    min_blocks=3,
    blocks_s=0.0,
    is_fixed=True,
    num_all_reduces=3,
)


def job_on(num_gpus: int, *, strategy: str, precision: str, compression: str = "none") -> ScalingJob:
    return ScalingJob(
        workload=make_workload(precision=precision, batch_size=32),
        models=("resnet18",),
        world_size=num_gpus,
        strategy=strategy,  # type: ignore[arg-type]
        compression=compression,  # type: ignore[arg-type]
        is_strong=False,
        gpus=tuple(range(num_gpus)),
        num_threads=1,
        budget=BUDGET,
        is_timed=True,
        timeout_s=120.0,
    )


@pytest.mark.parametrize("precision", ["fp32", "amp-fp16"])
def test_ranks_on_gpus_exchange_gradients_by_nccl_and_take_the_memory_that_is_predicted(precision: str) -> None:
    for num_gpus in default_world_sizes("cuda", torch.cuda.device_count()):
        job = job_on(num_gpus, strategy="ddp", precision=precision)
        results = run_ranks(job, report_stage=lambda _stage: None)
        assert all(claim.holds for claim in results[0].checks)
        assert results[0].backend_version.count(".") >= 1
        predicted, _ = predict_rank_memory(job)
        assert predicted is not None
        for result in results:
            assert result.peak_allocated_bytes == pytest.approx(predicted, rel=0.15)


def test_gradients_in_bf16_and_shards_are_exchanged_on_gpus_too() -> None:
    num_gpus = torch.cuda.device_count()
    for strategy, compression in (("ddp", "bf16"), ("fsdp2", "none")):
        job = job_on(num_gpus, strategy=strategy, precision="fp32", compression=compression)
        results = run_ranks(job, report_stage=lambda _stage: None)
        assert all(claim.holds for claim in results[0].checks)
        assert all(result.peak_allocated_bytes for result in results)

"""`-m scaling`: steps on several devices as cells: which there are, what ranks are told, what becomes of them."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
import torch
from builders import make_claim
from suite_run import REPOSITORY

from perfsuite.cli import main
from perfsuite.errors import MeasurementError, NotSupportedError, OutOfMemoryError
from perfsuite.measure.scaling import cell
from perfsuite.measure.scaling.cell import default_world_sizes, rank_gpus, rank_threads
from perfsuite.measure.scaling.job import RankResult
from perfsuite.plugin.options import RANK_TIMEOUT_S
from perfsuite.records.reading import read_record
from perfsuite.records.scaling import ScalingRecord
from perfsuite.workloads.models import NARROW

if TYPE_CHECKING:
    from collections.abc import Callable

    from suite_run import Run

    from perfsuite.measure.scaling.job import ScalingJob

SCALING = ("-m", "scaling", "--perf-device=cpu")
FP32 = (*SCALING, "--perf-precisions=fp32")


def rank_result(job: ScalingJob, rank: int) -> RankResult:
    blocks = ((0.2, 0.2),) * 3
    return RankResult(
        rank=rank,
        num_iterations=1,
        alone_s=((0.1, 0.1),) * 3 if rank == 0 else (),
        no_exchange_s=blocks if job.strategy == "ddp" else (),
        exchange_s=blocks,
        all_reduce_s=(0.01, 0.02 + rank) if job.world_size > 1 else (),
        gradient_bytes=4096,
        peak_allocated_bytes=1000 + rank,
        backend_version="2.13.0",
        checks=(make_claim(),) if rank == 0 else (),
        settings={"bucket_cap_mib": 25},
        findings=("everywhere", f"only {rank}") if rank == 1 else ("everywhere",),
        absent={},
        num_skipped=0,
        telemetry=None,
    )


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[ScalingJob]:
    """Replace ranks by results that take no time, and keep what they were told."""
    told: list[ScalingJob] = []

    def run(job: ScalingJob, *, report_stage: Callable[[str], None]) -> tuple[RankResult, ...]:
        told.append(job)
        report_stage("timing")
        return tuple(rank_result(job, rank) for rank in range(job.world_size))

    monkeypatch.setattr(cell, "run_ranks", run)
    return told


@pytest.fixture
def run_scaling(suite_folder: pytest.Pytester, run_suite: Callable[..., Run]) -> Callable[..., Run]:
    """Run `benchmarks/test_scaling.py`."""
    text = (REPOSITORY / "benchmarks" / "test_scaling.py").read_text()
    (suite_folder.path / "benchmarks" / "test_scaling.py").write_text(text)
    return lambda *arguments: run_suite(*arguments, quick=False)


def records_of(run: Run) -> list[ScalingRecord]:
    records = [read_record(entry["extra_info"]["perfsuite"]) for entry in run.content["benchmarks"]]
    assert all(isinstance(record, ScalingRecord) for record in records)
    return records  # type: ignore[return-value]


def test_without_options_a_cpu_steps_a_narrow_network_on_one_and_two_ranks(
    run_scaling: Callable[..., Run], jobs: list[ScalingJob]
) -> None:
    run = run_scaling(*SCALING)
    assert run.result.ret == 0, run.text
    assert [(job.workload.precision, job.world_size) for job in jobs] == [
        *(("fp32", 1), ("fp32", 2)),
        *(("amp-bf16", 1), ("amp-bf16", 2)),
    ]
    assert {(job.workload.model, job.workload.batch_size, job.strategy) for job in jobs} == {(NARROW, 8, "ddp")}
    assert {job.timeout_s for job in jobs} == {float(RANK_TIMEOUT_S)}
    # The same share of the cores whatever the world size: else a larger one would have slower devices.
    assert len({job.num_threads for job in jobs}) == 1
    assert "images/s" in run.text
    assert "efficient" in run.text


def test_a_record_holds_what_all_ranks_measured(run_scaling: Callable[..., Run], jobs: list[ScalingJob]) -> None:
    (record,) = records_of(run_scaling(*FP32, "--perf-world-sizes=2", "--perf-models=resnet18"))
    assert len(jobs) == 1
    assert (record.world_size, record.strategy, record.scaling, record.backend) == (2, "ddp", "weak", "gloo")
    assert len(record.exchange_s) == len(record.no_exchange_s) == 2
    assert record.alone_s == ((0.1, 0.1),) * 3
    assert record.all_reduce_s == (0.01, 1.02)  # of the slowest rank, round by round
    assert record.peak_allocated_bytes == (1000, 1001)
    assert record.predicted_peak_bytes is not None
    assert "everywhere" in record.findings
    assert "rank 1: only 1" in record.findings
    assert any(finding.startswith("a rank has no device of its own here") for finding in record.findings)
    assert record.settings["threads_per_rank"] == jobs[0].num_threads


def test_a_global_batch_is_shared_by_the_ranks(run_scaling: Callable[..., Run], jobs: list[ScalingJob]) -> None:
    run = run_scaling(*FP32, "--perf-world-sizes=1,2,3", "--perf-global-batch-size=8")
    assert [(job.world_size, job.workload.batch_size, job.is_strong) for job in jobs] == [(1, 8, True), (2, 4, True)]
    assert {record.scaling for record in records_of(run)} == {"strong"}
    assert {record.global_batch_size for record in records_of(run)} == {8}
    assert run.names[1] == f"test_scaling[{NARROW}-fp32-b8-2ranks-strong]"
    assert "global batch size 8, shared by the ranks" in run.text
    reason = "--perf-global-batch-size 8: 3 ranks cannot share it equally; take a multiple of 3"
    assert run.content["perfsuite"]["outcomes"][0]["reason"] == reason
    assert run.outcomes == [(f"test_scaling[{NARROW}-fp32-b8-3ranks-strong]", "skipped")]


def test_strategies_and_compressions_are_cells_of_their_own(
    run_scaling: Callable[..., Run], jobs: list[ScalingJob]
) -> None:
    options = ("--perf-strategy=ddp,fsdp2", "--perf-gradient-compression=none,bf16", "--perf-world-sizes=2")
    run = run_scaling(*FP32, *options, "--perf-quick")
    assert [(job.strategy, job.compression) for job in jobs] == [
        *(("ddp", "none"), ("ddp", "bf16")),
        *(("fsdp2", "none"), ("fsdp2", "bf16")),
    ]
    prefix = f"test_scaling[{NARROW}-fp32-b8-2ranks"
    assert run.names == [
        f"{prefix}]",
        f"{prefix}-bf16_gradients]",
        f"{prefix}-fsdp2]",
        f"{prefix}-fsdp2-bf16_gradients]",
    ]
    sharded = records_of(run)[2]
    assert sharded.no_exchange_s == ()
    assert all(record.quick for record in records_of(run))
    assert sharded.absent["predicted_peak_bytes"] == "left out by --perf-quick"


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (MeasurementError("rank 1 of 2 was killed by SIGKILL"), "failed", "rank 1 of 2 was killed by SIGKILL"),
        (OutOfMemoryError("out of memory: rank 1 of 2"), "out_of_memory", "rank 1 of 2"),
        (NotSupportedError("rank 0 of 2: no BF16"), "skipped", "rank 0 of 2: no BF16"),
    ],
)
def test_a_cell_that_ends_early_is_one_line_and_the_others_go_on(
    run_scaling: Callable[..., Run],
    jobs: list[ScalingJob],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    outcome: str,
    words: str,
) -> None:
    sound: Callable[..., tuple[RankResult, ...]] = getattr(cell, "run_ranks")  # noqa: B009 - that of the fixture

    def run(job: ScalingJob, *, report_stage: Callable[[str], None]) -> tuple[RankResult, ...]:
        if job.world_size == 2:
            raise error
        return sound(job, report_stage=report_stage)

    monkeypatch.setattr(cell, "run_ranks", run)
    finished = run_scaling(*FP32, "--perf-world-sizes=1,2,4")
    assert [record.world_size for record in records_of(finished)] == [1, 4]
    assert [kind for _, kind in finished.outcomes] == [outcome]
    assert finished.content["perfsuite"]["outcomes"][0]["reason"] == words
    assert "Traceback" not in finished.text
    assert len(jobs) == 2


def test_more_ranks_than_cores_are_said_to_be(run_scaling: Callable[..., Run], jobs: list[ScalingJob]) -> None:
    (record,) = records_of(run_scaling(*FP32, "--perf-world-sizes=512"))
    assert jobs[0].num_threads == 1
    assert any(finding.startswith("512 ranks on ") for finding in record.findings)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--perf-compile=default",), "--perf-compile: -m scaling measures eager steps"),
        (("--perf-cuda-graphs=on",), "--perf-cuda-graphs: -m scaling measures eager steps"),
    ],
)
def test_what_is_not_measured_on_several_devices_is_skipped_with_the_reason(
    run_scaling: Callable[..., Run], jobs: list[ScalingJob], options: tuple[str, ...], words: str
) -> None:
    run = run_scaling(*FP32, *options)
    assert {outcome["reason"] for outcome in run.content["perfsuite"]["outcomes"]} == {words}
    assert {kind for _, kind in run.outcomes} == {"skipped"}
    assert jobs == []


def test_networks_that_classify_no_images_are_skipped(run_scaling: Callable[..., Run], jobs: list[ScalingJob]) -> None:
    own = REPOSITORY / "tests" / "own_networks.py"
    run = run_scaling(*FP32, f"--perf-models={own}:two_inputs")
    reasons = [outcome["reason"] for outcome in run.content["perfsuite"]["outcomes"]]
    assert all(reason.startswith("own_networks.py:two_inputs: -m scaling is of networks that") for reason in reasons)
    assert jobs == []


def test_with_benchmarks_disabled_everything_runs_once_and_leaves_nothing(
    run_scaling: Callable[..., Run], jobs: list[ScalingJob]
) -> None:
    run = run_scaling(*FP32, "--benchmark-disable")
    assert run.result.ret == 0, run.text
    assert [job.is_timed for job in jobs] == [False, False]
    assert run.files == []


def test_k_selects_world_sizes_and_a_plain_run_leaves_all_out(
    run_scaling: Callable[..., Run], jobs: list[ScalingJob]
) -> None:
    run = run_scaling("-k", "scaling and 2ranks", "--perf-device=cpu", "--perf-precisions=fp32")
    assert [job.world_size for job in jobs] == [2], run.text
    listed = run_scaling("--collect-only", "-q", "--perf-device=cpu")
    assert "test_scaling" not in listed.text.partition("collected")[0]


def test_several_processes_of_xdist_are_refused(run_scaling: Callable[..., Run], jobs: list[ScalingJob]) -> None:
    pytest.importorskip("xdist")
    run = run_scaling(*FP32, "-n", "2")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "-n of pytest-xdist: benchmarks that run at the same time" in run.text
    assert jobs == []


def test_other_commands_read_files_with_such_records(
    run_scaling: Callable[..., Run], jobs: list[ScalingJob], capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_scaling(*FP32, "--perf-world-sizes=2")
    assert len(jobs) == 1
    assert json.dumps(run.content, allow_nan=False)
    for command in ("collect", "report"):
        target = ["-o", str(run.folder / "page.html")] if command == "report" else []
        assert main([command, str(run.files[0]), *target]) == 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("num_gpus", "expected"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (6, (1, 2, 4, 6))]
)
def test_world_sizes_are_powers_of_two_and_all_gpus(num_gpus: int, expected: tuple[int, ...]) -> None:
    assert default_world_sizes("cuda", num_gpus) == expected
    assert default_world_sizes("cpu", num_gpus) == (1, 2)


def test_ranks_take_the_gpu_that_was_named_and_then_the_others() -> None:
    assert rank_gpus(torch.device("cuda", 1), 3, num_gpus=4) == (1, 0, 2)
    assert rank_gpus(torch.device("cpu"), 3, num_gpus=0) == ()
    with pytest.raises(NotSupportedError, match="4 ranks: torch sees 2 GPUs here"):
        rank_gpus(torch.device("cuda", 0), 4, num_gpus=2)


def test_ranks_share_the_cores_equally_and_have_one_thread_at_least() -> None:
    assert (rank_threads(16, 4), rank_threads(2, 2), rank_threads(2, 8)) == (4, 1, 1)


def test_a_change_of_the_efficiency_while_it_was_measured_is_told(
    run_scaling: Callable[..., Run], jobs: list[ScalingJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tuple((seconds, seconds) for seconds in [0.1] * 4 + [0.15] * 4 + [0.2] * 4)

    def run(job: ScalingJob, *, report_stage: Callable[[str], None]) -> tuple[RankResult, ...]:
        del report_stage
        jobs.append(job)
        same = ((0.2, 0.2),) * len(alone)
        result = rank_result(job, 0)
        return (dataclasses.replace(result, alone_s=alone, no_exchange_s=same, exchange_s=same),)

    monkeypatch.setattr(cell, "run_ranks", run)
    (record,) = records_of(run_scaling(*FP32, "--perf-world-sizes=1"))
    assert any("a step alone to one with exchange changed by +100.0%" in finding for finding in record.findings)

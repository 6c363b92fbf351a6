"""A GPU that is lost in a run of the suite, on a stand-in for `torch.cuda`: status, table and file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cuda_stand_in import CudaStandIn, Fault, illegal_access, out_of_memory_errors

from perfsuite.measure import kernel_profile as profile
from perfsuite.plugin import cells

if TYPE_CHECKING:
    from collections.abc import Callable

    from suite_run import Run

ARGUMENTS = (
    *("--perf-device=cuda", "--perf-batch-size=2", "--perf-models=resnet18", "--perf-precisions=fp32"),
    *("--benchmark-min-rounds=2", "--benchmark-max-time=0.01", "-m", "step"),
)
FORWARD, BACKWARD, WHOLE = (f"test_{phase}[resnet18-fp32-b2]" for phase in ("forward", "backward", "train_step"))


@pytest.fixture
def run_on_gpu(run_suite: Callable[..., Run], gpu: CudaStandIn, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Run three cells; the stages of a cell are noted with its number: `2 timing`."""
    number = 0

    def report_stage(_config: object, stage: str) -> None:
        nonlocal number
        number += stage == "building"
        gpu.begin_stage(f"{number} {stage}")

    monkeypatch.setattr(cells, "report_stage", report_stage)
    monkeypatch.setitem(profile.NUM_WARM_UP_PASSES, "cuda", 1)
    monkeypatch.setitem(profile.NUM_ITERATIONS, "cuda", 1)
    return lambda *arguments: run_suite(*ARGUMENTS, *arguments, quick=False)


@pytest.mark.parametrize(
    ("stage", "call"), [("2 verifying precision", "work"), ("2 timing", "work"), ("2 measuring memory", "synchronize")]
)
def test_after_a_lost_device_what_was_finished_is_kept_and_shown_and_nothing_else_is_run(
    run_on_gpu: Callable[..., Run], gpu: CudaStandIn, stage: str, call: str
) -> None:
    gpu.fault = Fault(error=illegal_access(), stage=stage, call=call, is_sticky=True)
    run = run_on_gpu()
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert "INTERNALERROR" not in run.text
    assert "Traceback" not in run.text
    assert run.names == [FORWARD]
    assert run.outcomes == [(BACKWARD, "failed"), (WHOLE, "not_run")]
    failed, not_run = run.content["perfsuite"]["outcomes"]
    assert failed["reason"].startswith("the device was lost: CUDA error: an illegal memory access was encountered")
    assert not_run["reason"] == "the device was lost"
    assert run.content["perfsuite"]["complete"] is False
    for expected in ("Training steps", "Results: results/", "not run: benchmarks/test_step.py", "the device was lost"):
        assert expected in run.text


def test_a_device_that_is_lost_in_the_first_cell_leaves_a_file_without_results(
    run_on_gpu: Callable[..., Run], gpu: CudaStandIn
) -> None:
    gpu.fault = Fault(error=illegal_access(), stage="1 timing", is_sticky=True)
    run = run_on_gpu()
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert run.names == []
    assert run.outcomes == [(FORWARD, "failed"), (BACKWARD, "not_run"), (WHOLE, "not_run")]
    assert "No benchmark produced a result." in run.text


def test_a_device_that_is_lost_while_profiles_are_taken_costs_profiles_and_no_number(
    run_on_gpu: Callable[..., Run], gpu: CudaStandIn
) -> None:
    gpu.fault = Fault(error=illegal_access(), call="event.record", is_sticky=True)
    run = run_on_gpu()
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert "INTERNALERROR" not in run.text
    assert run.names == [FORWARD, BACKWARD, WHOLE]
    assert run.outcomes == []
    for entry in run.content["benchmarks"]:
        assert entry["extra_info"]["perfsuite"]["findings"][-1].startswith(
            "no profile: the device was lost: CUDA error"
        )
    assert "Training steps" in run.text


def test_a_cell_that_does_not_fit_costs_no_other(run_on_gpu: Callable[..., Run], gpu: CudaStandIn) -> None:
    gpu.fault = Fault(error=out_of_memory_errors()["cudnn-find"], stage="2 timing")
    run = run_on_gpu("--perf-no-profile")
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert run.names == [FORWARD, WHOLE]
    assert run.outcomes == [(BACKWARD, "out_of_memory")]
    assert run.content["perfsuite"]["complete"] is True

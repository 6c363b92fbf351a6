"""How long a run says that it takes: by one timed pass on a GPU that no table knows, and the same in the time left."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import pytest
from cuda_stand_in import CUDA, CudaStandIn, Fault, illegal_access, out_of_memory_errors

from perfsuite.measure import harness, sample_cost, timed_pass
from perfsuite.measure.budget import BUDGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch
    from suite_run import Run

ON_GPU = ("--perf-device=cuda", "--perf-batch-size=2", "--perf-precisions=fp32", "--perf-no-profile", "-m", "step")
OURS, THEIRS = "--perf-models=resnet18", "--perf-models=own_networks:sound"
SECOND_PASS_S = 300.0
TRIED = "the step was tried"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    for cached in (timed_pass._gpu_step_s, timed_pass._sample_s, timed_pass.cpu_slowdown, sample_cost._counted):
        if hasattr(cached, "cache_clear"):  # not replaced by the test
            cached.cache_clear()


@pytest.fixture
def trials(gpu: CudaStandIn, monkeypatch: pytest.MonkeyPatch) -> CudaStandIn:
    """Run trial steps for real, and say that they took long; rounds are as many as ever."""
    original = timed_pass._timed_on_gpu
    monkeypatch.setitem(BUDGETS, "cuda", dataclasses.replace(BUDGETS["cuda"], min_rounds=12))

    def timed(run: Callable[[], object], device: torch.device) -> float:
        gpu.mark(TRIED)
        gpu.begin_stage("trial")
        original(run, device)
        return SECOND_PASS_S

    monkeypatch.setattr(timed_pass, "_timed_on_gpu", timed)
    return gpu


@pytest.fixture
def head_of(run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what stands above the first cell of a run on the GPU, with the cells themselves left out."""

    def head(*arguments: str) -> str:
        monkeypatch.setattr(harness, "measure", None)
        run = run_suite(*ON_GPU, *arguments, quick=False)
        assert "INTERNALERROR" not in run.text
        return run.text.partition("results go to")[0]

    return head


def minutes(text: str, pattern: str) -> float:
    found = re.search(pattern + r" about (?:(\d+) h )?(\d+) min(?: (\d+) s)?", text)
    assert found is not None, text
    return 60 * int(found[1] or 0) + int(found[2]) + int(found[3] or 0) / 60


def test_a_network_that_no_table_knows_is_timed_on_the_gpu(trials: CudaStandIn, head_of: Callable[..., str]) -> None:
    """Five rounds, 2 of warm-up, 2 to settle and 2 for memory: 11 steps of five minutes."""
    head = head_of(THEIRS, "-k", "train_step")
    assert 55 <= minutes(head, "1 step benchmark:") <= 57
    assert trials.log.count(TRIED) == 1
    last_work = max(index for index, line in enumerate(trials.log) if line == "work")
    assert "empty_cache" in trials.log[last_work:]  # the cells find the memory that they would find without it


def test_a_forward_pass_takes_its_share_of_the_step_that_is_timed_once(
    trials: CudaStandIn, head_of: Callable[..., str]
) -> None:
    """Of the forward passes, each a third of a step, 7; whole steps to settle and for memory: 6.3 of them."""
    head = head_of(THEIRS, "-k", "forward")
    assert (7 / 3 + 4) * 5 - 1 <= minutes(head, "1 step benchmark:") <= (7 / 3 + 4) * 5 + 1.5
    assert trials.log.count(TRIED) == 1


def test_the_networks_of_the_table_are_not_tried(trials: CudaStandIn, head_of: Callable[..., str]) -> None:
    head = head_of(OURS, "-k", "train_step")
    assert re.search(r"1 step benchmark: about \d+ s", head)
    assert TRIED not in trials.log


def test_a_network_that_fails_on_the_cpu_is_not_tried_on_the_gpu(
    trials: CudaStandIn, head_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_cost, "look_at_step", lambda *_, **__: None)
    head = head_of(THEIRS, "-k", "train_step")
    assert "1 step benchmark; the remaining time is shown after the first one" in head
    assert TRIED not in trials.log


@pytest.mark.parametrize("name", ["allocator", "driver"])
def test_a_step_that_does_not_fit_is_estimated_by_the_data_sheet(
    trials: CudaStandIn, head_of: Callable[..., str], name: str
) -> None:
    trials.fault = Fault(error=out_of_memory_errors()[name], stage="trial")
    head = head_of(THEIRS, "-k", "train_step")
    assert re.search(r"1 step benchmark: about \d+ s", head)
    assert TRIED in trials.log


def test_a_device_that_is_lost_in_the_trial_ends_the_run_in_one_line(
    trials: CudaStandIn, run_suite: Callable[..., Run]
) -> None:
    trials.fault = Fault(error=illegal_access(), stage="trial", is_sticky=True)
    run = run_suite(*ON_GPU, THEIRS, quick=False)
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert "INTERNALERROR" not in run.text
    assert "Traceback" not in run.text
    assert "the device was lost: CUDA error: an illegal memory access was encountered" in run.text


def test_the_first_call_starts_the_device_and_the_second_one_counts(gpu: CudaStandIn) -> None:
    readings = iter([10.0, 10.25])

    def now() -> float:
        gpu.mark("now")
        return next(readings)

    assert timed_pass._timed_on_gpu(lambda: gpu.mark("step"), CUDA, now) == 0.25
    assert gpu.log == ["step", "synchronize", "now", "step", "synchronize", "now"]


def test_the_time_left_is_that_of_the_head_and_not_of_operations_alone(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """AMP is emulated and takes a hundred times as long: after the cells in FP32 nearly all is left."""
    options = ("--perf-device=cpu", "--perf-batch-size=2", "--perf-models=resnet18", "--perf-precisions=fp32,amp-bf16")
    monkeypatch.setattr(timed_pass, "_sample_s", lambda *arguments: 25.0 if arguments[-1] == "amp-bf16" else 0.25)
    monkeypatch.setattr(timed_pass, "cpu_slowdown", lambda name: 100.0 if name == "amp-bf16" else 1.0)
    run = run_suite(*options, "--perf-no-profile", "-m", "step", "-k", "train_step", quick=False)
    head = run.text.partition("results go to")[0]
    first = next(line for line in run.text.splitlines() if line.startswith("[1/2]"))
    whole, left = minutes(head, "2 step benchmarks:"), minutes(first, " ")
    assert whole * 0.9 <= left <= whole

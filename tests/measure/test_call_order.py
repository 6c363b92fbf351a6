"""The order of calls of `torch.cuda` over whole cells, pairs and trainings, on a stand-in that records them."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import pytest
from builders import make_workload
from cuda_stand_in import CUDA, CudaStandIn
from generated_images import generated_set
from test_harness import PROCESS, Counter, FakeBenchmark

from perfsuite.measure import harness, train
from perfsuite.measure.active_clock import ActiveClock
from perfsuite.measure.clock import DeviceClock, device_synchronizer
from perfsuite.measure.paired import measure_speedup
from perfsuite.measure.run_context import RunContext

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PRECISIONS = ["fp32", "amp-fp16"]


def measured(gpu: CudaStandIn, precision: str, phase: str = "train_step", *, is_pair: bool = False) -> list[str]:
    """Measure a cell or a pair; every reading of the host's clock is in the record."""
    ticks = Counter(step_s=0.02)

    def now() -> float:
        gpu.mark("now")
        return ticks()

    clock = DeviceClock(device_synchronizer(CUDA), now)
    context = RunContext(device=CUDA, clock=clock, process=PROCESS, report_stage=gpu.begin_stage)
    workload, benchmark = make_workload(batch_size=2, precision=precision, phase=phase), FakeBenchmark(clock)
    if is_pair:
        assert measure_speedup(workload, "fp32", benchmark, context) is not None
    else:
        assert harness.measure(workload, benchmark, context) is not None
    return gpu.log


def between(log: Sequence[str], begin: str, end: str) -> list[str]:
    start = max(index for index, line in enumerate(log) if line == begin)
    return list(log[start + 1 : log.index(end, start) if end in log[start:] else None])


def windows(log: Sequence[str]) -> Iterator[list[str]]:
    """Yield what lies between two readings of the clock, where there was work: the timed windows."""
    readings = [index for index, line in enumerate(log) if line == "now"]
    for begin, end in itertools.pairwise(readings):
        if "work" in log[begin:end]:
            yield list(log[begin + 1 : end])


@pytest.mark.parametrize("is_pair", [False, True], ids=["cell", "pair"])
@pytest.mark.parametrize("phase", ["forward", "backward", "train_step"])
def test_every_reading_of_the_clock_waits_for_the_device_and_no_timed_window_does(
    gpu: CudaStandIn, phase: str, is_pair: bool
) -> None:
    log = measured(gpu, "amp-fp16", phase, is_pair=is_pair)
    assert "now" in log
    assert all(log[index - 1] == "synchronize" for index, line in enumerate(log) if line == "now")
    end = "stage measuring energy" if is_pair else "stage measuring memory"
    timed = list(windows(between(log, "stage timing", end)))
    assert len(timed) > 3
    for window in timed:
        # What lies before a window's work is between two rounds, the last wait is the end of the window itself.
        assert window[window.index("work") :] == ["work", "synchronize"]


@pytest.mark.parametrize("is_pair", [False, True], ids=["cell", "pair"])
def test_garbage_is_collected_before_the_warm_up_and_not_between_it_and_the_rounds(
    gpu: CudaStandIn, is_pair: bool
) -> None:
    log = measured(gpu, "fp32", is_pair=is_pair)
    before = log[: log.index("stage timing")]
    last = max(index for index, line in enumerate(before) if line == "collect garbage")
    assert "now" in before[last:]
    assert "work" in before[last:]
    assert "collect garbage" not in between(log, "stage timing", "stage measuring energy")[:10]


def test_the_peak_is_reset_when_the_device_is_idle_and_read_when_it_is_idle_again(gpu: CudaStandIn) -> None:
    log = between(measured(gpu, "amp-fp16"), "stage measuring memory", "stage probing limits")
    assert log.count("reset_peak_memory_stats") == log.count("memory_stats") == 1
    reset, read = log.index("reset_peak_memory_stats"), log.index("memory_stats")
    assert log[reset - 1 : read + 1] == [
        "synchronize",
        "reset_peak_memory_stats",
        "work",
        "synchronize",
        "memory_stats",
    ]
    assert "work" in log[:reset]  # the first of two iterations, which brings libraries into their steady state
    assert log.index("empty_cache") < log.index("work")


def trained(gpu: CudaStandIn, folder: Path, monkeypatch: pytest.MonkeyPatch, precision: str) -> list[str]:
    from test_train import RECIPE, make_job

    recipe = dataclasses.replace(RECIPE, epochs=2)
    job = make_job(folder, precision, images=generated_set(), recipe=recipe)
    job = dataclasses.replace(job, workload=dataclasses.replace(job.workload, device_type="cuda"))
    monkeypatch.setattr(train, "verify", lambda *_: ())
    ticks = Counter(step_s=0.02)

    def now() -> float:
        gpu.mark("now")
        return ticks()

    train.train(job, device=CUDA, process=PROCESS, clock=ActiveClock(), report=gpu.begin_stage, now=now)
    return gpu.log


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_training_resets_its_peak_before_what_is_read_and_times_it_between_two_waits(
    gpu: CudaStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    log = trained(gpu, tmp_path, monkeypatch, precision)
    assert all(log[index - 1] == "synchronize" for index, line in enumerate(log) if line == "now")
    parts: list[list[str]] = []
    for line in log:
        if line == "reset_peak_memory_stats":
            parts.append([])
        elif parts:
            parts[-1].append(line)
    # Every part of an epoch, and the test at the end, has a peak of its own.
    read = [part for part in parts if "max_memory_allocated" in part]
    assert len(read) == 2 * 2 + 1
    for part in read:
        assert part.count("max_memory_allocated") == 1
        end = part.index("max_memory_allocated")
        assert "work" in part[:end]
        assert part[end - 2 : end] == ["synchronize", "now"]
        assert "work" not in part[end:]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_steps_of_an_epoch_never_wait_for_the_device(
    gpu: CudaStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    log = trained(gpu, tmp_path, monkeypatch, precision)
    epochs = [window for window in windows(log) if any("step 1 of" in line for line in window)]
    assert len(epochs) == 2
    for epoch in epochs:
        last_work = max(index for index, line in enumerate(epoch) if line == "work")
        waits = {line for line in epoch[:last_work] if line in {"read", "synchronize", "empty_cache"}}
        assert not waits

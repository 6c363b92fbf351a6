from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from builders import make_content, make_entry, make_record, make_workload
from training_builders import make_training

from perfsuite.analysis.frames.labels import shared_in_words
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.speedup import speedup_frame
from perfsuite.errors import InvalidChoiceError, MeasurementError
from perfsuite.precisions import POLICIES
from perfsuite.records.reading import read_record
from perfsuite.workloads import precision
from perfsuite.workloads.precision import applied, applied_to
from perfsuite.workloads.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("is_on", [False, True])
def test_the_flag_is_the_workload_s_while_it_is_measured_and_torch_s_own_afterwards(is_on: bool) -> None:
    workload = make_workload(cudnn_benchmark=is_on, batch_size=1, device_type="cpu")
    before = torch.backends.cudnn.benchmark
    with applied_to(workload):
        assert torch.backends.cudnn.benchmark is is_on
    assert torch.backends.cudnn.benchmark is before
    step = TrainingStep(workload, device=torch.device("cpu"))
    assert step.settings["cudnn_benchmark"] is is_on
    step.close()


def test_another_value_in_one_process_is_refused_where_a_gpu_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_searches_here", [])
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    for _ in range(2):
        with applied(POLICIES["fp32"]):
            pass
    expected = r"cudnn benchmark on: it was off in this process, and torch keeps the algorithms"
    with pytest.raises(MeasurementError, match=expected), applied(POLICIES["fp32"], cudnn_benchmark=True):
        pass
    assert not torch.backends.cudnn.benchmark


def test_without_a_gpu_both_values_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_searches_here", [])
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    for is_on in (False, True):
        with applied(POLICIES["fp32"], cudnn_benchmark=is_on):
            assert torch.backends.cudnn.benchmark is is_on


def old(record: Any) -> Any:
    """Return a record as it was written before the search was part of the workload."""
    content = json.loads(json.dumps(record.to_json()))
    del content["workload"]["cudnn_benchmark"]
    return content


def test_old_steps_are_read_as_without_a_search() -> None:
    assert read_record(old(make_record())) == make_record()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"settings": {"cudnn_benchmark": True}}, True),
        ({"settings": {"cudnn_benchmark": False}, "deterministic": True}, False),
        ({"settings": {}}, True),
        ({"settings": {}, "deterministic": True}, False),
    ],
)
def test_old_trainings_are_read_with_the_value_that_they_had(changes: dict[str, Any], expected: bool) -> None:
    record = read_record(old(dataclasses.replace(make_training(), **changes)))
    assert record.workload.cudnn_benchmark is expected  # type: ignore[union-attr]


def test_only_a_value_that_is_not_the_default_is_in_the_label() -> None:
    assert make_workload().label == "resnet18 fp32 train_step b128"
    assert make_workload(cudnn_benchmark=True).label.endswith("b128 cudnn-benchmark")


def test_with_and_without_the_search_are_two_workloads(write_result: Callable[..., Path]) -> None:
    workloads = [
        make_workload(precision=name, cudnn_benchmark=is_on) for name in ("fp32", "amp-fp16") for is_on in (False, True)
    ]
    times = {"fp32": [0.1] * 9, "amp-fp16": [0.05] * 9}
    entries = [make_entry(make_record(one), times[one.precision]) for one in workloads]
    for number, entry in enumerate(entries):
        entry["fullname"] += str(number)
    results = collect([write_result(make_content(entries))])
    assert speedup_frame(results)["cudnn_benchmark"].tolist() == [False, True]
    searched = collect([write_result(make_content(entries[1::2]), "searched.json")])
    plain = collect([write_result(make_content(entries[::2]), "plain.json")])
    assert "cuDNN benchmark" in shared_in_words(searched.benchmarks)
    assert "cuDNN" not in shared_in_words(plain.benchmarks)


def test_the_search_and_determinism_are_not_asked_for_together() -> None:
    from perfsuite.plugin.options import read_options

    values: dict[str, object] = {
        "perf_device": "auto",
        "perf_models": "resnet18",
        "perf_precisions": "fp32",
        "perf_batch_size": None,
        "perf_compile": "off",
        "perf_cuda_graphs": "off",
        "perf_memory_format": "contiguous",
        "perf_gradients": "freed",
        "perf_recipe": "thesis",
        "perf_seeds": "1",
        "perf_overhead_time": "60",
        "perf_world_size": "1",
        "perf_strategy": "ddp",
        "perf_gradient_compression": "none",
        "perf_rank_timeout": "300",
        "perf_deterministic": True,
        "perf_cudnn_benchmark": True,
    }
    with pytest.raises(InvalidChoiceError, match="--perf-deterministic, --perf-cudnn-benchmark: a search may choose"):
        read_options(values.get)

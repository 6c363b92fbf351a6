"""Networks of users in whole runs of the suite."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from suite_run import REPOSITORY

from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from suite_run import Run

BENCHMARKS = ("test_inference.py", "test_interleaved.py", "test_full_training.py")
SEGMENTATION = REPOSITORY / "benchmarks" / "examples" / "segmentation.py"


@pytest.fixture(autouse=True)
def all_benchmarks(suite_folder: pytest.Pytester) -> None:
    for name in BENCHMARKS:
        text = (REPOSITORY / "benchmarks" / name).read_text()
        (suite_folder.path / "benchmarks" / name).write_text(text)


def test_a_network_of_a_file_is_measured_in_every_phase_with_its_digest_and_its_ledger(
    run_suite: Callable[..., Run],
) -> None:
    run = run_suite("-m", "step or inference", "--perf-models=own_networks:two_inputs", "--perf-precisions=fp32")
    assert run.names == [
        "test_inference[own_networks:two_inputs-fp32-b2]",
        "test_forward[own_networks:two_inputs-fp32-b2]",
        "test_backward[own_networks:two_inputs-fp32-b2]",
        "test_train_step[own_networks:two_inputs-fp32-b2]",
    ]
    records = [one["extra_info"]["perfsuite"] for one in run.content["benchmarks"]]
    assert len({record["workload"]["model_digest"] for record in records} - {""}) == 1
    for record in records:
        assert record["metrics"]["predicted_peak_bytes"] > 0
        assert record["metrics"]["step_flops"] > 0
    assert len(records[0]["latencies_s"]) >= 20
    assert records[1]["latencies_s"] == []


def test_a_pair_and_the_switches_take_any_network(run_suite: Callable[..., Run]) -> None:
    run = run_suite("-m", "interleaved or switches", "--perf-models=own_networks:sound", "-k", "not compiled")
    combinations = ["fp32-b2-channels_last", "amp-bf16-b2", "amp-bf16-b2-channels_last"]
    assert run.names == [
        "test_interleaved[own_networks:sound-amp-bf16-b2]",
        *(f"test_switches[own_networks:sound-{name}]" for name in combinations),
    ]
    assert run.outcomes == [("test_switches[own_networks:sound-fp32-b2-cuda_graphs]", "skipped")]
    assert "CUDA graphs need a GPU; this is the CPU" in run.text
    costs = run.content["benchmarks"][1]["extra_info"]["perfsuite"]["costs"]
    assert [sorted(cost) for cost in costs] == [["peak_allocated_bytes", "start_s"]] * 2
    assert "What to switch on here for own_networks:sound" in run.text


def test_what_is_wrong_with_a_network_is_one_line_and_the_others_go_on(run_suite: Callable[..., Run]) -> None:
    names = ("raises", "loss_of_each_sample", "asks_the_host", "sound")
    models = ",".join(f"own_networks:{name}" for name in names)
    run = run_suite("-k", "train_step", f"--perf-models={models}", "--perf-precisions=fp32")
    assert [name.partition(":")[2] for name in run.names] == ["asks_the_host-fp32-b2]", "sound-fp32-b2]"]
    reasons = [outcome["reason"] for outcome in run.content["perfsuite"]["outcomes"]]
    assert reasons[0] == "own_networks:raises: build raised ValueError: no weights here"
    assert reasons[1].startswith("own_networks:loss_of_each_sample: loss returned a tensor of shape [2]")
    record = run.content["benchmarks"][0]["extra_info"]["perfsuite"]
    assert any("moves data to the host in gate" in finding for finding in record["findings"])
    assert "a dry run cannot follow" in record["absent"]["predicted_peak_bytes"]
    assert "Traceback" not in run.text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nothing.py:net", "--perf-models: nothing.py:net: No such file or directory"),
        ("own_networks:nothing", "--perf-models: own_networks:nothing: has no such name; it has "),
        ("vgg16", "--perf-models: unknown model 'vgg16'; choose from resnet101"),
    ],
)
def test_a_network_that_is_not_there_ends_before_anything_is_measured(
    run_suite: Callable[..., Run], text: str, complaint: str
) -> None:
    run = run_suite(f"--perf-models={text}")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert complaint in run.text
    assert run.files == []


def test_the_segmentation_example_runs_and_its_memory_on_a_t4_is_predicted(
    run_suite: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_suite(
        *("-k", "train_step", f"--perf-models={SEGMENTATION}:fcn_resnet50"),
        *("--perf-precisions=fp32", "--perf-image-size=32", "--perf-classes=3"),
    )
    assert run.names == ["test_train_step[segmentation.py:fcn_resnet50-fp32-b2-3classes]"]
    capsys.readouterr()
    options = ("--image-size", "32", "--batch-size", "2", "--precision", "fp32")
    assert main(["memory", "--model", f"{SEGMENTATION}:fcn_resnet50", *options]) == 0
    assert "segmentation.py:fcn_resnet50" in capsys.readouterr().out


def test_the_network_that_the_documentation_prints_is_the_example_and_runs(run_suite: Callable[..., Run]) -> None:
    example = (REPOSITORY / "benchmarks" / "examples" / "mine.py").read_text()
    page = (REPOSITORY / "benchmarks" / "examples" / "README.md").read_text()
    (printed,) = re.findall(r"```python\n(\"\"\"A network of one's own.*?)```", page, re.DOTALL)
    assert printed == example
    run = run_suite("-k", "train_step", f"--perf-models={REPOSITORY}/benchmarks/examples/mine.py:small_network")
    assert len(run.names) == 2


def test_full_trainings_are_of_networks_that_classify_images(run_suite: Callable[..., Run]) -> None:
    run = run_suite("-m", "full_training", "--perf-models=own_networks:two_inputs")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "own_networks:two_inputs: full trainings and -m numerics are of networks that classify images" in run.text

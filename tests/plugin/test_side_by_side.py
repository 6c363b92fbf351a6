from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from documented_samples import sample_of, without_numbers
from forked import Forked, pool_forked, run_pytest
from generated_images import generated_parts, generated_set, mirror_files, write_mirror
from pool_tasks import wait_for
from scripted_trainings import real_training, scripted_training
from suite_run import IN_A_PROCESS, REPOSITORY
from training_builders import make_training

from perfsuite.errors import DataError, FolderInUseError
from perfsuite.measure import device_pool
from perfsuite.measure import train as train_module
from perfsuite.plugin import side_by_side
from perfsuite.plugin.time_left import TimeLeft
from perfsuite.records.reading import read_record
from perfsuite.records.training import TrainingRecord
from perfsuite.workloads import image_store
from perfsuite.workloads.threads import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cuda_stand_in import CudaStandIn
    from suite_run import Run

RECIPE = "epochs = 2\nbatch_size = 4\nnum_train = 8\nnum_validation = 4\nnum_test = 20\nlearning_rate = 0.02\n"
CELLS = ("-m", "full_training", "--perf-models=resnet18", "--perf-recipe=tiny.toml", "--perf-seeds=2")
SIDE_BY_SIDE = (*CELLS, "--perf-devices=cpu,cpu")
NAMES = [
    f"test_full_training[resnet18-{precision}-b4{seed}]"
    for precision in ("fp32", "amp-bf16")
    for seed in ("", "-seed1")
]


@pytest.fixture(autouse=True)
def trainings(suite_folder: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout with a tiny recipe and generated images, whose trainings do what a script says."""
    text = (REPOSITORY / "benchmarks" / "test_full_training.py").read_text()
    (suite_folder.path / "benchmarks" / "test_full_training.py").write_text(text)
    (suite_folder.path / "tiny.toml").write_text(RECIPE)
    (suite_folder.path / "record.json").write_text(json.dumps(make_training(deterministic=True).to_json()))
    image_store.save_image_set(generated_set(), suite_folder.path / "images.npz")
    monkeypatch.setattr(side_by_side, "run_training", scripted_training)
    monkeypatch.setenv("PERFSUITE_DATA", str(suite_folder.path / "images.npz"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(suite_folder.path / "cache"))


@pytest.fixture
def run_script(suite_folder: pytest.Pytester, run_suite: Callable[..., Run]) -> Callable[..., Run]:
    """Run the cells side by side, each as its words say."""

    def run(*arguments: str, **words: str) -> Run:
        script = {name.replace("amp", "amp-bf16").replace("_", " "): text for name, text in words.items()}
        (suite_folder.path / "script.json").write_text(json.dumps(script))
        return run_suite(*SIDE_BY_SIDE, *arguments, quick=False)

    return run


def weights(run: Run) -> list[str]:
    return [entry["extra_info"]["perfsuite"]["weights_sha256"] for entry in run.content["benchmarks"]]


def test_the_results_stand_in_the_order_of_the_cells_whichever_ends_first(
    run_script: Callable[..., Run], tmp_path: Path
) -> None:
    last = tmp_path / "last"
    run = run_script(fp32_0=f"wait:{last}", amp_1=f"touch:{last}")
    assert run.result.ret == pytest.ExitCode.OK, run.text
    assert run.names == NAMES
    assert weights(run) == ["fp32 0", "fp32 1", "amp-bf16 0", "amp-bf16 1"]
    assert run.content["perfsuite"]["complete"] is True
    assert run.outcomes == []
    results = re.findall(r"\[(\d)/4\].* (cpu:\d): test accuracy", run.text)
    assert results.index(("1", "cpu:0")) >= 2  # its line came when it ended: after that of the third, or of the fourth
    assert "[2/4] full_training resnet18-fp32-b4-seed1      cpu:1: epoch 1 of 2 of fp32 1" in run.text
    assert "side by side on cpu:0, cpu:1, one cell on each; the longest cells first" in run.text
    assert run.result.parseoutcomes()["passed"] == 4
    assert "Full trainings: " in run.text
    for entry in run.content["benchmarks"]:
        assert entry["stats"]["data"] == [3600.0]


def test_a_cell_whose_process_is_killed_fails_in_one_line_and_the_others_go_on(run_script: Callable[..., Run]) -> None:
    run = run_script(fp32_1="die")
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert run.outcomes == [(NAMES[1], "failed")]
    (outcome,) = run.content["perfsuite"]["outcomes"]
    assert outcome["reason"] == "the process on cpu:1 was killed by SIGKILL (out of memory, or killed from outside)"
    assert weights(run) == ["fp32 0", "amp-bf16 0", "amp-bf16 1"]
    assert "Traceback" not in run.text


def test_outcomes_are_those_of_a_cell_that_fails_in_this_process(run_script: Callable[..., Run]) -> None:
    run = run_script(fp32_0="memory", fp32_1="broken", amp_0="bug:why")
    assert run.outcomes == [(NAMES[0], "out_of_memory"), (NAMES[1], "failed"), (NAMES[2], "failed")]
    reasons = [outcome["reason"] for outcome in run.content["perfsuite"]["outcomes"]]
    assert reasons == ["it does not fit", "diverged", "ZeroDivisionError: why"]
    assert weights(run) == ["amp-bf16 1"]
    assert "in obey" in run.text  # of a bug, where it is


def test_a_device_that_is_lost_is_left_out_and_the_others_go_on(run_script: Callable[..., Run]) -> None:
    run = run_script(fp32_0="lost")
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert run.outcomes == [(NAMES[0], "failed")]
    assert "WARNING: cpu:0 trains no more cells: the device was lost: it fell off the bus" in run.text
    assert weights(run) == ["fp32 1", "amp-bf16 0", "amp-bf16 1"]


def test_without_a_device_that_is_left_the_other_cells_are_not_run_and_the_run_fails(
    run_script: Callable[..., Run],
) -> None:
    run = run_script(fp32_0="lost", fp32_1="lost")
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert [kind for _, kind in run.outcomes] == ["failed", "failed", "not_run", "not_run"]
    assert "no device is left to train on" in run.text


def test_the_first_failure_ends_the_run_and_its_processes_where_pytest_is_told_so(
    run_script: Callable[..., Run], tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    run = run_script("-x", fp32_0="broken", fp32_1=f"tell:pid touch:{pid} wait:{tmp_path / 'never'}")
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert dict(run.outcomes)[NAMES[0]] == "failed"
    assert dict(run.outcomes)[NAMES[2]] in {"not_run", "interrupted"}


def test_a_cell_that_is_trained_elsewhere_ends_the_run_as_for_a_mistake(
    run_script: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_pool._Failure, "error", lambda _self: FolderInUseError("folder: in use by process 1"))
    run = run_script(fp32_0="broken")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "folder: in use by process 1" in run.text


def test_a_test_that_changes_its_seed_is_refused(run_script: Callable[..., Run], suite_folder: pytest.Pytester) -> None:
    path = suite_folder.path / "benchmarks" / "test_full_training.py"
    path.write_text(path.read_text().replace("train(workload, seed)", "train(workload, seed + 1)"))
    run = run_script()
    assert {kind for _, kind in run.outcomes} == {"failed"}
    assert "a test is trained before it runs, with its own workload and seed" in run.text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--perf-world-size=3"], "--perf-world-size 3: the recipe's batch of 4 images cannot be shared evenly by 3"),
        (["--perf-world-size=0"], "--perf-world-size: '0' is not a number of devices; whole numbers from 1 to 64"),
        (["--perf-world-size=4"], "--perf-devices, --perf-world-size 4: 2 devices are not so many groups of 4"),
        (["--perf-world-size=2", "--perf-compile=default"], "--perf-compile, --perf-world-size: compiled networks are"),
        (["--perf-devices=cpu,,cpu"], "'cpu,,cpu' has an empty name in it; write 0,1 or cpu,cpu for instance"),
        (["--perf-devices="], "--perf-devices: '' has an empty name in it"),
        (["--perf-devices=0,tpu"], "--perf-devices: unknown device 'tpu'; choose from N, cuda:N"),
        (["--perf-devices=auto"], "--perf-devices: unknown device 'auto'"),
        (["--perf-devices=0,1,cuda:00"], "--perf-devices: cuda:0 is there twice; name each GPU once"),
        (["--perf-devices=cpu:1,cpu:1"], "--perf-devices: cpu:1 is there twice"),
        (["--perf-devices=cpu,0"], "--perf-devices: cpu,0 has both GPUs and the CPU in it"),
        (["--perf-devices=" + ",".join(map(str, range(65)))], "--perf-devices: 65 devices; at most 64 are allowed"),
        (
            ["--perf-device=cpu"],
            "--perf-device cpu, --perf-devices: one device for all benchmarks, or several for full",
        ),
        (
            ["-m", "full_training or step"],
            "--perf-devices: only full trainings are spread over devices, and test_forward[",
        ),
    ],
)
def test_devices_that_cannot_be_used_are_refused_in_one_line(
    run_script: Callable[..., Run], arguments: list[str], complaint: str
) -> None:
    run = run_script(*arguments)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert complaint in run.text
    assert "Traceback" not in run.text


def test_images_that_could_not_be_stored_are_refused_before_anything_is_trained(
    run_script: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full_disk(*_: object) -> None:
        raise DataError("no space left on device")

    mirror = write_mirror(mirror_files(generated_parts()), tmp_path / "mirror.zip")
    monkeypatch.setattr(image_store, "save_image_set", full_disk)
    run = run_script(f"--perf-data={mirror}")
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--perf-devices: each process reads the images from a file, and they could not be stored" in run.text


NETWORK = """
from torch import nn

def small(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, num_classes)
    )
"""


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread in all processes: sums over other parts have other last digits."""
    with threads(1):
        yield


@pytest.mark.usefixtures("one_thread")
def test_real_trainings_side_by_side_have_the_weights_of_those_one_after_the_other(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, suite_folder: pytest.Pytester
) -> None:
    (suite_folder.path / "own.py").write_text(NETWORK)
    monkeypatch.setattr(side_by_side, "run_training", real_training)
    monkeypatch.setattr(train_module, "evaluation_batch_size", lambda _step: 4)
    monkeypatch.setattr(train_module, "verify", lambda *_: ())
    arguments = (
        "-m",
        "full_training",
        "--perf-models=own.py:small",
        "--perf-recipe=tiny.toml",
        "--perf-deterministic",
    )
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    found: dict[str, list[TrainingRecord]] = {}
    for folder, devices in (("alone", "--perf-device=cpu"), ("side", "--perf-devices=cpu,cpu")):
        with pool_forked():
            run = run_suite(*arguments, devices, f"--perf-run-dir={folder}", quick=False)
        assert run.result.ret == pytest.ExitCode.OK, run.text
        records = [read_record(entry["extra_info"]["perfsuite"]) for entry in run.content["benchmarks"]]
        found[folder] = [record for record in records if isinstance(record, TrainingRecord)]
        run.files[0].unlink()
    first, *lines = sample_of("side by side on cpu:0, cpu:1").splitlines()
    assert first in run.text
    for line in map(without_numbers, lines):
        words = re.sub(r"^.*?(?=cpu:#)|  .*$", "", line.partition("  ")[2])
        assert words in without_numbers(run.text), words
    for alone, side in zip(found["alone"], found["side"], strict=True):
        assert side.weights_sha256 == alone.weights_sha256
        assert (side.workload, side.recipe, side.seed) == (alone.workload, alone.recipe, alone.seed)
        assert side.test_predictions == alone.test_predictions
        assert any("side by side with up to 1 other training, which shared the CPU" in text for text in side.findings)
        assert not any("side by side" in text for text in alone.findings)
        assert side.environment is not None
        assert side.environment.num_threads == 1
    again = run_suite(*arguments, "--perf-device=cpu", "--perf-run-dir=side", quick=False)
    assert again.text.count("trained before") == 2  # whichever way it was trained


def test_a_group_of_devices_trains_one_cell_at_a_time(run_script: Callable[..., Run]) -> None:
    run = run_script("--perf-world-size=2", fp32_1="die")
    assert run.result.ret == pytest.ExitCode.TESTS_FAILED
    assert "each training on cpu:0, cpu:1, which share every batch" in run.text
    assert re.findall(r"\[(\d)/4\].* (cpu:\S+): test accuracy", run.text) == [
        (number, "cpu:0+cpu:1") for number in "134"
    ]
    assert run.outcomes == [(NAMES[1], "failed")]


@pytest.mark.usefixtures("one_thread")
def test_two_real_ranks_train_a_cell_and_their_number_is_part_of_its_identity(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, suite_folder: pytest.Pytester
) -> None:
    (suite_folder.path / "own.py").write_text(NETWORK)
    monkeypatch.setattr(side_by_side, "run_training", real_training)
    arguments = (
        "-m",
        "full_training",
        "--perf-models=own.py:small",
        "--perf-precisions=fp32",
        "--perf-recipe=tiny.toml",
    )
    with pool_forked():
        run = run_suite(*arguments, "--perf-device=cpu", "--perf-world-size=2", quick=False)
    assert run.result.ret == pytest.ExitCode.OK, run.text
    (entry,) = run.content["benchmarks"]
    record = read_record(entry["extra_info"]["perfsuite"])
    assert isinstance(record, TrainingRecord)
    assert record.world_size == 2
    assert record.settings["gradient_buckets"] == "built again after the first step"
    assert any("the 2 ranks share one CPU" in finding for finding in record.findings)
    (folder,) = (run.folder / "results" / "trainings").iterdir()
    assert "-seed0-2ranks-" in folder.name


ON_GPUS = (*CELLS, "--perf-devices=0,1", "--perf-precisions=fp32")
USES_OF_A_GPU = {
    *("set_device", "synchronize", "mem_get_info", "empty_cache", "reset_peak_memory_stats", "memory_allocated"),
    *("memory_reserved", "memory_stats", "max_memory_allocated", "get_rng_state", "set_rng_state", "event.record"),
}
"""Calls that make a context on the device, which holds memory there and is another process in its list."""


@pytest.fixture
def two_gpus(gpu: CudaStandIn, suite_folder: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> CudaStandIn:
    (suite_folder.path / "script.json").write_text("{}")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return gpu


def test_the_process_that_waits_for_the_others_uses_no_gpu(
    run_suite: Callable[..., Run], two_gpus: CudaStandIn
) -> None:
    run = run_suite(*ON_GPUS, quick=False)
    assert run.result.ret == pytest.ExitCode.OK, run.text
    assert weights(run) == ["fp32 0", "fp32 1"]
    assert set(re.findall(r"(cuda:\d): test accuracy", run.text)) == {"cuda:0", "cuda:1"}
    assert not USES_OF_A_GPU & set(two_gpus.log)
    one_by_one = run_suite(*CELLS, "--perf-device=cuda", "--perf-precisions=fp32", "--collect-only", quick=False)
    assert one_by_one.result.ret == pytest.ExitCode.OK
    assert "set_device" in two_gpus.log  # so it would have been seen


@pytest.mark.usefixtures("two_gpus")
def test_gpus_of_two_models_or_that_are_not_there_are_refused(
    run_suite: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_suite(*CELLS, "--perf-devices=0,1,2", quick=False)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "no device cuda:2: torch sees 2, cuda:0 to cuda:1" in run.text
    run = run_suite(*CELLS, "--perf-world-size=4", quick=False)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "no device cuda:2: torch sees 2, cuda:0 to cuda:1" in run.text
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Model {device.index}")
    run = run_suite(*ON_GPUS, quick=False)
    assert run.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--perf-devices: cuda:0 is Model 0, cuda:1 is Model 1: which one trains a cell is not determined" in run.text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends a signal at the death of a parent")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_names_all_cells_that_were_trained_and_leaves_no_process(
    suite_folder: pytest.Pytester, tmp_path: Path, number: signal.Signals
) -> None:
    (suite_folder.path / "benchmarks" / "conftest.py").write_text(
        "from perfsuite.plugin import side_by_side\n"
        "from scripted_trainings import scripted_training\n"
        "side_by_side.run_training = scripted_training\n"
    )
    files = {name: tmp_path / name.replace(" ", "-") for name in ("fp32 0", "fp32 1")}
    script = {name: f"touch:{path} wait:{tmp_path / 'never'}" for name, path in files.items()}
    (suite_folder.path / "script.json").write_text(json.dumps(script))
    words = ("-p", "small_suite", *SIDE_BY_SIDE, "--benchmark-json=results.json")
    environment, output = {**os.environ, **IN_A_PROCESS}, tmp_path / "output"
    process = Forked(run_pytest, words, output=output, cwd=suite_folder.path, env=environment)
    for path in files.values():
        wait_for(path)
    children = children_of(process.pid)
    assert len(children) >= 2
    process.send_signal(number)
    assert process.wait(timeout=120) == {signal.SIGINT: 2}.get(number, -number), output.read_text()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    content: dict[str, Any] = json.loads((suite_folder.path / "results.json").read_text())
    kinds = [outcome["outcome"] for outcome in content["perfsuite"]["outcomes"]]
    assert kinds == ["interrupted", "interrupted", "not_run", "not_run"]


def children_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        found += [int(path.parent.name)] if int(fields[1]) == pid else []
    return found


def test_the_time_left_is_that_of_the_device_that_ends_last() -> None:
    seconds = 0.0
    left = TimeLeft(weights={"a": 4.0, "b": 2.0, "c": 2.0}, prior_s=3.0, num_places=2, now=lambda: seconds)
    assert left.seconds() == pytest.approx(4.5)  # a cell of average weight, 8/3, takes 3 s: `a` 4.5 s, `b` and `c` too
    left.begin("a")
    left.begin("b")
    left.tell("a", 40.0)
    assert left.seconds() == pytest.approx(40.0)
    seconds = 10.0
    assert left.seconds() == pytest.approx(30.0)
    left.end("b")
    left.begin("c")
    seconds = 15.0
    assert left.seconds() == pytest.approx(25.0)

"""Fleets on a Ray cluster of this machine: three nodes of two kinds, two environments."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fleet_files import (
    RAY_KINDS,
    REPOSITORY,
    Checkout,
    Cluster,
    cluster_started,
    command,
    is_running,
    make_checkout,
    plan_text,
    wait_for,
)
from plain_pytest import PLAIN_PYTEST

from perfsuite.analysis.load.fleet_place import FLEET_KEY
from perfsuite.analysis.load.result_file import read_result_file
from perfsuite.fleet.lanes import interleaved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfsuite.records.training import TrainingRecord

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'perfsuite[fleet]'"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_started("T4", "T4", "L4") as found:
        yield found


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path / "checkout")


class Head:
    """`perfsuite fleet run`, as a user starts it."""

    def __init__(self, tmp_path: Path, cluster: Cluster, *, action: str = "run") -> None:
        self.folder = tmp_path / "run"
        self.log = tmp_path / "head.log"
        self.words = command(action, str(tmp_path / "fleet.toml"), "--address", cluster.address)
        self.words += ["--run-dir", str(self.folder)]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log, cwd=self.folder.parent)
        return self.process

    def end(self, status: int) -> None:
        assert self.process is not None
        assert self.process.wait(240) == status, self.log.read_text()

    def results(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*-*.json"))


def pids(checkout: Checkout) -> set[int]:
    return {int(path.name) for path in checkout.started.iterdir()}


def running(checkout: Checkout) -> set[int]:
    return {pid for pid in pids(checkout) if is_running(pid)}


def slots(names: list[str]) -> Counter[tuple[str, ...]]:
    """Count the files of each slot, whatever node they come from."""
    return Counter((name.split("-")[0], *name.split("-")[2:]) for name in names)


def test_a_whole_fleet_on_ray(tmp_path: Path, cluster: Cluster, checkout: Checkout) -> None:
    (tmp_path / "fleet.toml").write_text(plan_text(checkout, repetitions=1, kinds=RAY_KINDS))
    head = Head(tmp_path, cluster)
    checkout.wait.touch()
    head.start()
    wait_for(lambda: len(running(checkout)) == 3, "a process on each node")
    done = subprocess.run(
        command("status", str(head.folder)), capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
    )
    assert "0 of 6 done" in done.stdout
    assert done.stdout.count(" s") >= 3, "for how long each process has been running"
    checkout.wait.unlink()
    head.end(0)
    assert slots(head.results()) == dict.fromkeys(
        [("T4", name, f"{number}.json") for name in "ab" for number in ("001", "002")]
        + [("L4", name, "001.json") for name in "ab"],
        1,
    )
    assert len(pids(checkout)) == 6, "each repetition is a fresh process, and none is run twice"
    for name in head.results():
        file = read_result_file(head.folder / name)
        assert [benchmark.name for benchmark in file.benchmarks] == ["test_short"]
        assert file.machine[FLEET_KEY]["node"] in {"node1", "node2", "node3"}
    versions = json.loads((head.folder / "fleet.json").read_text())["versions"]
    assert versions["environments.a"]["torch"] == versions["environments.b"]["torch"]


def test_a_killed_head_a_dead_node_and_an_interrupted_head_lose_and_double_nothing(
    tmp_path: Path, cluster: Cluster, checkout: Checkout
) -> None:
    (tmp_path / "fleet.toml").write_text(plan_text(checkout, repetitions=2, kinds=RAY_KINDS))
    head = Head(tmp_path, cluster)
    checkout.wait.touch()
    first = head.start()
    wait_for(lambda: len(running(checkout)) == 3, "a process on each node")
    second = subprocess.run(head.words, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert second.returncode == 2
    assert f"in use by process {first.pid}" in second.stderr
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_for(lambda: not running(checkout), "the processes of a killed head end")
    assert head.results() == []

    checkout.wait.unlink()
    head.start()
    wait_for(lambda: len(head.results()) >= 2, "the first results")
    checkout.wait.touch()
    wait_for(lambda: len(running(checkout)) == 3, "a process on each node again")
    cluster.tell("kill", "node1")
    before = {name: (head.folder / name).read_bytes() for name in head.results()}
    wait_for(lambda: len(running(checkout)) == 2, "the process of the dead node ends")
    wait_for(lambda: "; it is done again" in head.log.read_text() or "died while" in head.log.read_text(), "noticed")
    assert head.process is not None
    head.process.send_signal(signal.SIGTERM)
    head.end(130)
    assert not running(checkout), "Ctrl-C leaves no process behind"
    assert before == {name: (head.folder / name).read_bytes() for name in head.results()}

    checkout.wait.unlink()
    head.start()
    head.end(0)
    found = slots(head.results())
    assert len(found) == 12
    assert set(found.values()) == {1}
    assert before == {name: (head.folder / name).read_bytes() for name in before}
    on_l4 = [read_result_file(head.folder / name) for name in head.results() if name.startswith("L4-node3")]
    on_l4.sort(key=lambda file: file.written or "")
    assert [file.machine[FLEET_KEY]["environment"] for file in on_l4] == [
        name for name, _ in interleaved(("a", "b"), 2)
    ]
    assert not [path for path in head.folder.iterdir() if path.name.startswith(".")], "nothing half written"
    assert not os.path.lexists(tmp_path / "results")


RECIPE = "epochs = 3\nbatch_size = 4\nnum_train = 8\nnum_validation = 4\nnum_test = 20\nlearning_rate = 0.02\n"
WAITING = f"""
import os, sys, time
from pathlib import Path
import pytest
from perfsuite.measure import train
from perfsuite.workloads.training import Training
sys.path.insert(0, {str(REPOSITORY / "tests")!r})
from cuda_stand_in import use_tiny_networks

use_tiny_networks(pytest.MonkeyPatch())
train.verify = lambda *_: ()  # takes longer than these trainings
train_epoch = Training.train_epoch

def wait_in_the_second_epoch(self, **options):
    Path("started", str(os.getpid())).touch()
    deadline = time.monotonic() + 240
    while self.epoch == 1 and Path("wait").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return train_epoch(self, **options)

Training.train_epoch = wait_in_the_second_epoch
"""


@pytest.fixture
def training_checkout(tmp_path: Path) -> Checkout:
    from generated_images import generated_set

    from perfsuite.workloads.image_store import save_image_set

    folder = tmp_path / "checkout"
    for name in ("conftest.py", "benchmarks/test_full_training.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text((REPOSITORY / name).read_text())
    (folder / "benchmarks" / "conftest.py").write_text(WAITING)
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = benchmarks\n")
    (folder / "tiny.toml").write_text(RECIPE)
    (folder / "started").mkdir()
    save_image_set(generated_set(), folder / "images.npz")
    return Checkout(folder=folder, pythons=(sys.executable, sys.executable))


TRAINED = ("--perf-device=cpu", "--perf-deterministic", "--perf-recipe=tiny.toml", "--perf-data=images.npz")
TRAINING_PLAN = """
[fleet]
checkout = "{checkout}"
[kinds.T4]
accelerator_type = "T4"
[environments.here]
python = "{python}"
variables = {{PYTHONPATH = "{repository}", PYTEST_ADDOPTS = "{addopts}"}}
[train]
shared = "{shared}"
models = ["resnet18"]
precisions = ["fp32"]
seeds = 2
arguments = {arguments}
"""


def trained(path: Path) -> TrainingRecord:
    (benchmark,) = read_result_file(path).benchmarks
    assert benchmark.training is not None
    return benchmark.training


def test_a_training_whose_node_dies_is_resumed_on_another_and_ends_as_one_left_alone(
    tmp_path: Path, cluster: Cluster, training_checkout: Checkout
) -> None:
    cluster.tell("add", "node4", "T4")
    checkout, shared = training_checkout, tmp_path / "shared"
    text = TRAINING_PLAN.format(
        checkout=checkout.folder,
        python=sys.executable,
        repository=REPOSITORY,
        addopts=PLAIN_PYTEST,
        shared=shared,
        arguments=json.dumps(TRAINED),
    )
    (tmp_path / "fleet.toml").write_text(text)
    head = Head(tmp_path, cluster, action="train")
    checkout.wait.touch()
    head.start()
    wait_for(lambda: len(list(shared.glob("*/*/checkpoint.pt"))) == 2, "two trainings, after their first epochs")
    status = json.loads((head.folder / "fleet.json").read_text())
    preempted = status["progress"]["running"][0]
    cluster.tell("kill", preempted["node"])
    wait_for(lambda: len(running(checkout)) == 1, "the process of the dead node ends")
    checkout.wait.unlink()
    head.end(0)
    records = {path.name.split("-", 3)[-1]: trained(head.folder / path) for path in map(Path, head.results())}
    assert sorted(records) == ["resnet18-fp32-seed0.json", "resnet18-fp32-seed1.json"]
    resumes = {name: record.num_resumes for name, record in records.items()}
    assert resumes == {name: int(name == f"{preempted['slot']}.json") for name in records}

    alone = tmp_path / "alone.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-m", "full_training", *TRAINED, "--perf-models=resnet18"),
            *("--perf-seeds=2", "--perf-precisions=fp32"),
            *(f"--perf-run-dir={tmp_path / 'alone'}", f"--benchmark-json={alone}"),
        ],
        cwd=checkout.folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=300,
    )
    for benchmark in read_result_file(alone).benchmarks:
        expected = benchmark.training
        assert expected is not None
        found = records[f"resnet18-fp32-seed{expected.seed}.json"]
        assert found.weights_sha256 == expected.weights_sha256
        assert found.test_accuracy == expected.test_accuracy
        assert [epoch.train_loss for epoch in found.history] == [epoch.train_loss for epoch in expected.history]
